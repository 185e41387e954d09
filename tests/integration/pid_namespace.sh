# A supervisor in a pid namespace of its own, as in a container, and clients outside of it, of whom it sees no pid: only their
# sessions tell. One that dies is gone at once; one that is stopped is lazy, and answers again.
. "${0%/*}/lib.sh"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
user=
[ "$(id -u)" = 0 ] || user=-Ur
# shellcheck disable=SC2086  # none for root
unshare $user --pid --fork --mount-proc true 2>/dev/null || skip "needs a pid namespace"
client=$EPOCHD_BUILD/contrib/examples/kv-client
write_config <<END
cgroup = off
application "kv" {
	command = { "$EPOCHD_BUILD/contrib/examples/kv-server" }
	readiness = attach  restart = always
	keepalive { interval = 100ms  misses = 2 }
}
END
# shellcheck disable=SC2086
unshare $user --pid --fork --kill-child --mount-proc "$epochd" -c "$config" --instance "$instance" --runtime-dir "$runtime" \
	--state-dir "$state" </dev/null >>"$log" 2>&1 &
pid=$!
await_that "an answer on control.sock" answers
await kv up 1
for name in one two; do
	background "$client" kv >"$dir/$name" 2>"$dir/$name.err"
	eval "$name=\$!"
	await_that "a handle of $name" grep -q '^epoch 1: handle' "$dir/$name"
done
expect_eq "$(ctl clients kv --json | jq -c '[.clients[].pid]')" '[0,0]' "the pids that are seen"
# shellcheck disable=SC2154  # by eval
kill -s STOP "$one"
await_stat kv .clients.lazy 1
expect_stat kv .clients.connected 2
kill -s CONT "$one"
await_stat kv .clients.lazy 0
# shellcheck disable=SC2154
kill -s KILL "$two"
await_stat kv .clients.connected 1
expect_stat kv .clients.reaped 1
kill -s TERM "$one"
wait "$one" || fail "the first one: $(cat "$dir/one.err")"
ctl shutdown --wait >"$dir/out"
wait "$pid" || fail "status $?"
pid=
