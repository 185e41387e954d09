# What a crashed incarnation leaves behind, and does not want to go, is gone before the next one starts
# (I7): children that ignore SIGTERM, in other process groups and sessions, with nothing in their
# environment. After a crash, a restart that was asked for, and the crash of one that was adopted.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
forker=$EPOCHD_BUILD/tests/lib/forker
# Without a cgroup nothing tells whose a daemon is that wiped its environment: only `hidden` has one.
write_config <<END
application "forker" {
	command = { "$forker", "$dir/forker", "only", "child", "grandchild", "orphan", "grouped",
		"daemonised", "cleaned" }
	readiness = notify  restart = always  stop-timeout = 5s
	$at_once
}
application "hidden" {
	command = { "$forker", "$dir/hidden" }
	readiness = notify  restart = always  stop-timeout = 5s
	$at_once
}
END
start_epochd
apps=(forker hidden)
await hidden up 1
if api /v1/stats | jq -e '.supervisor.warnings[] | select(.code == "no_cgroup")' >/dev/null; then
	apps=(forker)
	ctl stop hidden
	await hidden stopped
	find_left
	for process in "${left[@]}"; do
		if grep -qF "$dir/hidden" "/proc/$process/cmdline"; then
			kill -s KILL "$process"
		fi
	done
fi
for app in "${apps[@]}"; do
	for epoch in 1 2 3; do
		await "$app" up "$epoch"
		kill -s KILL "$(stat_of "$app" .pid)"
	done
	await "$app" up 4
	ctl restart "$app"
	await "$app" up 5
	check_epochs_in "$dir/$app"
	expect_stat "$app" .restarts.total 4
	expect_stat "$app" .restarts.asked 1
done

kill_epochd
start_epochd
for app in "${apps[@]}"; do
	await "$app" up 5
	kill -s KILL "$(stat_of "$app" .pid)"
	await "$app" up 6
	check_epochs_in "$dir/$app"
	ctl stop "$app"
	await "$app" stopped
	for lock in "$dir/$app".*; do
		flock -n "$lock" true || fail "$lock is still held after the stop"
	done
done
