# `epochd run` ends as its program does, hands on the signals that it gets, and says nothing where nothing
# is wrong; it restarts what fails and gives up as configured.
. "${0%/*}/lib.sh"
run=("$epochd" run --name "$instance" --runtime-dir "$runtime" --state-dir "$state")

# STATUS COMMAND...
ends_with()
{
	local wanted=$1 got=0

	shift
	"${run[@]}" --restart never -- "$@" >"$dir/out" 2>"$dir/err" || got=$?
	expect_eq "$got" "$wanted" "status of epochd run -- $*;"
}
ends_with 0 true
expect_eq "$(cat "$dir/out" "$dir/err")" "" "what is said when nothing is wrong"
ends_with 7 sh -c 'exit 7'
ends_with 137 sh -c 'kill -s KILL $$'
ends_with 143 sh -c 'kill -s TERM $$'
ends_with 0 echo spoken
expect_eq "$(cat "$dir/out")" spoken "its output"
ends_with 0 cat </dev/null
ends_with 127 "$dir/nothing-of-this-name"
expect_match "$(cat "$dir/err")" nothing-of-this-name

# --restart on-failure is what is done without a word.
status=0
"${run[@]}" -- sh -c 'echo x >>"$1"; [ "$(wc -l <"$1")" -ge 3 ]' sh "$dir/tries" 2>"$dir/err" || status=$?
expect_eq "$status" 0 "status after two failures"
expect_eq "$(wc -l <"$dir/tries")" 3 tries

cat >"$dir/signalled" <<'END'
for signal in HUP INT QUIT TERM USR1 USR2 WINCH; do
	trap "echo $signal >>'$1'" "$signal"
done
echo ready >>"$1"
until [ -e "$1.end" ]; do sleep 0.02; done
exit 5
END
said()
{
	grep -qx "$1" "$dir/signals" 2>/dev/null
}
background "${run[@]}" --restart never -- bash "$dir/signalled" "$dir/signals" 2>"$dir/err"
runner=$!
await_that "the program" said ready
for signal in HUP QUIT USR1 USR2 WINCH INT TERM; do
	kill -s "$signal" "$runner"
	await_that "$signal to arrive" said "$signal"
done
: >"$dir/signals.end"
status=0
wait "$runner" || status=$?
expect_eq "$status" 5 "status after the signals"

# What a person stopped, or what was given up, is the business of that run: the next one has its program.
background "${run[@]}" -- sleep 3600 2>"$dir/err"
runner=$!
is_up()
{
	[ "$(stat_of "$instance" .state 2>/dev/null)" = up ]
}
await_that "the program" is_up
ctl stop "$instance" >/dev/null
status=0
wait "$runner" || status=$?
expect_eq "$status" 143 "status after a stop"
ends_with 3 sh -c 'exit 3'
for turn in 1 2; do
	: >"$dir/tries"
	status=0
	"${run[@]}" -- sh -c 'echo x >>"$1"; exit 4' sh "$dir/tries" 2>"$dir/err" || status=$?
	expect_eq "$status" 4 "status of what is given up, turn $turn"
done
expect_eq "$(wc -l <"$dir/tries")" 6 "tries after it was given up before"
