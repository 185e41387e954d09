# The supervisor is killed at each step of a client's joining and of the counting when its epoch ends. The next one
# counts it once (I8): as registered if it was, and its channel as lost or as reclaimed.
. "${0%/*}/lib.sh"
use_faulty
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
write_config <<END
application "kv" {
	command = { "$EPOCHD_BUILD/contrib/examples/kv-server" }
	readiness = attach  restart = always
	backoff { initial = 0s }  intensity { within = 0s }
}
END

has_joined()
{
	gone "$pid" || grep -q '^epoch 1: handle' "$dir/client" || gone "$client"
}

# POINT COUNT REGISTERED LOST
point()
{
	local process

	rm -rf "$segments" "$runtime" "$state"
	mkdir -m 700 "$segments" "$runtime" "$state"
	: >"$log"
	: >"$dir/client"
	EPOCHD_FAULT=$1:$2 start_epochd
	await kv up 1
	process=$(stat_of kv .pid)
	background "$EPOCHD_BUILD/contrib/examples/kv-client" kv >"$dir/client" 2>&1
	client=$!
	await_that "a client, or the end at $1" has_joined
	kill -s KILL "$process"
	wait_epochd
	expect_eq "$status" 137 "status of the supervisor, which never passed the point $1:$2;"
	{ kill -s KILL "$client"; wait "$client"; } 2>/dev/null || :
	start_epochd
	await kv up 2
	expect_stat kv .clients.registered "$3"
	expect_stat kv .reclaimed.channels_lost "$4"
	expect_stat kv .clients.connected 0
	expect_stat kv .restarts.total 1
	stop_epochd
}

point client_slot_filled 1 0 0
point client_redo_written 1 1 1
point client_counted 1 1 1
point client_published 1 1 1
point client_reclaimed 1 1 1
point client_redo_written 2 1 0
point client_counted 2 1 0
