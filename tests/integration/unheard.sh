# The supervisor dies when a client's handle is good, and before the application and the client hear of that. Nobody ever had
# the channel: whoever comes back first, and whether the client lives, nothing is counted as lost, and its slot is free.
. "${0%/*}/lib.sh"
use_faulty
. "${0%/*}/kv.sh"
write_config <<END
application "kv" {
	command = { "$server" }
	readiness = attach  restart = always
	backoff { initial = 0s }  intensity { within = 0s }
}
END

# The next supervisor has the application back, and not the client: it is stopped meanwhile.
begin()
{
	EPOCHD_FAULT=client_published:1 launch_epochd
	await kv up 1
	background "$client" kv >"$dir/one" 2>"$dir/one.err"
	process[one]=$!
	wait_epochd
	expect_eq "$status" 137 "status of the supervisor, which never passed the point;"
	kill -s STOP "${process[one]}"
	: >"$log"   # it tells of an application that came back before
	start_epochd
	await_log 'app kv epoch 1: pid [0-9]+ is back, with 0 clients'
	expect_stat kv .clients.registered "$1"
	expect_stat kv .clients.connected 0
}
begin 1
kill -s CONT "${process[one]}"
await_that "a handle" has_line one '^epoch 1: handle'
expect_stat kv .clients.registered 2
expect_stat kv .clients.connected 1
expect_stat kv .reclaimed.channels_lost 0
kill -s TERM "${process[one]}"
wait "${process[one]}" || fail "status $? of the client: $(cat "$dir/one.err")"
await_stat kv .clients.connected 0
kill_epochd

begin 3
kill -s KILL "${process[one]}"
# Its death is seen, if it is not at once, before that of one that comes after.
background "$client" kv >"$dir/two" 2>"$dir/two.err"
process[two]=$!
await_that "a handle" has_line two '^epoch 1: handle'
kill -s KILL "${process[two]}"
await_stat kv .clients.reaped 1
expect_stat kv .reclaimed.channels_lost 0
expect_stat kv .clients.confused 0
