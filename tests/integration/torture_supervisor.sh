# The supervisor is killed with SIGKILL at random moments, its start among them, while its applications
# crash on their own: epochs only grow, none is used twice, restarts counted are those that the
# applications wrote down themselves, and nothing that still runs is started a second time. 200 times in
# EPOCHD_TEST_SECONDS=60, fewer in less. torture_supervisor_6_1.sh is the same on an older kernel.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
kills=$(((200 * seconds + 59) / 60))
write_config <<END
application "frantic" {
	command = { "$crasher", "$dir/frantic", "0-40", "any" }
	restart = always  $at_once
}
application "nervous" {
	command = { "$crasher", "$dir/nervous", "20-300", "any" }
	restart = always
	backoff { initial = 10ms  factor = 2.0  max = 50ms  jitter = 0.5 }
	intensity { restarts = 1000000  within = 1s }
}
application "killed" {
	command = { "$crasher", "$dir/killed", "5-150", "signal:9" }
	restart = on-failure  $at_once
}
application "steady" {
	command = { "$crasher", "$dir/steady", "never", "any" }
	restart = always  $at_once
}
END
apps=(frantic nervous killed steady)
end=$((SECONDS + seconds))
killed=0
while [ "$killed" -lt "$kills" ] && [ "$SECONDS" -lt "$end" ]; do
	launch_epochd
	sleep "0.$(printf '%03d' $((RANDOM % 300)))"
	kill -0 "$pid" || fail "the supervisor ended by itself"
	kill_epochd
	killed=$((killed + 1))
done
say "killed $killed times"
start_epochd
for app in "${apps[@]}"; do
	await "$app" up
done
calm "$dir/frantic" "$dir/nervous" "$dir/killed"
for app in "${apps[@]}"; do
	await "$app" up "$(last_epoch_in "$dir/$app")"
	check_counts "$app" "$dir/$app"
	say "$app: $(starts_in "$dir/$app") starts, epoch $(last_epoch_in "$dir/$app")"
done
expect_eq "$(starts_in "$dir/steady")" 1 "starts of the one that never ends"
# One that was killed before it opened the store was no run.
unclean=$(api /v1/stats | jq .supervisor.unclean_runs)
[ "$unclean" -gt 0 ] && [ "$unclean" -le "$killed" ] || fail "$unclean unclean runs, $killed were killed"
stop_epochd
for app in "${apps[@]}"; do
	expect_eq "$(stored "$app" .restarts.total)" $(($(starts_in "$dir/$app") - 1)) \
		"restarts of $app in the store"
done
