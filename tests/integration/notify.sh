# What a program says of itself by sd_notify moves its deadlines and its main process, and nothing else:
# nothing that is said stands for what is not.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
notifier=$EPOCHD_BUILD/tests/lib/notifier
write_config <<END
cgroup = off
application "unready" {
	command = { "$notifier", "become-child", "touch", "$dir/unready" }
	readiness = notify  start-timeout = 200ms  stop-timeout = 10s  restart = never
}
END
start_epochd
# Its main process is another, which is ready as little as the first was.
await unready stopped 1
[ -e "$dir/unready" ] || fail "the main process of the unready one is its first"
expect_stat unready .last_exit.cause start_timeout
await_log 'unready epoch 1: not ready within 0.2 s'
