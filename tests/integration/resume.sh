# The supervisor is killed in the middle of traffic, and the next one takes over (I10): calls go on all the while, nothing
# is restarted, handles stay what they were. Who died meanwhile is reaped, who came waits, and what an application that
# died meanwhile left in the channels is counted exactly, since its clients bring them.
. "${0%/*}/lib.sh"
. "${0%/*}/kv.sh"
write_config <<END
application "kv" {
	command = { "$server" }
	readiness = attach  restart = always
	backoff { initial = 0s }  intensity { within = 0s }
}
END
start_epochd
await kv up 1

start_client()
{
	background "$client" kv >"$dir/$1" 2>"$dir/$1.err"
}
# Each of the clients listed has a session, and so a channel.
each_counts()
{
	ctl clients kv --json | jq -e "(.clients | length) == $1 and all(.clients[]; .sent > 0)" >"$dir/listed"
}

for name in one two three; do
	start_client "$name"
	process[$name]=$!
	await_that "a handle of $name" has_line "$name" '^epoch 1: handle'
done
served=$(stat_of kv .pid)
old=$(handle_of two)

kill_epochd
before=$(calls one)
await_that "calls to go on without a supervisor" calls_go_on one "$((before + 1000))"
kill -s KILL "${process[two]}"
start_client four
process[four]=$!
start_epochd
await_stat kv .clients.connected 3
await_that "a handle of four" has_line four '^epoch 1: handle'
await_that "each to be back" each_counts 3
expect_stat kv .pid "$served"
expect_stat kv .epoch 1
expect_stat kv .restarts.total 0
await_stat kv .clients.reaped 1
await_log 'kv-server: client .*kv-client, pid .*, is gone'
expect_eq "$(grep -c 'kv-server: client .* is gone' "$log")" 1 "how often the service was told of the one that died"
expect_match "$(ctl handle kv "$old" || :)" "refused: its (client is gone|slot belongs to another client by now)"
expect_match "$(ctl handle kv "$(handle_of one)")" "good"
expect_eq "$(handle_of four | cut -c 1-8)" 0x000001 "the epoch of who came meanwhile"
[ "$(handle_of four)" != "$old" ] || fail "a handle was given twice"
expect_stat kv .clients.registered 4
before=$(calls one)
await_that "calls to go on" calls_go_on one "$before"

# Again, and the service dies in the middle of calls while no supervisor looks.
reclaimed=$(stat_of kv .reclaimed.messages)
stop_amid_calls "$served" 3
kill_epochd
kill -s KILL "$served"
start_epochd
await kv up 2
expect_stat kv .restarts.total 1
await_stat kv .reclaimed.messages $((reclaimed + 3))
expect_stat kv .reclaimed.channels_lost 0
for name in one three four; do
	await_that "$name in epoch 2" has_line "$name" '^epoch 2: handle'
done
await_stat kv .clients.connected 3

# Nobody is left who has the channel of one that dies with its service.
reclaimed=$(stat_of kv .reclaimed.messages)
served=$(stat_of kv .pid)
stop_amid_calls "$served" 3
kill_epochd
kill -s KILL "$served" "${process[four]}"
start_epochd
await kv up 3
await_stat kv .reclaimed.channels_lost 1
await_stat kv .reclaimed.messages $((reclaimed + 2))
expect_stat kv .clients.confused 0

# And the service goes on after all of that, with its clients.
for name in one three; do
	await_that "$name in epoch 3" has_line "$name" '^epoch 3: handle'
	kill -s TERM "${process[$name]}"
	wait "${process[$name]}" || fail "$name ended with status $?: $(cat "$dir/$name.err")"
done
await_stat kv .clients.connected 0
