# In a pid namespace of its own pids are really used again, of a client within one tick of start time: no process is taken for
# the one that had its pid before it. The client is reaped, the application is started again, and whoever has their pids now
# is left alone.
if [ -z "${IN_NAMESPACE:-}" ]; then
	user=-r
	[ "$(id -u)" != 0 ] || user=
	# shellcheck disable=SC2086  # none for root
	if ! unshare ${user:+-U} $user --pid --fork --mount-proc true 2>/dev/null; then
		echo "${0##*/}: skipped: needs a pid namespace" >&2
		exit 77
	fi
	# shellcheck disable=SC2086
	IN_NAMESPACE=1 exec unshare ${user:+-U} $user --pid --fork --kill-child --mount-proc bash "$0" "$@"
fi
. "${0%/*}/lib.sh"
IFS=. read -r major minor _ < <(uname -r)
[ $((major * 1000 + ${minor%%[!0-9]*})) -ge 6009 ] || skip "needs Linux 6.9, where a pidfd has an inode of its own"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
reuser=$EPOCHD_BUILD/tests/lib/reuser
write_config <<END
cgroup = off
application "kv" {
	command = { "$EPOCHD_BUILD/contrib/examples/kv-server" }
	readiness = attach  restart = always
}
application "plain" {
	command = { "/bin/sleep", "1000" }
	restart = always  backoff { initial = 0s }  intensity { within = 0s }
}
END
start_epochd
await kv up 1
await plain up 1

same=0
reaped=0
for ((i = 0; i < 30 && same < 3; i++)); do
	client=$((20000 + i))
	"$reuser" "$pid" "$client" kv >"$dir/reused" 2>"$dir/err" &
	imposter=$!
	others+=("$imposter")
	await_that "the pid to be used again" grep -q . "$dir/reused" "$dir/err"
	expect_eq "$(cat "$dir/err")" "" "what it complained of"
	kill_epochd
	reaped=$((reaped + 1))
	if [ "$(cat "$dir/reused")" = same ]; then
		same=$((same + 1))
	fi
	start_epochd
	await_that "client $client to be reaped" stat_is kv .clients.reaped "$reaped"
	expect_stat kv .clients.connected 0
	expect_stat kv .clients.registered "$reaped"
	kill -0 "$client" || fail "whoever had its pid by then was killed"
	kill -s KILL "$imposter" "$client"
done
[ "$same" -gt 0 ] || fail "no pid was used again within one tick"

# The application: killed while no supervisor looks, and its pid is somebody else's.
old=$(stat_of plain .pid)
kill_epochd
kill -s KILL "$old"
await_that "its end" gone "$old"
is_free()
{
	! [ -e "/proc/$old" ]
}
await_that "its pid to be free" is_free
background "$reuser" -t "$old" sleep 1000
is_reused()
{
	[ "$(tr '\0' ' ' 2>/dev/null <"/proc/$old/cmdline")" = "sleep 1000 " ]
}
await_that "its pid to be used again" is_reused
start_epochd
await plain up 2
[ "$(stat_of plain .pid)" != "$old" ] || fail "the imposter was adopted"
expect_stat plain .restarts.total 1
kill -0 "$old" || fail "the imposter was killed"
kill -s KILL "$old"
