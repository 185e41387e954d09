# An external application: nobody starts it; each new process of its user that attaches by name is a new incarnation,
# under the same backoff and intensity, and refused as busy while the old one lives. The next supervisor adopts it.
. "${0%/*}/lib.sh"
need jq
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
server=$EPOCHD_BUILD/contrib/examples/kv-server
client=$EPOCHD_BUILD/contrib/examples/kv-client
write_config <<END
application "kv" {
	external = true
	backoff { initial = 0s }  intensity { restarts = 3  within = 1h }
}
END
# start_server: one more process that says it is kv; its pid is in $server_pid.
servers=0
start_server()
{
	servers=$((servers + 1))
	background "$server" kv 2>"$dir/server.$servers"
	server_pid=$!
}
start_epochd
await kv stopped
expect_match "$(ctl status)" "waits for a process of epochd's user to attach"
expect_eq "$(stat_of kv .pid)" null "the pid of nobody"
expect_match "$(ctl explain kv)" "waits for a process"
! ctl explain kv | grep -q "until a person" || fail "explain: $(ctl explain kv)"

start_server
first=$server_pid
await kv up 1
expect_stat kv .pid "$first"
background "$client" kv >"$dir/client"
await_that "a handle" grep -q '^epoch 1: handle' "$dir/client"
start_server
! wait "$server_pid" || fail "two processes are kv"
expect_eq "$(cat "$dir/server.2")" "kv-server: kv is pid $first, which has not ended" "what the second is told"

# Clients are told, and go on with the next process. Not our child: how it ended is not known for sure.
kill -s KILL "$first"
await_that "the client to be told" grep -q '^epoch 1 has ended' "$dir/client"
await kv stopped
expect_stat kv .epoch 1
start_server
await kv up 2
await_that "the client in epoch 2" grep -q '^epoch 2: handle' "$dir/client"
expect_stat kv .restarts.total 1
expect_eq "$(api /v1/apps/kv/incarnations | jq -r '[.incarnations[].pid] | join(" ")')" "$server_pid $first" \
	"the pids of its incarnations"

# The supervisor dies, and the process goes on; it is adopted, and still the only one.
second=$server_pid
kill_epochd
start_epochd
await kv up 2
expect_stat kv .pid "$second"
start_server
! wait "$server_pid" || fail "a second process is kv after the adoption"
kill -s KILL "$second"
await kv stopped

# A stop is kept: who attaches waits until it is started again.
ctl stop kv
expect_match "$(ctl status)" "stopped.*asked to"
start_server
third=$server_pid
ctl start kv
await kv up 3
expect_stat kv .pid "$third"
expect_stat kv .restarts.total 1

# Other words for it: it becomes one that is started, and external again, while nothing runs.
kill -s KILL "$third"
await kv stopped
sed 's|external = true|command = { "/bin/sleep", "1000" }|' "$config" >"$dir/other"
cp "$config" "$dir/this"
cp "$dir/other" "$config"
ctl reload --wait
await kv up 4
expect_stat kv .restarts.total 2
cp "$dir/this" "$config"
ctl reload --wait
await kv stopped
expect_match "$(ctl status)" "waits for a process"
start_server
await kv up 5
third=$server_pid

# Too often: fatal, as any other.
kill -s KILL "$third"
await kv stopped
start_server
await kv up 6
kill -s KILL "$server_pid"
await kv fatal
start_server
! wait "$server_pid" || fail "a fatal application was attached to"
expect_match "$(cat "$dir/server.$servers")" "kv is fatal: 3 restarts within 3600 s are used up"
stop_epochd

# The supervisor is killed at each step of a beginning: no epoch is lost or had twice, and the next process is served.
use_faulty
# POINT NEXT: the epoch that the next process gets.
point()
{
	rm -rf "$segments" "$runtime" "$state"
	mkdir -m 700 "$segments" "$runtime" "$state"
	EPOCHD_FAULT=$1 start_epochd
	await kv stopped
	start_server
	wait_epochd
	expect_eq "$status" 137 "status of the supervisor, which never passed $1;"
	kill -s KILL "$server_pid" 2>/dev/null || :
	start_epochd
	await kv stopped
	start_server
	await kv up "$2"
	expect_eq "$(api /v1/apps/kv/incarnations | jq '[.incarnations[].epoch] | unique | length')" "$2" "rows after $1"
	cause=$(api /v1/apps/kv/incarnations | jq -r '.incarnations[-1].cause')
	kill -s KILL "$server_pid"
	stop_epochd
}
# What was begun and lost was not asked for.
lost_unseen()
{
	point "$1" 2
	expect_eq "$cause" unseen "how epoch 1 ended, after $1"
}
point prepared 1
point incarnation_in_ledger 1
point redo_written 1
point spawn_word_open 1
lost_unseen fence_starting
lost_unseen total_counted
lost_unseen redo_cleared
lost_unseen fence_up

# One that waits for another application does not take a process, though it did before.
epochd=$EPOCHD_BUILD/epochd
rm -rf "$segments" "$runtime" "$state"
mkdir -m 700 "$segments" "$runtime" "$state"
write_config <<END
application "first" { command = { "/bin/sleep", "1000" } }
application "kv" { external = true  after = { "first" } }
END
start_epochd --debug
is_expected()
{
	ctl status | grep -q 'waits for a process'
}
await_that "kv to wait for a process" is_expected
ctl stop kv
ctl stop first
await first stopped
ctl start kv
expect_match "$(ctl status)" "waits for first"
start_server
await_log "refused: kv is stopped: waits for first"
expect_stat kv .epoch 0
ctl start first
await kv up 1
kill -s KILL "$server_pid"
