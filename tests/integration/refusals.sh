# Each thing that is refused is counted under its own reason, and the first of it is logged: packets of nobody, registrations
# without a name, answers to pings that nobody sent, clients that there are not, memory that is given back twice. (Clients that
# write nonsense: hostile.sh. Handles: fenced.sh, clients.sh. Slots that contradict themselves: confused.sh.)
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
refused=$EPOCHD_BUILD/tests/lib/refused
serve refused "\"$refused\", \"serve\"" ""

counted()
{
	api /v1/stats | jq -c '.supervisor.refused'
}
expect_eq "$(counted)" '{"malformed":0,"out_of_turn":0,"unnamed":0,"unregistered":0,"stray_pong":0,"unknown_client":0,"double_free":0,"broken":0}' \
	"what is refused at first;"
for reason in malformed out_of_turn unnamed unregistered stray_pong unknown_client; do
	for times in 1 2; do
		"$refused" say "$runtime/$instance/api.sock" "$reason" || fail "$reason: status $?"
		expect_eq "$(counted | jq ".$reason")" "$times" "how often $reason is counted;"
	done
	expect_eq "$(grep -c "($reason); this is said once" "$log")" 1 "lines about $reason;"
done
expect_eq "$(counted | jq add)" 12 "all together: each under its own reason;"
"$refused" ask || fail "the application does not answer"
is_told()
{
	[ "$(counted | jq .double_free)" = 4 ]
}
await_that "what was given back twice: three buffers and a message" is_told
await_log '\(double_free\); this is said once'
expect_match "$(api /metrics)" 'epochd_refused_total\{reason="stray_pong"\} 2
'
