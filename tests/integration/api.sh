# What epochd.h promises to clients and applications, each by a program of its own that links the library.
. "${0%/*}/lib.sh"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
write_config <<END
application "api" {
	command = { "$EPOCHD_BUILD/tests/lib/api_server" }
	readiness = attach  restart = always
	backoff { initial = 0s }  intensity { within = 0s }
}
END
start_epochd
await api up 1
mkfifo "$dir/to" "$dir/from"
exec 8<>"$dir/to" 9<>"$dir/from"   # both ends, so that nobody waits for the other to open

# begin CASE: it runs beside the script, which reads what it says and may answer.
begin()
{
	# What runs in the background has no stdin but one that it opens.
	background bash -c 'exec "$@" <"$0"' "$dir/to" "$EPOCHD_BUILD/tests/lib/api_client" "$1" \
		>"$dir/from" 2>"$dir/err"
	running=$!
}
hear()
{
	local line

	read -r -t "$patience" line <&9 || fail "the client said nothing more, but: $(cat "$dir/err")"
	expect_eq "$line" "$1" "what the client says"
}
end()
{
	local status=0

	wait "$running" || status=$?
	[ "$status" = 0 ] || fail "$1: status $status: $(cat "$dir/err")"
}
server()
{
	stat_of api .pid
}
is_stopped()
{
	[ "$(awk '/^State:/ { print $2 }' "/proc/$1/status")" = T ]
}

for name in sizes many later loop modes forked; do
	"$EPOCHD_BUILD/tests/lib/api_client" "$name" || fail "$name: status $?"
done
expect_match "$("$EPOCHD_BUILD/tests/lib/api_client" mismatch)" \
	'the application declares test.echo\(u64 number, ...\), this client test.echo\(u32 number\)'

begin full
for round in one two; do
	hear "stop it"
	kill -s STOP "$(server)"
	await_that "the application to be stopped" is_stopped "$(server)"
	echo >&8
	hear "go on"
	kill -s CONT "$(server)"
done
end full

begin flood
hear flooded
await_log 'api_server: flooded with 128, then Resource temporarily unavailable'
echo >&8
end flood

# Nobody of those that have ended is there any more; each was told of in the order of registration.
none_there()
{
	[ "$(stat_of api .clients.connected)" = 0 ]
}
await_that "no client" none_there
expect_stat api .clients.reaped 0
expect_stat api .reclaimed.channels_lost 0
await_log 'api_server: second: .* is gone: 1'
order=$(grep -oE 'api_server: (first|second): ' "$log" | tail -n 2 | tr -d '\n')
expect_eq "$order" "api_server: first: api_server: second: " "the order of the callbacks"

"$EPOCHD_BUILD/tests/lib/api_client" orphan >"$dir/orphan"
child=$(sed -n 's/^child //p' "$dir/orphan")
await_that "no client" none_there
expect_stat api .clients.reaped 1
kill -0 "$child" || fail "the child of the client that died is gone, too"
kill -s KILL "$child"

for name in by_hand by_itself; do
	epoch=$(stat_of api .epoch)
	begin "$name"
	hear "kill it"
	kill -s KILL "$(server)"
	end "$name"
	await api up $((epoch + 1))
done
refused_twice()
{
	[ "$(stat_of api .refused.stale_epoch)" = 2 ]
}
await_that "two handles to be counted as refused" refused_twice
