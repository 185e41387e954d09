# Who stops beating, or asks for it, is ended with SIGABRT and counted under watchdog; one that beats is
# left alone. What a program says about itself is shown; MAINPID= and senders are checked.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
notifier=$EPOCHD_BUILD/tests/lib/notifier
write_config <<END
application "silent" {
	command = { "$notifier", "environment", "$dir/environment", "send", "READY=1" }
	readiness = notify  watchdog = 200ms  restart = always  $at_once
}
application "beating" {
	command = { "$notifier", "send", "READY=1", "beat", "100" }
	readiness = notify  watchdog = 20s  restart = always  $at_once
}
application "trigger" {
	command = { "$notifier", "send", "READY=1\nSTATUS=all is well", "await", "$dir/trigger",
		"send", "WATCHDOG=trigger" }
	readiness = notify  watchdog = 1h  restart = never
}
application "hasty" {
	command = { "$notifier", "send", "WATCHDOG=trigger" }
	readiness = notify  start-timeout = 1h  restart = never
}
application "deaf" {
	command = { "$notifier", "ignore", "6", "send", "READY=1", "send", "WATCHDOG=trigger" }
	readiness = notify  watchdog = 1h  stop-timeout = 100ms  restart = never
}
application "child" {
	command = { "$notifier", "child-send", "STATUS=a child said so", "child-send", "READY=1" }
	readiness = notify
}
END
has_epoch()
{
	[ "$(stat_of "$1" .epoch)" -ge "$2" ]
}
start_epochd
await silent up
await_that "epoch 3 of the silent one" has_epoch silent 3
expect_stat silent .last_exit.cause watchdog
expect_stat silent .last_exit.signal SIGABRT
[ "$(stat_of silent .restarts.watchdog)" -ge 2 ] || fail "missed beats are not counted"
expect_stat silent .restarts.crashed 0
grep -qx 'WATCHDOG_USEC=200000' "$dir/environment" || fail "$(cat "$dir/environment")"
grep -qx 'EPOCHD_APP=silent' "$dir/environment" || fail "$(cat "$dir/environment")"
grep -qx "EPOCHD_INSTANCE=$instance" "$dir/environment" || fail "$(cat "$dir/environment")"
for name in EPOCHD_EPOCH EPOCHD_SOCKET EPOCHD_TOKEN NOTIFY_SOCKET; do
	grep -q "^$name=." "$dir/environment" || fail "no $name in $(cat "$dir/environment")"
done
ctl stop silent

await trigger up 1
expect_stat trigger .status_text "all is well"
: >"$dir/trigger"
await trigger stopped 1
expect_stat trigger .last_exit.cause watchdog
expect_stat trigger .last_exit.signal SIGABRT

await hasty stopped 1
expect_stat hasty .last_exit.cause watchdog
expect_stat hasty .last_exit.signal SIGABRT

await deaf stopped 1
expect_stat deaf .last_exit.cause watchdog
expect_stat deaf .last_exit.signal SIGKILL

await child up 1
expect_stat child .status_text "a child said so"
await beating up 1
expect_stat beating .restarts.total 0
