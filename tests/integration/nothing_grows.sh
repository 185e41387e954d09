# Hundreds of restarts of every kind leave no descriptor behind in the supervisor, and no memory worth
# mentioning.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
notifier=$EPOCHD_BUILD/tests/lib/notifier
write_config <<END
application "good" { command = { "$crasher", "$dir/good", "0-2", "any" }  restart = always  $at_once }
application "missing" { command = { "$dir/no-such-program" }  restart = always
	backoff { initial = 2ms  factor = 1.0 }  intensity { restarts = 1000000  within = 1s } }
application "nowhere" { command = { "/bin/true" }  directory = "$dir/no-such-place"  restart = always
	backoff { initial = 2ms  factor = 1.0 }  intensity { restarts = 1000000  within = 1s } }
application "ready" { command = { "$notifier", "send", "READY=1", "exit", "1" }  readiness = notify
	restart = always  $at_once  output { file = "$dir/out" } }
application "looked-after" { command = { "/bin/sleep", "3600" }
	health { command = { "/bin/false" }  interval = 1ms  failures = 2 }
	stop-timeout = 1s  restart = always  $at_once }
END
start_epochd
# APP COUNT
restarted()
{
	[ "$(stat_of "$1" .restarts.total)" -ge "$2" ]
}
all_restarted()
{
	local app

	for app in good missing nowhere ready looked-after; do
		await_that "$1 restarts of $app" restarted "$app" "$1"
	done
}
descriptors()
{
	local all=("/proc/$pid/fd"/*)

	printf '%s\n' ${#all[@]}
}
memory()
{
	awk '/^RssAnon/ { print $2 }' "/proc/$pid/status"
}
stopped_all()
{
	local app

	for app in good missing nowhere ready looked-after; do
		ctl stop --wait "$app" >/dev/null
	done
}
all_restarted 60
stopped_all
fds=$(descriptors) kib=$(memory)
for app in good missing nowhere ready looked-after; do
	ctl start "$app" >/dev/null
done
all_restarted 400
stopped_all
no_more_descriptors()
{
	[ "$(descriptors)" -le "$fds" ]
}
await_that "the $fds descriptors of before" no_more_descriptors
grown=$(($(memory) - kib))
say "memory: $kib KiB, then $grown KiB more"
[ -n "${SANITIZED:-}" ] || [ "$grown" -lt 2048 ] || fail "$grown KiB of memory more"
