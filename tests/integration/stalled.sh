# Whoever is stopped (SIGSTOP) for longer than every deadline: while the supervisor is, messages go on, and afterwards nobody is
# judged for what it did not hear; while a service is, its clients wait and then go on; while a client is, all others go on.
. "${0%/*}/lib.sh"
. "${0%/*}/kv.sh"
write_config <<END
application "kv" {
	command = { "$server" }
	readiness = attach  restart = always
	keepalive { interval = 200ms  misses = 2  reap-lazy = 0s }
	watchdog = 1s
}
application "other" {
	command = { "$server" }
	readiness = attach  restart = always
}
END
start_epochd
await kv up 1
await other up 1
for name in one two three; do
	background "$client" "$([ "$name" = three ] && echo other || echo kv)" >"$dir/$name" 2>"$dir/$name.err"
	process[$name]=$!
	await_that "a handle of $name" grep -q '^epoch 1: handle' "$dir/$name"
done
# The supervisor: for three times its longest deadline.
kill -s STOP "$pid"
end=$((SECONDS + 4))
while [ "$SECONDS" -lt "$end" ]; do
	await_that "calls while the supervisor is stopped" calls_go_on one "$(calls one)"
done
kill -s CONT "$pid"
await_that "calls afterwards" calls_go_on two "$(calls two)"
await_that "an answer" answers
expect_stat kv .epoch 1
expect_stat kv .restarts.total 0
expect_stat kv .clients.connected 2
expect_stat kv .clients.reaped 0

# A client: it is reaped as it is told to be, and the others go on.
kill -s STOP "${process[two]}"
await_that "calls of another" calls_go_on one "$(calls one)"
await_that "it to be reaped" stat_is kv .clients.reaped 1
kill -s CONT "${process[two]}"
await_that "it to join anew" stat_is kv .clients.registered 3

# A service without a watchdog: its client waits, and nothing else does.
kill -s STOP "$(stat_of other .pid)"
await_that "calls of others" calls_go_on one "$(calls one)"
kill -s CONT "$(stat_of other .pid)"
await_that "its client to go on" calls_go_on three "$(calls three)"
expect_stat other .restarts.total 0
