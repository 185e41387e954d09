# What a crashed incarnation leaves behind, and does not want to go, is gone before the next one starts
# (I7): children that ignore SIGTERM, daemons, some with nothing in their environment. After a crash, a
# stop that was asked for, and a crash of one that was adopted.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
write_config <<END
application "forker" {
	command = { "$EPOCHD_BUILD/tests/lib/forker", "$dir/forker" }
	readiness = notify  restart = always  stop-timeout = 5s
	$at_once
}
END
start_epochd
for epoch in 1 2 3; do
	await forker up "$epoch"
	kill -s KILL "$(stat_of forker .pid)"
done
await forker up 4
ctl restart forker
await forker up 5
check_epochs_in "$dir/forker"

kill_epochd
start_epochd
await forker up 5
kill -s KILL "$(stat_of forker .pid)"
await forker up 6
check_epochs_in "$dir/forker"
expect_stat forker .restarts.total 5
expect_stat forker .restarts.asked 1

ctl stop forker
await forker stopped
find_left
for process in "${left[@]}"; do
	[ "$process" = "$pid" ] || fail "stopped, but $(tr '\0' ' ' <"/proc/$process/cmdline") lives"
done
for lock in "$dir"/forker.*; do
	flock -n "$lock" true || fail "$lock is still held after the stop"
done
