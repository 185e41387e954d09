# A client that does its worst, over its whole channel, with the bells and on api.sock, while another one calls at
# full rate: that one sees no error and no wrong byte, the application goes on, whoever wrote nonsense is sent away
# with the reason and nobody else is, and nothing is lost or left (I5, I6, I9).
. "${0%/*}/lib.sh"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
lib=$EPOCHD_BUILD/tests/lib
quarter=$((seconds / 4 < 15 ? seconds / 4 : 15))
write_config <<END
application "api" {
	command = { "$lib/api_server" }
	readiness = attach  restart = always
	backoff { initial = 0s }  intensity { within = 0s }
}
END
start_epochd
await api up 1
server=$(stat_of api .pid)

# The last field of a descriptor in /proc is what it is; each socket and pipe is one of its kind.
kinds_of()
{
	find "/proc/$1/fd" -mindepth 1 -printf '%l\n' | sed -E 's/\[[0-9]+\]$//; s/ \(deleted\)$//' | sort
}
are_as_before()
{
	now=$(kinds_of "$1")
	[ "$now" = "$2" ]
}

background "$lib/honest" "$dir/progress" >"$dir/honest" 2>"$dir/honest.err"
honest=$!
calls()
{
	od -An -tu8 "$dir/progress" 2>/dev/null | tr -d ' '
}
# calls_beyond COUNT
calls_beyond()
{
	! gone "$honest" || fail "the honest client: $(cat "$dir/honest.err")"
	[ "$(calls)" -gt "$1" ] 2>/dev/null
}
await_that "the honest client to be served" calls_beyond 0
of_server=$(kinds_of "$server")
of_epochd=$(kinds_of "$pid")

background "$lib/hostile" "$dir/progress" "$server" "$quarter" >"$dir/hostile" 2>"$dir/hostile.err"
hostile=$!
status=0
wait "$hostile" || status=$?
# It stops the application for a moment, and may have ended within it.
kill -s CONT "$server" || fail "the application has ended"
[ "$status" = 0 ] || fail "status $status: $(cat "$dir/hostile.err"); the honest client: $(cat "$dir/honest.err")"
say "$(grep -v ^0x "$dir/hostile" | tr '\n' ' ')"

await_log 'api_server: first: .* is gone: 4'   # EPOCHD_GONE_BROKEN
await_that "the honest client to be served afterwards" calls_beyond "$(calls)"
kill -s TERM "$honest"
status=0
wait "$honest" || status=$?
[ "$status" = 0 ] || fail "the honest client: $(cat "$dir/honest.err")"
say "$(cat "$dir/honest")"
# Another one, so that what there was before is there again.
background "$lib/honest" "$dir/progress" >"$dir/honest" 2>"$dir/honest.err"
honest=$!

one_there()
{
	[ "$(stat_of api '"\(.clients.connected) \(.epoch) \(.pid)"')" = "1 1 $server" ]
}
await_that "one client, of the same incarnation" one_there
expect_stat api .restarts.total 0
expect_stat api .clients.confused 0
await_that "the application's descriptors to be as before: $of_server" are_as_before "$server" "$of_server"
await_that "the supervisor's descriptors to be as before: $of_epochd" are_as_before "$pid" "$of_epochd"

# Each with its reason, and nobody but those that were told.
sed -n 's/^\(0x[0-9a-f]*\) .*: sent_away$/\1/p' "$dir/hostile" | sort >"$dir/told"
said()
{
	sed -nE 's/.*app api epoch 1: client (0x[0-9a-f]{16}) is sent away: ..*/\1/p' "$log" | sort
}
all_said()
{
	[ "$(said | wc -l)" -ge "$(wc -l <"$dir/told")" ]
}
await_that "those that were told so to be sent away in the log" all_said
said >"$dir/said"
cmp -s "$dir/told" "$dir/said" ||
	fail "sent away in the log, and told: $(diff "$dir/said" "$dir/told"); what they did: $(cat "$dir/hostile")"
await_log "api: pid $hostile, uid [0-9]+: .* \(malformed\); this is said once"
expect_eq "$(api /v1/stats | jq .supervisor.refused.broken)" "$(wc -l <"$dir/told")" "how many are counted as broken;"
for reason in "a line holds a number that is not its own" "a line is of no known kind" \
	"a message is larger than its line" "a line names a buffer that does not exist" \
	"a message is larger than its buffer" "a line names a buffer that was released" \
	"a line names a large buffer that was never made" "a message is not as large as its type" "its counters make no sense" "it has no channel's magic"; do
	await_log "is sent away: $reason"
done
