# A buffer that a living client holds for longer than gc-timeout is reported as overdue; with gc = collect it is given
# back to its sender, counted once, and the client's release is told so.
. "${0%/*}/lib.sh"
need jq
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
mkfifo "$dir/go"
for name in reported collected kept; do
	cat <<END
application "$name" {
	command = { "$EPOCHD_BUILD/tests/lib/api_server" }
	readiness = attach
	gc-timeout = $([ "$name" = kept ] && echo 1h || echo 1ms)
	gc = $([ "$name" = reported ] && echo report || echo collect)
}
END
done | write_config
start_epochd

# buffers_of NAME: of what the application sent, in use, overdue and collected.
buffers_of()
{
	ctl rings "$1" --json | jq -r '[.rings[] | select(.owner == "application") | .buffers[] |
		"\(.in_use) \(.overdue) \(.collected)"] | join(", ")'
}
is_so()
{
	[ "$(buffers_of "$1")" = "$2" ]
}
# hold NAME WANTED RELEASE: holds a reply of NAME, until the rings say WANTED.
hold()
{
	await "$1" up 1
	background "$EPOCHD_BUILD/tests/lib/holder" "$1" "$dir/go" >"$dir/$1"
	await_that "$1's client to hold a reply" grep -q '^holds' "$dir/$1"
	expect_match "$(buffers_of "$1")" '1 0 0'   # just noted
	await_that "$1's buffers to be $2" is_so "$1" "$2"
	expect_match "$(ctl rings "$1")" 'MISSES +OVERDUE +COLLECTED'
	: >"$dir/go"
	wait "${others[-1]}" || fail "$1's client ended with $?"
	expect_eq "$(tr '\n' ';' <"$dir/$1")" "holds;release $3;call 0;" "what $1's client says"
}
hold reported "0 0 0, 1 1 0, 0 0 0" 0
hold collected "0 0 0, 0 0 1, 0 0 0" ESTALE
hold kept "0 0 0, 1 0 0, 0 0 0" 0
expect_stat reported .garbage_collected.buffers 0
expect_stat collected .garbage_collected.buffers 1
expect_stat collected .garbage_collected.bytes 2048
expect_stat collected .garbage_collected.overdue.buffers 1
expect_stat collected .garbage_collected.overdue.bytes 2048
expect_stat kept .garbage_collected.buffers 0
