# What ends is restarted as its policy says: always, on failure, never; a start that fails or takes too long
# is one cause, bad health another. What a person wanted survives the supervisor.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
notifier=$EPOCHD_BUILD/tests/lib/notifier
write_config <<END
application "always" { command = { "$crasher", "$dir/always", "0", "exit:0" }  restart = always  $at_once }
application "failed" { command = { "$crasher", "$dir/failed", "0", "exit:1" }  restart = on-failure  $at_once }
application "done" { command = { "$crasher", "$dir/done", "0", "exit:0" }  restart = on-failure  $at_once }
application "never" { command = { "$crasher", "$dir/never", "0", "signal:11" }  restart = never  $at_once }
application "missing" {
	command = { "$dir/no-such-program" }
	backoff { initial = 1h  max = 1h }
}
application "late" {
	command = { "$notifier", "append", "$dir/late", "started" }
	readiness = notify  start-timeout = 50ms  restart = always
	$at_once
}
application "early" { command = { "$crasher", "$dir/early", "0", "exit:0" }  readiness = notify  restart = never }
application "sick" {
	command = { "$crasher", "$dir/sick", "never", "any" }
	restart = always
	health { command = { "/bin/test", "!", "-e", "$dir/plague" }  interval = 50ms  timeout = 10s  failures = 2 }
	$at_once
}
application "waits" {
	command = { "$crasher", "$dir/waits", "0", "exit:1" }
	backoff { initial = 1h  max = 1h  jitter = 0.0 }
}
END
cause_at_least()
{
	[ "$(stat_of "$1" ".restarts.$2")" -ge "$3" ]
}
start_epochd
await_starts "$dir/always" 3
await_starts "$dir/failed" 3
await_that "three restarts of the one that exits" cause_at_least always exited 3
await "done" stopped 1
await never stopped 1
expect_stat never .last_exit.signal SIGSEGV
expect_stat "done" .last_exit.code 0
await missing backoff 1
expect_stat missing .last_exit.cause start_failed
expect_match "$(stat_of missing .retry_at)" '^20[0-9-]+T'
await_that "two starts that took too long" cause_at_least late start_timeout 2
await early stopped 1
expect_stat early .last_exit.cause start_failed
await sick up 1
: >"$dir/plague"
await_that "the end of the sick one" cause_at_least sick health 1
rm "$dir/plague"
await sick up
await waits backoff 1
expect_stat waits .pid null

# A person has the last word, also about what waits, also through the death of the supervisor.
ctl stop waits sick
await waits stopped
await sick stopped
kill_epochd
start_epochd
expect_stat waits .state stopped
expect_stat sick .state stopped
ctl start sick
await sick up
ctl restart sick
await_that "the restart asked for" cause_at_least sick asked 1
process=$(stat_of never .pid)
expect_eq "$process" null
! ctl signal never USR1 2>"$dir/refused" || fail "a signal was sent to nobody"
expect_stat never .epoch 1
calm "$dir/always" "$dir/failed"
check_counts always "$dir/always"
check_counts failed "$dir/failed"
