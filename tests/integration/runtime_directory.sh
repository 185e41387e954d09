# Whatever the ends before were like: a start keeps in the runtime directory only what those need that live, and
# a clean end leaves nothing. One whose output is not configured any more does not wait for a reader.
. "${0%/*}/lib.sh"
notifier=$EPOCHD_BUILD/tests/lib/notifier
cat >"$dir/talker" <<'END'
trap 'echo told >"$1/told"; exit' TERM
until [ -e "$1/go" ]; do sleep 0.02; done
: >"$1/going"
head -c 8000000 /dev/zero   # more than the pipe holds
while :; do sleep 0.02; done
END
both()   # NAME
{
	printf 'application "%s" { command = { "%s", "send", "READY=1" }  readiness = notify %s }\n' \
		"$1" "$notifier" "output { file = \"$dir/$1.log\" }"
}
write_config <<END
application "ended" { command = { "/bin/true" }  restart = never  output { file = "$dir/ended.log" } }
$(for app in lives dies goes; do both "$app"; done)
application "talker" {
	command = { "$BASH", "$dir/talker", "$dir" }
	output { file = "$dir/talker.log" }
}
END
is_there()   # NAME...: in the two folders, nothing else
{
	expect_eq "$(cd "$runtime/$instance" && find notify output -mindepth 1 | sort | paste -sd' ')" "$*" \
		"what is in the runtime directory"
}
start_epochd
for app in lives dies goes talker; do
	await "$app" up 1
done
await ended stopped 1
is_there notify/dies.1 notify/goes.1 notify/lives.1 \
	output/dies.fifo output/ended.fifo output/goes.fifo output/lives.fifo output/talker.fifo
dead=("$(stat_of dies .pid)" "$(stat_of goes .pid)")
process=$(stat_of talker .pid)
kill_epochd
: >"$dir/go"
kill -s KILL "${dead[@]}"
for main in "${dead[@]}"; do
	await_that "the end of $main" gone "$main"
done
await_that "the talker to talk" [ -e "$dir/going" ]
write_config <<END
$(both lives)
application "dies" { command = { "/bin/sleep", "3600" } }
END
start_epochd
await dies up
await_that "the end of the talker" gone "$process"
[ -e "$dir/told" ] || fail "the talker was killed, waiting for a reader"
await_log 'app talker epoch 1: removed'
is_there notify/lives.1 output/lives.fifo
stop_epochd
expect_eq "$(find "$runtime" -mindepth 1)" "" "what a clean end left"
