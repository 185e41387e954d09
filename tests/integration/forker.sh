# What a crashed incarnation leaves behind, and does not want to go, is gone before the next one starts
# (I7): children that ignore SIGTERM, daemons, some with nothing in their environment. After a crash, a
# stop that was asked for, and a crash of one that was adopted.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
forker=$EPOCHD_BUILD/tests/lib/forker
write_config <<END
application "forker" {
	command = { "$forker", "$dir/forker" }
	readiness = notify  restart = always  stop-timeout = 5s
	$at_once
}
# Without a cgroup, nothing tells whose a daemon is that wiped its environment, once its supervisor died.
application "adopted" {
	command = { "$forker", "$dir/adopted", "only", "child", "grandchild", "orphan", "grouped",
		"daemonised", "cleaned" }
	readiness = notify  restart = always
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
expect_stat forker .restarts.total 4
expect_stat forker .restarts.asked 1

await adopted up 1
kill_epochd
start_epochd
await adopted up 1
kill -s KILL "$(stat_of adopted .pid)"
await adopted up 2
check_epochs_in "$dir/adopted"
await forker up 5
if grep -q "$instance" "/proc/$(stat_of forker .pid)/cgroup"; then
	kill -s KILL "$(stat_of forker .pid)"
	await forker up 6
	check_epochs_in "$dir/forker"
	ctl stop forker
	await forker stopped
	for lock in "$dir"/forker.*; do
		flock -n "$lock" true || fail "$lock is still held after the stop"
	done
fi

ctl stop adopted
await adopted stopped
for lock in "$dir"/adopted.*; do
	flock -n "$lock" true || fail "$lock is still held after the stop"
done
