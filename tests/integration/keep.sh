# `epochctl shutdown --keep` and SIGUSR2 end the supervisor and nothing else: the next one adopts all of it, clients too,
# and the run counts as ended well.
. "${0%/*}/lib.sh"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
client=$EPOCHD_BUILD/contrib/examples/kv-client
write_config <<END
application "kv" {
	command = { "$EPOCHD_BUILD/contrib/examples/kv-server" }
	readiness = attach  restart = always
}
application "plain" { command = { "/bin/sleep", "1000" } }
application "stopped" { command = { "/bin/sleep", "1000" } }
END
start_epochd
await kv up 1
await plain up 1
ctl stop --wait stopped >"$dir/out"
background "$client" kv >"$dir/client" 2>&1
process=$!
await_that "a handle" grep -q '^epoch 1: handle' "$dir/client"
served=$(stat_of kv .pid)
plain=$(stat_of plain .pid)
connected()
{
	[ "$(ctl clients kv --json | jq -r '[.clients[] | select(.state == "connected" and .sent > 0)] | length')" = 1 ]
}
are_as_before()
{
	await_that "the client to be back" connected
	expect_stat kv .pid "$served"
	expect_stat plain .pid "$plain"
	for app in kv plain; do
		expect_stat "$app" .epoch 1
		expect_stat "$app" .restarts.total 0
		expect_stat "$app" .state up
	done
	expect_stat stopped .state stopped
	expect_stat kv .clients.registered 1
	expect_stat kv .clients.reaped 0
	expect_eq "$(api /v1/stats | jq -c '[.supervisor.runs, .supervisor.unclean_runs]')" "$1" "runs, and unclean ones"
}
ctl shutdown --keep >"$dir/out"
wait_epochd
expect_eq "$status" 0 "the supervisor's status"
! gone "$served" || fail "the service did not outlive it"
start_epochd
are_as_before '[2,0]'
stop_epochd USR2
! gone "$plain" || fail "the other one did not outlive it"
start_epochd
are_as_before '[3,0]'
kill_epochd
start_epochd
are_as_before '[4,1]'
ctl shutdown --keep --wait >"$dir/out"
wait_epochd
expect_eq "$status" 0 "the supervisor's status"
start_epochd
are_as_before '[5,1]'
kill -s TERM "$process"
wait "$process" || fail "the client: $(cat "$dir/client")"
