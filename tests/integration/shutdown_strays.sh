# SIGTERM while that is still ended of which nothing is known but its cgroup: the supervisor ends when it is
# gone, and nothing is started.
# needs root
. "${0%/*}/lib.sh"
need_root
notifier=$EPOCHD_BUILD/tests/lib/notifier
write_config <<END
application "a" { command = { "/bin/sleep", "3600" } }
END
start_epochd
await a up 1
process=$(stat_of a .pid)
grep -q "^0::.*$instance" "/proc/$process/cgroup" || skip "needs a cgroup2 tree that can be written"
background "$notifier" hold "$process" touch "$dir/held" await "$dir/let" exit 0 2>"$dir/err"
holder=$!
is_held()
{
	[ -e "$dir/held" ] || gone "$holder"
}
await_that "the process to be held" is_held
[ -e "$dir/held" ] || skip "needs to trace: $(cat "$dir/err")"
kill_epochd
rm -rf "${segments:?}"/* "${state:?}"/*
start_epochd
await a stopping
kill -s TERM "$pid"
await_log 'shutting down'
: >"$dir/let"
wait_epochd
expect_eq "$status" 0 "the supervisor's exit status"
gone "$process" || fail "process $process still runs"
expect_eq "$(grep -c 'app a epoch .*: starting' "$log")" 1 "how often it was started"
