# What an application receives and sends is written down, through its end and the supervisor's; shown by the messages' own
# declarations; and sent again to the next incarnation, whose replies are compared.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
modular=$EPOCHD_BUILD/tests/lib/modular
caller=$EPOCHD_BUILD/tests/lib/caller
use_faulty

# set WHICH WORDS
set_served()
{
	configure_served modular "\"$modular\"${1:+, \"$1\"}" "$2"
}
# traced FILTER: of the trace of the epoch that runs
traced()
{
	api /v1/apps/modular/trace | jq -c ".trace | $1"
}
# file_of EPOCH: that was saved
file_of()
{
	ctl incarnations modular --json | jq -r ".incarnations[] | select(.epoch == $1).trace"
}
is_saved()
{
	[ "$(file_of "$1")" != null ]
}
# entries FILE FILTER
entries()
{
	ctl trace show "$1" --json | jq -c "$2"
}

# ---- by hand: on, off, and what is kept ----

serve modular "\"$modular\"" ""
expect_match "$(ctl trace modular)" 'modular is not traced'
ctl trace modular save "$dir/none" 2>"$dir/err" && fail "there was nothing to save"
expect_match "$(cat "$dir/err")" 'has no trace of epoch 1: .epochctl trace modular on. begins one'
ctl trace modular on --messages 10 >"$dir/out"
"$caller" modular 20 >"$dir/n"
expect_eq "$(traced '[.messages, .first, .keeps]')" '[40,30,"last"]' "its status;"
ctl trace modular save "$dir/last"
expect_eq "$(entries "$dir/last" '[.entries[].number] | [length, .[0], .[-1]]')" '[10,31,40]' "numbers of the last ten;"
expect_eq "$(entries "$dir/last" '.entries[0] | [.kind, .message, .fields]')" \
	'["received","alpha.add",{"terms":[15,1,2,3]}]' "the first of them;"
expect_match "$(ctl trace show "$dir/last" --range 40)" 'sent +0x[0-9a-f]{16}  alpha.sum \{"sum": 25\}'
ctl trace modular on --first --messages 10 >"$dir/out"
"$caller" modular 20 >"$dir/n"
ctl trace modular off >"$dir/out"
"$caller" modular 20 >"$dir/n"
ctl trace modular save "$dir/first"
expect_eq "$(entries "$dir/first" '[.entries[].number] | [length, .[0], .[-1]]')" '[10,1,10]' "numbers of the first ten;"
expect_eq "$(traced .missed)" 30 "what was not written: nothing is after off;"
expect_eq "$(stat -c %a "$dir/first")" 600 "mode of the file;"

# What the application could not send is there as well, and is not expected when it is sent again.
ctl trace modular on >"$dir/out"
ctl call modular beta.hush --timeout 50ms 2>"$dir/err" || :
unhandled()
{
	[ "$(traced .messages)" -gt 0 ] || { ctl call modular beta.hush --timeout 50ms 2>"$dir/err" || :; false; }
}
await_that "a message that nobody handles to be in the trace" unhandled
ctl trace modular off >"$dir/out"
stop_epochd
[ -f "$state/$instance/traces/modular-1.trace" ] || fail "the trace was not saved as the supervisor ended"

# ---- 100,000 messages through SIGKILL, and again to the next incarnation ----

set_served "" 'trace { on = true  size = "16M"  saved = 2 }'
start_epochd
await modular up
epoch=$(stat_of modular .epoch)
"$caller" modular 10000000 26000 >"$dir/n1" &
one=$!
"$caller" modular 10000000 26000 >"$dir/n2" &
two=$!
has_enough()
{
	[ "$(traced .messages)" -gt 100000 ]
}
await_that "100,000 messages" has_enough
kill -s KILL "$(stat_of modular .pid)"
wait "$one" "$two"
await_that "the trace to be saved" is_saved "$epoch"
await modular up
file=$(file_of "$epoch")
entries "$file" '.entries | [length, .[0].number, (map(select(.kind == "sent")) | length),
	(map(select(.kind == "received")) | length)] | @tsv' | tr -d '"' >"$dir/counts"
IFS=' ' read -r all first sent received < <(sed 's/\\t/ /g' "$dir/counts")
expect_eq "$first" 1 "number of the first one: all of them are there;"
[ "$all" -gt 100000 ] || fail "$all messages only"
# I5: of what a client has seen nothing is missing.
[ "$sent" -ge $(($(cat "$dir/n1") + $(cat "$dir/n2"))) ] || fail "$sent replies; clients had $(cat "$dir/n1" "$dir/n2")"
[ "$received" -ge "$sent" ] && [ "$received" -le $((sent + 2)) ] || fail "$received received, $sent sent"
ctl trace replay "$file" modular --json >"$dir/replay"
expect_eq "$(jq -c '[.clients, .sent, .replies, .differ]' "$dir/replay")" "[2,$received,$sent,0]" "the replay;"
expect_match "$(ctl trace replay "$file" modular --range 11-30)" '10 messages of [12] clients? sent again, 10 replies: all as they were'

# ---- what differs is told, and what cannot be sent is not ----

set_served wrong 'trace { on = true  size = "16M"  saved = 2 }'
ctl reload --wait >"$dir/out"
await modular up
status=0
ctl trace replay "$dir/last" modular >"$dir/out" || status=$?
expect_eq "$status" 1 "status of a replay that differs;"
expect_match "$(cat "$dir/out")" '5 differ
  32
    was      alpha.sum \{"sum":21\}
    is       alpha.sum \{"sum":22\}'
set_served wide 'trace { on = true  saved = 2 }'
ctl reload --wait >"$dir/out"
await modular up
status=0
ctl trace replay "$dir/last" modular 2>"$dir/err" || status=$?
expect_eq "$status" 4 "status of a replay to another message;"
expect_match "$(cat "$dir/err")" 'alpha.add is another message by now: the trace has alpha.add\(u32 terms\[4\]\), modular has alpha.add\(u64'

# ---- through the supervisor's end ----

set_served "" 'trace { on = true  size = "64K"  saved = 2 }'
ctl reload --wait >"$dir/out"
await modular up
ctl trace modular on --size 128K >"$dir/out"
"$caller" modular 5 >"$dir/n"
kill_epochd
start_epochd
await_log 'pid [0-9]+ is back'
"$caller" modular 5 >"$dir/n"
expect_eq "$(traced '[.messages, .size]')" '[20,131072]' "the trace that goes on;"
epoch=$(stat_of modular .epoch) process=$(stat_of modular .pid)
kill_epochd
kill -s KILL "$process"
start_epochd
await modular up
await_that "what nobody was there to save to be saved" is_saved "$epoch"
expect_eq "$(entries "$(file_of "$epoch")" '.entries | length')" 20 "its messages;"
expect_eq "$(api /v1/apps/modular/trace | jq -c '[.on, .size]')" '[true,131072]' "what goes on in the next epoch;"
expect_eq "$(api /v1/apps/modular/trace | jq '.saved | length')" 2 "how many are kept;"
expect_eq "$(find "$state/$instance/traces" -type f | wc -l)" 2 "how many files there are;"
expect_eq "$("$EPOCHD_BUILD/epochctl" --db "$state/$instance/epochd.db" incarnations modular --json | jq -r ".incarnations[] | select(.epoch == $epoch).trace")" \
	"$state/$instance/traces/modular-$epoch.trace" "the file as the database's reader names it;"

for point in trace_renamed trace_saved; do
	stop_epochd
	EPOCHD_FAULT=$point:1 start_epochd
	await modular up
	epoch=$(stat_of modular .epoch)
	"$caller" modular 5 >"$dir/n"
	kill -s KILL "$(stat_of modular .pid)"
	wait_epochd
	expect_eq "$status" 137 "status of the supervisor, which never passed $point;"
	start_epochd
	await_that "epoch $epoch to be saved after a death at $point" is_saved "$epoch"
	expect_eq "$(entries "$(file_of "$epoch")" '.entries | length')" 10 "its messages;"
	await modular up
done

# ---- what cannot be saved does not fill the memory ----

rm -r "$state/$instance/traces"
: >"$state/$instance/traces"
epoch=$(stat_of modular .epoch)
kill -s KILL "$(stat_of modular .pid)"
await_log "epoch $epoch: its trace is lost"
await modular up $((epoch + 1))
expect_eq "$(find "$segments" -name '.traced*')" "" "what is left in memory;"
stop_epochd
