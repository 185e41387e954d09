# The supervisor is killed, and the next one killed again at each step of its recovery and of taking back who returns; the
# one after that has all of them, as they were: same handles, nothing restarted, reaped or lost. A client that was killed
# meanwhile is reaped once.
. "${0%/*}/lib.sh"
use_faulty
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
client=$EPOCHD_BUILD/contrib/examples/kv-client
write_config <<END
application "kv" {
	command = { "$EPOCHD_BUILD/contrib/examples/kv-server" }
	readiness = attach  restart = always
	backoff { initial = 0s }  intensity { within = 0s }
}
END
start_epochd
await kv up 1
served=$(stat_of kv .pid)
registered=0
reaped=0

# start_client NAME
start_client()
{
	: >"$dir/$1"
	background "$client" kv >"$dir/$1" 2>"$dir/$1.err"
	process=$!
	await_that "a handle of $1" grep -q '^epoch 1: handle' "$dir/$1"
	registered=$((registered + 1))
}
are_back()
{
	[ "$(ctl clients kv --json | jq "[.clients[] | select(.state == \"connected\" and .sent > 0)] | length")" = "$1" ]
}
has_reaped()
{
	[ "$(stat_of kv .clients.reaped)" = "$1" ]
}
handles()
{
	ctl clients kv --json | jq -r '.clients[].handle' | sort | tr '\n' ' '
}

start_client one
start_client two
await_that "both to send" are_back 2
kept=$(handles)

# point NAME COUNT
point()
{
	kill_epochd
	EPOCHD_FAULT=$1:$2 launch_epochd
	wait_epochd
	expect_eq "$status" 137 "status of the supervisor, which never passed the point $1:$2;"
	start_epochd
	await_that "both to be back after $1:$2" are_back 2
	expect_eq "$(handles)" "$kept" "handles after $1:$2"
	expect_stat kv .pid "$served"
	expect_stat kv .restarts.total 0
	expect_stat kv .clients.registered "$registered"
	expect_stat kv .clients.reaped "$reaped"
	expect_stat kv .clients.confused 0
	expect_stat kv .reclaimed.channels_lost 0
	expect_eq "$(grep -c 'kv-server: client .* is gone' "$log" || :)" "$reaped" "how often the service was told"
}
for name in store_opened ledger_opened registry_recovered clients_loaded adopted recovered app_resuming app_resumed; do
	point "$name" 1
done
for name in client_loaded client_resumed; do
	point "$name" 1
	point "$name" 2
done

# One dies while no supervisor looks; the next is killed where that is seen, told and counted.
point_of_death()
{
	start_client three
	await_that "the third to send" are_back 3
	kill_epochd
	kill -s KILL "$process"
	await_that "its end" gone "$process"
	reaped=$((reaped + 1))
	EPOCHD_FAULT=$1:$2 launch_epochd
	wait_epochd
	expect_eq "$status" 137 "status of the supervisor, which never passed the point $1:$2;"
	start_epochd
	await_that "both to be back after $1:$2" are_back 2
	await_that "the third to be reaped after $1:$2" has_reaped "$reaped"
	expect_eq "$(handles)" "$kept" "handles after $1:$2"
	expect_stat kv .pid "$served"
	expect_stat kv .clients.registered "$registered"
	expect_stat kv .reclaimed.channels_lost 0
	expect_eq "$(grep -c 'kv-server: client .* is gone' "$log" || :)" "$reaped" "how often the service was told"
}
point_of_death client_ended 1
point_of_death client_redo_written 1
point_of_death client_counted 1
