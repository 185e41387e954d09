# `epochd run` ends as its program does, hands on the signals that it gets, and says nothing where nothing
# is wrong; it restarts what fails and gives up as configured.
. "${0%/*}/lib.sh"
run=("$epochd" run --name "$instance" --runtime-dir "$runtime" --state-dir "$state")

notifier=$EPOCHD_BUILD/tests/lib/notifier

# SIGTERM is the program's, but one that ignores it is killed after a while: see the end of this test.
background "$epochd" run --name "${instance}deaf" --runtime-dir "$runtime" --state-dir "$state" -- \
	"$notifier" ignore 15 touch "$dir/deaf" 2>"$dir/deaf.err"
deaf=$!
await_that "the deaf program" [ -e "$dir/deaf" ]
kill -s TERM "$deaf"

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

# What a person stopped is the business of that run: the next one has its program.
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

# A command that is not there is told at once, not after all restarts.
status=0
"${run[@]}" -- "$dir/nothing-of-this-name" 2>"$dir/err" || status=$?
expect_eq "$status" 127 "status of a command that is not there"
expect_eq "$(grep -c 'start failed: exec .*nothing-of-this-name: No such file' "$dir/err")" 1 \
	"how often that is said"
status=0
"${run[@]}" -- "$dir" 2>"$dir/err" || status=$?
expect_eq "$status" 126 "status of what is no program"

# One that was fatal, or stopped, is started again by the next `epochd run`, with a clean sheet.
ends_with 0 true
for round in 1 2; do
	status=0
	"${run[@]}" -- sh -c 'echo x >>"$1"; exit 4' sh "$dir/fatal$round" 2>"$dir/err" || status=$?
	expect_eq "$status" 4 "status of what was given up, round $round"
	expect_eq "$(wc -l <"$dir/fatal$round")" 6 "runs in round $round"
done
expect_match "$(cat "$dir/err")" 'fatal: 5 restarts within 60 s are used up$' "what is said then"

# Without a state directory that it can write, the database is in the runtime directory, and that is said.
: >"$dir/no-directory"
"$epochd" run --name "$instance" --runtime-dir "$runtime" --state-dir "$dir/no-directory" -- true \
	2>"$dir/err"
expect_match "$(cat "$dir/err")" "no writable state directory: .* as long as $runtime/$instance does" \
	"what is said about the state directory"
[ -e "$runtime/$instance/epochd.db" ] || fail "no database in the runtime directory"
rm -r "${runtime:?}/$instance"

# A start that fails leaves nothing behind.
status=0
"${run[@]}" --http 192.0.2.1:1 -- true 2>"$dir/err" || status=$?
expect_eq "$status" 1 "status when it cannot listen"
[ ! -e "/dev/shm/epochd-$(id -u)-$instance" ] || fail "a start that failed left its segments"
[ ! -e "$runtime/$instance" ] || fail "it left $(ls -A "$runtime/$instance") in its runtime directory"

# On a terminal: ^Z stops the program and epochd with it, so that the shell has the terminal again; `fg` lets
# both go on, and the program reads what is typed.
steps()
{
	printf '%s\t%s\n' "$@"
}
# on_terminal TEXT ACTION...: in a shell there
on_terminal()
{
	status=0
	EXPECT=$(steps 'P> ' "$@" 'P> ' 'type exit') PS1='P> ' /usr/bin/python3 \
		"$EPOCHD_SOURCE/tests/lib/terminal.py" 400 /bin/bash --norc -i >"$dir/terminal" 2>&1 || status=$?
	expect_eq "$status" 0 "status on a terminal, which showed $(cat "$dir/terminal");"
}
on_terminal "type ${run[*]} --restart never -- sh -c 'echo u\"\"p; read x; echo got-\$x; exit 3'" \
	up suspend Stopped 'type fg' 'exit 3' 'type word' got-word 'type echo status-$?' status-3 'go on'

# ^C is the program's, and the end of it all, whatever the policy and however the program takes it; also while
# there is no program.
for what in '--restart always -- sh -c "echo u\"\"p; exec sleep 3600"' \
	'-- sh -c "trap \"exit 130\" INT; echo u\"\"p; while :; do sleep 0.02; done"'; do
	on_terminal "type ${run[*]} $what" up interrupt 'P> ' 'type echo ended-$?' ended-130 'go on'
	! grep -q 'exited with' "$dir/terminal" || fail "^C was told as an error: $(cat "$dir/terminal")"
done
on_terminal "type ${run[*]} -- sh -c 'exit 9'" 'epoch 3' interrupt 'P> ' 'type echo ended-$?' ended- 'go on'
! grep -q 'fatal:' "$dir/terminal" || fail "^C was lost between two incarnations: $(cat "$dir/terminal")"

# In the background the terminal is the shell's, and stays so through a restart. Nothing is forked once it can
# be stopped: who waits for a vfork is not.
cat >"$dir/again" <<'END'
mkdir "$1" 2>/dev/null && first=yes
echo running-now
[ "$first" ] || exec sleep 3600
exec "$2" await "$1/crash" exit 1
END
on_terminal "type ${run[*]} --restart always -- sh $dir/again $dir/first $notifier" running-now \
	suspend Stopped 'type bg' 'P> ' "sh : >$dir/first/crash" running-now \
	'type echo alive-$((40 + 2))' alive-42 'type kill %1; wait %1; echo over-$?' over-143 'go on'

await_that "the end of what ignored SIGTERM" gone "$deaf"
status=0
wait "$deaf" || status=$?
expect_eq "$status" 137 "status of what ignored SIGTERM"
expect_eq "$("$epochctl" --db "$state/${instance}deaf/epochd.db" stats --json | jq -r '.apps[0].last_exit.cause')" asked \
	"the cause of its end"
