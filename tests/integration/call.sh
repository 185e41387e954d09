# `epochctl call` sends any message that is marked for it and prints the reply, by the declaration alone: every kind of field
# comes back as it was said. What cannot be sent is refused before anything is, with what to do instead.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
serve modular "\"$EPOCHD_BUILD/tests/lib/modular\"" ""

# replies MESSAGE JSON REPLY
replies()
{
	local reply

	reply=$(ctl call modular "$1" "$2") || fail "call $1 $2: status $?"
	expect_eq "$(jq -cS .reply <<<"$reply")" "$(jq -cS . <<<"$3")" "the reply to $1 $2;"
}
replies alpha.add '{"terms": [1, 2, 4294967295]}' '{"sum": 4294967298}'
replies alpha.add '{}' '{"sum": 0}'
all='{"a": 255, "b": "18446744073709551615", "c": -128, "d": 65535, "e": -2147483648, "f": "äb\"", "g": -0.1,
	"h": [1, -2, 3], "i": 1.5, "j": "00ff0a0b", "k": "-9223372036854775808", "...": "cafe"}'
replies beta.echo "$all" "$all"
replies beta.echo '{"b": "0x10", "f": {"hex": "ff00"}, "g": "inf", "i": "-inf", "h": [7], "j": "0A"}' \
	'{"a": 0, "b": 16, "c": 0, "d": 0, "e": 0, "f": {"hex": "ff00000000"}, "g": "inf", "h": [7, 0, 0], "i": "-inf",
	"j": "0a000000", "k": 0, "...": ""}'
expect_eq "$(echo '{"terms": [5]}' | ctl call modular alpha.add - | jq -r '.message, .reply.sum')" "alpha.sum
5" "a call from standard input;"

# refuses STATUS MESSAGE JSON WORDS [OPTION...]
refuses()
{
	local status=0

	ctl call modular "$2" "$3" "${@:5}" >"$dir/out" 2>"$dir/err" || status=$?
	expect_eq "$status" "$1" "status of call $2 $3;"
	expect_match "$(cat "$dir/err")" "$4"
	expect_eq "$(cat "$dir/out")" "" "what call $2 $3 printed;"
}
refuses 2 alpha.ad '{}' 'has no message alpha.ad; did you mean alpha.add'
refuses 4 beta.secret '{}' 'beta.secret is not one to be called by hand'
refuses 2 alpha.add '{' 'no JSON: .* line 1, column 1'
refuses 2 alpha.add '[]' 'expected a JSON object'
refuses 2 alpha.add '{"term": [1]}' 'no field term; did you mean terms'
refuses 2 alpha.add '{"terms": [1, 2, 3, 4, 5]}' 'terms: expected an array of 4 numbers at most'
refuses 2 alpha.add '{"terms": [4294967296]}' 'terms: 0 to 4294967295 fit there'
refuses 2 alpha.add '{"terms": [-1]}' 'terms: 0 to 4294967295 fit there'
refuses 2 beta.echo '{"c": -129}' 'c: -128 to 127 fit there'
refuses 2 beta.echo '{"a": 1.5}' 'a: expected a whole number'
refuses 2 beta.echo '{"b": 18446744073709551615}' 'write it as a string'
refuses 2 beta.echo '{"f": "abcdef"}' 'f: 5 bytes fit there, not 6'
refuses 2 beta.echo '{"j": "0g"}' 'j: expected hexadecimal digits'
refuses 2 beta.echo '{"...": "abc"}' 'expected hexadecimal digits'
refuses 5 beta.hush '{}' 'has not replied to beta.hush within 0.2 s' --timeout 200ms
ctl stop modular --wait >"$dir/stopped"
refuses 5 alpha.add '{}' 'modular is stopped' --timeout 200ms
