# `epochctl latency` tells how long messages waited for their handler and how long that took, and so does /metrics, as
# histograms that are read while the application goes on.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
serve modular "\"$EPOCHD_BUILD/tests/lib/modular\"" ""
expect_eq "$(ctl latency modular)" "no message was handled yet in this epoch"

# of MESSAGE WHAT KEY
of()
{
	ctl latency modular --json | jq ".messages[] | select(.name == \"$1\") | .$2.$3"
}
# at_least NUMBER NUMBER WHAT
at_least()
{
	[ "$1" -ge "$2" ] || fail "$3 is $1, expected $2 or more"
}
for us in 1000 2000 40000; do
	ctl call modular beta.slow "{\"us\": $us}" >"$dir/reply"
done
expect_eq "$(of beta.slow handling count)" 3 "how many were timed;"
expect_eq "$(of beta.slow wait count)" 3 "how many were stamped;"
expect_eq "$(of alpha.add handling count)" 0 "how many of another were timed;"
at_least "$(of beta.slow handling p50_ns)" 2000000 "the middle one"
at_least "$(of beta.slow handling max_ns)" 40000000 "the longest"
at_least "$(of beta.slow handling sum_ns)" 43000000 "the sum"

# It waits while its application stands still.
stopped=$(stat_of modular .pid)
now_ms()
{
	echo "$((${EPOCHREALTIME/./} / 1000))"
}
is_sent()
{
	ctl rings modular --json | jq -e '[.rings[] | select(.owner == "client") | .in_use] == [1]' >"$dir/sent"
}
kill -s STOP "$stopped"
background "$epochctl" --runtime-dir "$runtime" --instance "$instance" call modular alpha.add >"$dir/reply"
calling=$!
await_that "a message to wait" is_sent
began=$(now_ms)
has_passed()
{
	[ "$(($(now_ms) - began))" -ge 60 ]
}
await_that "a while" has_passed
kill -s CONT "$stopped"
wait "$calling" || fail "the call ended with status $?"
expect_eq "$(of alpha.add wait count)" 1 "how many waited;"
at_least "$(of alpha.add wait max_ns)" 60000000 "how long it waited"
expect_match "$(ctl latency modular beta.slow)" 'beta.slow +handling +3 +[0-9.]+ms'
expect_match "$(ctl latency modular)" 'alpha.add +wait +1 '
status=0
ctl latency modular beta.slaw 2>"$dir/err" || status=$?
expect_eq "$status" 4 "status where there is no such message;"

# Classic histograms: what is up to a bound is in all larger ones.
api /metrics | grep '^epochd_message_handling_seconds.*message="beta.slow"' >"$dir/metrics"
expect_match "$(cat "$dir/metrics")" '_bucket\{app="modular",message="beta.slow",le="\+Inf"\} 3
epochd_message_handling_seconds_sum\{app="modular",message="beta.slow"\} 0\.[0-9]+
epochd_message_handling_seconds_count\{app="modular",message="beta.slow"\} 3'
grep -o 'le=.*' "$dir/metrics" | tr '="}' '   ' | awk '$3 < before { exit 1 } { before = $3 } END { exit NR != 15 }' ||
	fail "the buckets: $(cat "$dir/metrics")"
