# What a program says of itself by sd_notify moves its deadlines and its main process, and nothing else:
# nothing that is said stands for what is not.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
notifier=$EPOCHD_BUILD/tests/lib/notifier
soon="EXTEND_TIMEOUT_USEC=1"
ln -s /bin/sleep "$dir/sleep"
# Its main process is its second one; the first has ended by then, and left one of whose origin nothing tells
# but the session.
cat >"$dir/moves" <<'END'
env -i "$2/sleep" 3600 &
left=$!
"$1" &
echo "$$ $left $!" >"$2/moved.$EPOCHD_EPOCH"
"$1" child-send "MAINPID=$!
READY=1" exit 0
END
write_config <<END
cgroup = off
application "moved" {
	command = { "/bin/sh", "$dir/moves", "$notifier", "$dir" }
	readiness = notify  restart = always  $at_once
}
application "unready" {
	command = { "$notifier", "become-child", "touch", "$dir/unready" }
	readiness = notify  start-timeout = 200ms  stop-timeout = 10s  restart = never
}
application "extended" {
	command = { "$notifier", "send", "EXTEND_TIMEOUT_USEC=2100000" }
	readiness = notify  start-timeout = 2s  restart = never
}
application "soon" {
	command = { "$notifier", "child-send", "$soon", "touch", "$dir/soon", "await", "$dir/go",
		"child-send", "READY=1", "child-send", "$soon", "touch", "$dir/soon.up" }
	readiness = notify  start-timeout = 1h  watchdog = 1h  restart = never
}
application "endless" {
	command = { "$notifier", "child-send", "$soon", "touch", "$dir/endless", "await", "$dir/go",
		"child-send", "READY=1", "child-send", "WATCHDOG_USEC=0", "child-send", "$soon",
		"touch", "$dir/endless.up" }
	readiness = notify  start-timeout = 0  watchdog = 1h  restart = never
}
application "longer" {
	command = { "$notifier", "send", "WATCHDOG_USEC=3600000000\nREADY=1" }
	readiness = notify  watchdog = 200ms  restart = never
}
application "once" {
	command = { "/bin/sh", "-c", '[ "\$EPOCHD_EPOCH" != 1 ] || "\$0" child-send WATCHDOG_USEC=1 exit 0; exec "\$0" send READY=1',
		"$notifier" }
	readiness = notify  restart = always  $at_once
}
application "own" {
	command = { "$notifier", "child-send", "WATCHDOG_USEC=500000", "touch", "$dir/own",
		"await", "$dir/adopted", "send", "READY=1" }
	readiness = notify  start-timeout = 1h  restart = never
}
application "leaver" {
	command = { "$notifier", "send", "READY=1\nSTOPPING=1", "await", "$dir/leave", "exit", "3" }
	readiness = notify  watchdog = 200ms  stop-timeout = 1h  restart = never
	health { command = { "/bin/false" }  interval = 10ms  failures = 1 }
}
application "busy" {
	command = { "$notifier", "send", "READY=1\nRELOADING=1\nEXTEND_TIMEOUT_USEC=3600000000" }
	readiness = notify  watchdog = 200ms  restart = never
}
application "packer" {
	command = { "$notifier", "send", "READY=1\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=3600000000",
		"await", "$dir/packed", "exit", "4" }
	readiness = notify  stop-timeout = 200ms  restart = never
}
application "stuck" {
	command = { "$notifier", "send", "READY=1\nSTOPPING=1" }
	readiness = notify  watchdog = 1h  stop-timeout = 100ms  restart = never
}
END
# has_moved EPOCH: sets left, second
has_moved()
{
	local first

	await moved up "$1"
	read -r first left second <"$dir/moved.$1"
	expect_stat moved .pid "$second"
	await_that "the end of its first process" gone "$first"
	! gone "$left" || fail "what the first one has begun is not there"
}
# moves_on EPOCH: its second process ends, and with it all of the incarnation
moves_on()
{
	kill -s KILL "$second"
	await moved up "$1"
	gone "$left" || fail "what the first process of epoch $(($1 - 1)) left runs on in epoch $1"
}
start_epochd

# What it was started with is a part of it, after another has become its main process.
has_moved 1
moves_on 2
has_moved 2

# An extension only ever extends: not before the deadline that was, and not where there is none. What would
# come soon has come when the loop has answered once more.
for app in soon endless; do
	await_that "what $app says while it starts" test -e "$dir/$app"
	expect_stat "$app" .state starting
	expect_stat "$app" .state starting
done
: >"$dir/go"
for app in soon endless; do
	await_that "what $app says when it is up" test -e "$dir/$app.up"
	expect_stat "$app" .state up
	expect_stat "$app" .state up
done

# Its main process is another, which is ready as little as the first was.
await unready stopped 1
[ -e "$dir/unready" ] || fail "the main process of the unready one is its first"
expect_stat unready .last_exit.cause start_timeout
await_log 'unready epoch 1: not ready within 0.2 s'

await extended stopped 1
expect_stat extended .last_exit.cause start_timeout
await_log 'extended epoch 1: not ready within (2\.[1-9]|[3-9]|[1-9][0-9])'
# By now the watchdog of the one and the stop-timeout of the other would have ended them.
expect_stat busy '"\(.state) \(.epoch)"' "up 1"
expect_stat packer '"\(.state) \(.epoch)"' "stopping 1"
: >"$dir/packed"
await packer stopped 1
expect_stat packer '.last_exit | "\(.cause) \(.code)"' "exited 4"
expect_eq "$(api '/v1/events?app=busy' | jq '[.events[] | select(.event == "reloading")] | length')" 1 \
	"how often it was told that it reloads"

# Who said that it ends has stop-timeout for that, and nobody watches it any more: by now the watchdog of
# the one that takes its time would have ended it, and its health.
await stuck stopped 1
expect_stat stuck '.last_exit | "\(.cause) \(.signal)"' "crashed SIGKILL"
await_log 'stuck epoch 1: not gone within 0.1 s'
expect_stat leaver .state stopping
! grep 'app leaver.*health command' "$log" || fail "the health of one that ends is still asked"

# The next supervisor knows what they said of their watchdogs and main processes, and asks nobody to end who
# does.
await longer up 1
await once up 2
await_that "what the one with a watchdog of its own says" test -e "$dir/own"
kill_epochd
start_epochd
: >"$dir/adopted"
await own stopped 1
expect_stat own .last_exit.cause watchdog
expect_stat once '"\(.state) \(.epoch)"' "up 2"
expect_stat longer '"\(.state) \(.epoch)"' "up 1"
expect_stat leaver .state stopping
: >"$dir/leave"
await leaver stopped 1
expect_stat leaver '.last_exit | "\(.cause) \(.code)"' "exited 3"
has_moved 2
moves_on 3
