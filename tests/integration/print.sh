# Any declared message is JSON and back by its declaration alone: what is called by hand is the same in the reply, in the trace
# and in what is printed of it; and the file of a trace says in which order its bytes are.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
serve modular "\"$EPOCHD_BUILD/tests/lib/modular\"" "trace { on = true }"
all='{"a":255,"b":"18446744073709551615","c":-128,"d":65535,"e":-2147483648,"f":"äb\"","g":-0.1,"h":[1,-2,3],"i":1.5,"j":"00ff0a0b","k":"-9223372036854775808","...":"cafe"}'
expect_eq "$(ctl call modular beta.echo "$all" | jq -c .reply)" "$all" "the reply;"
ctl trace modular save "$dir/trace"
for kind in received sent; do
	expect_eq "$(ctl trace show "$dir/trace" --json | jq -c ".entries[] | select(.kind == \"$kind\").fields")" "$all" \
		"what was $kind, of the trace;"
	expect_match "$(ctl trace show "$dir/trace")" "$kind +0x[0-9a-f]{16}  beta.echo \\{\"a\": 255, \"b\": \"18446744073709551615\""
done
# The same file of a host of the other byte order: its mark is the other way round.
mark=
for byte in $(od -An -tx1 -N8 "$dir/trace"); do
	mark="\\x$byte$mark"
done
{
	printf '%b' "$mark"
	tail -c +9 "$dir/trace"
} >"$dir/other"
status=0
ctl trace show "$dir/other" >"$dir/out" 2>"$dir/err" || status=$?
expect_eq "$status" 2 "status of showing it;"
expect_match "$(cat "$dir/err")" 'made on a host of the other byte order'
