# The wall clock jumps a year ahead, and two back, under a supervisor that runs and over its death: epochs grow, nothing waits
# for the clock to come back, nobody is judged by it, and clients go on. The clock is that of the supervisor alone, by
# interposition.
. "${0%/*}/lib.sh"
shim=$EPOCHD_BUILD/tests/lib/.libs/stepclock.so
[ -e "$shim" ] || skip "needs the shim, which is not built here"
[ -z "${SANITIZED:-}" ] || skip "needs LD_PRELOAD, which a sanitizer wants to be first in"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance EPOCHD_CLOCK_FILE=$dir/ahead
client=$EPOCHD_BUILD/contrib/examples/kv-client
year=$((365 * 24 * 3600))
echo 0 >"$dir/ahead"
write_config <<END
application "kv" {
	command = { "$EPOCHD_BUILD/contrib/examples/kv-server" }
	readiness = attach  restart = always
	backoff { initial = 10ms }  intensity { restarts = 100  within = 1h }
	keepalive { interval = 200ms  misses = 3  reap-lazy = 0s }
	watchdog = 5s
}
END
start()
{
	LD_PRELOAD=$shim start_epochd
}
seen()
{
	[[ $(stat_of kv .last_exit.at) == "$1"* ]]
}
# crash EPOCH: the next one comes at once.
crash()
{
	kill -s KILL "$(stat_of kv .pid)"
	await kv up "$1"
	await_that "the client in epoch $1" grep -q "^epoch $1: handle" "$dir/client"
}
start
await kv up 1
background "$client" kv >"$dir/client" 2>"$dir/client.err"
process=$!
await_that "a handle" grep -q '^epoch 1: handle' "$dir/client"
echo "$year" >"$dir/ahead"
crash 2
await_that "an end of next year" seen "$(date -u -d "@$(($(date +%s) + year))" +%Y)"
echo "-$year" >"$dir/ahead"
crash 3
await_that "an end of last year" seen "$(date -u -d "@$(($(date +%s) - year))" +%Y)"
expect_stat kv .restarts.total 2

# It is killed, and the next one starts in the past, then in the future.
kill_epochd
start
await kv up 3
expect_stat kv .restarts.total 2
crash 4
kill_epochd
echo "$year" >"$dir/ahead"
start
await kv up 4
crash 5
is_back()
{
	[ "$(ctl clients kv --json | jq '[.clients[] | select(.state == "connected")] | length')" = 1 ]
}
await_that "the client" is_back
expect_stat kv .restarts.total 4
expect_stat kv .restarts.watchdog 0
expect_stat kv .clients.reaped 0
kill -s TERM "$process"
wait "$process" || fail "the client: $(cat "$dir/client.err")"
