# Clients that are quiet are pinged. One that lives and does not answer is lazy, which is said once, and stays, unless
# reap-lazy says otherwise; when it answers again, it is as it was. An application that does not answer is ended, if it has
# a watchdog; one that takes its messages is not.
. "${0%/*}/lib.sh"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
server=$EPOCHD_BUILD/contrib/examples/kv-server
client=$EPOCHD_BUILD/contrib/examples/kv-client
common="readiness = attach  restart = always  backoff { initial = 0s }  intensity { within = 0s }"
write_config <<END
application "kv" {
	command = { "$server" }  $common
	keepalive { interval = 100ms  misses = 2 }
}
application "strict" {
	command = { "$server" }  $common
	keepalive { interval = 100ms  misses = 2  reap-lazy = 100ms }
}
application "watched" {
	command = { "$server" }  $common
	watchdog = 1s  stop-timeout = 100ms
}
END
start_epochd
await kv up 1
await strict up 1
await watched up 1

# start_client NAME APP
start_client()
{
	background "$client" "$2" >"$dir/$1" 2>"$dir/$1.err"
	process=$!
	await_that "a handle of $1" grep -q '^epoch 1: handle' "$dir/$1"
}
state_is()
{
	[ "$(ctl clients "$1" --json | jq -r --argjson pid "$2" '.clients[] | select(.pid == $pid) | .state')" = "$3" ]
}

start_client one kv
one=$process
start_client two kv
two=$process
kill -s STOP "$one"
await_that "one to be lazy" state_is kv "$one" lazy
await_that "two to be as it was" state_is kv "$two" connected
await_stat kv .clients.lazy 1
expect_stat kv .clients.connected 2
expect_match "$(ctl clients kv)" "lazy +$one"
kill -s CONT "$one"
await_that "one to answer" state_is kv "$one" connected
await_stat kv .clients.lazy 0
await_log "client 0x0000010000100000 answers again"
expect_eq "$(grep -c 'client 0x0000010000100000 lives, and has not been heard' "$log")" 1 "how often lazy was said"
expect_stat kv .clients.reaped 0

# While no supervisor is there, nobody is judged; who does not come back to the next one is lazy there.
kill -s STOP "$one"
kill_epochd
start_epochd
await_that "one to be lazy again" state_is kv "$one" lazy
await_that "two to come back" state_is kv "$two" connected
expect_stat kv .clients.connected 2
kill -s CONT "$one"
await_that "one to come back" state_is kv "$one" connected
kill -s STOP "$one"
await_that "one to be lazy" state_is kv "$one" lazy
kill -s KILL "$one"
await_stat kv .clients.connected 1
expect_stat kv .clients.reaped 1
expect_stat kv .clients.lazy 0

# reap-lazy
start_client three strict
three=$process
kill -s STOP "$three"
await_stat strict .clients.reaped 1
expect_stat strict .clients.connected 0
kill -s CONT "$three"
await_stat strict .clients.registered 2
await_stat strict .clients.connected 1

# A session that outlives its process, since somebody else has it.
background "$EPOCHD_BUILD/tests/lib/orphan" kv >"$dir/orphan"
orphan=$!
await_that "its child" grep -q . "$dir/orphan"
await_stat kv .clients.connected 2
reaped=$(stat_of kv .clients.reaped)
kill -s KILL "$orphan"
await_stat kv .clients.reaped $((reaped + 1))
await_stat kv .clients.connected 1
kill -0 "$(cat "$dir/orphan")" || fail "nobody holds its session any more"
kill -s KILL "$(cat "$dir/orphan")"

# The application
start_client four watched
four=$process
hung=$(stat_of watched .pid)
expect_stat watched .restarts.total 0
kill -s STOP "$hung"
await watched up 2
expect_stat watched .restarts.watchdog 1
await_log "app watched epoch 1: no WATCHDOG=1, no answer and no message taken within 1 s"
kill_epochd
start_epochd
await_that "four to come back" state_is watched "$four" connected
expect_stat watched .epoch 2
hung=$(stat_of watched .pid)
kill -s STOP "$hung"
await watched up 3
expect_stat watched .restarts.watchdog 2
