# `epochctl messages`: numbers, names, CRCs and versions of what an application understands, and what of it has changed.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
serve modular "\"$EPOCHD_BUILD/tests/lib/modular\"" ""
ctl messages modular --json >"$dir/now"
expect_eq "$(jq -c '[.modules[] | [.name, .version]]' "$dir/now")" '[["alpha","1.2"]]' "the modules;"
expect_eq "$(jq -r '.messages[] | "\(.id) \(.name) \(.size) \(.tail) \(.in_place) \(.callable)"' "$dir/now")" \
"1 alpha.add 16 false false true
2 alpha.sum 8 false false false
3 beta.echo 64 true false true
4 beta.hush 1 false false true
5 beta.secret 1 false true false
6 beta.slow 4 false false true" "the messages;"
expect_eq "$(jq -r '.messages[0].layout' "$dir/now")" 'alpha.add(u32 terms[4])' "a layout;"
# CRC-32 of that, as any other program has it.
expect_eq "$(jq -r '.messages[0].crc' "$dir/now")" \
	"0x$(printf 'alpha.add(u32 terms[4])' | gzip -c | tail -c 8 | od -An -tx4 -N4 --endian=little | tr -d ' ')" "a CRC;"
# What was counted of each is the application's, also through the supervisor's death.
count_of()
{
	ctl messages modular --json | jq -c ".messages[$1 - 1].counts"
}
for _ in 1 2 3; do
	ctl call modular alpha.add >"$dir/reply"
done
kill_epochd
start_epochd
await_log 'pid [0-9]+ is back'
ctl call modular alpha.add >"$dir/reply"
expect_eq "$(count_of 1)" '{"received":4,"sent":0,"errors":{"unhandled":0,"misfit":0,"would_block":0}}' "alpha.add's counts;"
expect_eq "$(count_of 2)" '{"received":0,"sent":4,"errors":{"unhandled":0,"misfit":0,"would_block":0}}' "alpha.sum's counts;"
was_unhandled()
{
	ctl call modular beta.hush --timeout 50ms 2>"$dir/reply" || :
	[ "$(count_of 4 | jq '.received > 0 and .received == .errors.unhandled')" = true ]
}
await_that "beta.hush to be counted" was_unhandled
expect_match "$(ctl messages modular)" '1 +alpha.add +0x[0-9a-f]{8} +16 +1.2 +yes +4 +0 +0 +\(u32 terms\[4\]\)'
expect_match "$(api /metrics)" 'epochd_message_received_total\{app="modular",message="alpha.add"\} 4
'
expect_eq "$(ctl messages modular --compare "$dir/now")" "the same messages"

# What was written before another version of it.
jq '.messages[1].crc = "0x00000000" | .messages[1].layout = "alpha.sum(u32 sum)" | .messages[0].id = 9 |
	.messages[3].name = "beta.quiet" | .messages[3].layout = "beta.quiet(u8 a)"' "$dir/now" >"$dir/before"
status=0
ctl messages modular --compare "$dir/before" >"$dir/changes" || status=$?
expect_eq "$status" 1 "status where something has changed;"
expect_eq "$(cat "$dir/changes")" "changed alpha.sum(u32 sum)
     to alpha.sum(u64 sum)
removed beta.quiet(u8 a)
added beta.hush(u8 a)"
expect_eq "$(ctl messages modular --compare "$dir/before" --json | jq -c '[.changes[] | [.change, .name]]')" \
	'[["changed","alpha.sum"],["removed","beta.quiet"],["added","beta.hush"]]' "the changes;"
status=0
ctl messages modular --compare "$dir/epochd.conf" 2>"$dir/err" || status=$?
expect_eq "$status" 2 "status where there is nothing to compare with;"
