# Three clients of a service that is killed in the middle of their calls: each is told at once, goes on under
# the next epoch, and its old handle is refused with the reason. Clients that die, are sent away, or say goodbye
# are told apart, counted once, and cost the supervisor no descriptor.
. "${0%/*}/lib.sh"
. "${0%/*}/kv.sh"
write_config <<END
application "kv" {
	command = { "$server" }
	readiness = attach  restart = always
	backoff { initial = 0s }  intensity { within = 0s }
}
END
start_epochd
await kv up 1

# start_client NAME: its pid is in $!.
start_client()
{
	background "$client" kv >"$dir/$1" 2>"$dir/$1.err"
}
fds_of_supervisor()
{
	local all=(/proc/"$pid"/fd/*)

	echo "${#all[@]}"
}

"$client" kv 2 >"$dir/first"
expect_match "$(cat "$dir/first")" '^epoch 1: handle 0x0000010000100000'
await_stat kv .clients.connected 0
fds=$(fds_of_supervisor)

clients=()
for name in one two three; do
	start_client "$name"
	clients+=("$!")
	await_that "a handle of $name" has_line "$name" '^epoch 1: handle'
done
await_stat kv .clients.connected 3
expect_eq "$(ctl clients kv --json | jq -r '.clients | length')" 3 "clients listed"
expect_match "$(ctl clients kv)" "0x0000010000200000 +kv-client +connected +[0-9]+"
old=$(handle_of one)
expect_match "$(ctl handle kv "$old")" "^$old: good"
[ "$(ctl rings kv --json | jq '[.rings[] | select(.owner == "client")] | length')" = 3 ] ||
	fail "epochctl rings: $(ctl rings kv --json)"

victim=$(stat_of kv .pid)
stop_amid_calls "$victim" 3
kill -s KILL "$victim"
await kv up 2
await_stat kv .reclaimed.messages 3
row_is()
{
	[ "$(api /v1/apps/kv/incarnations | jq -c '.incarnations[] | select(.epoch == 1) |
		[.reclaimed.messages, .reclaimed.channels_lost, .garbage_collected.buffers]')" = "$1" ]
}
await_that "the row of epoch 1 to say so" row_is '[3,0,0]'
for name in one two three; do
	await_that "$name to be told" has_line "$name" '^epoch 1 has ended after [0-9]+ calls'
	await_that "$name in epoch 2" has_line "$name" '^epoch 2: handle'
done
status=0
ctl handle kv "$old" >"$dir/handle" || status=$?
expect_eq "$status" 1 "epochctl handle's status"
expect_match "$(cat "$dir/handle")" "refused: of an epoch that has ended"
expect_match "$(cat "$dir/handle")" "handle is of epoch 1, kv is in epoch 2"
expect_match "$(cat "$dir/handle")" "epoch 1 ended at .*: crashed, SIGKILL"
expect_eq "$(api "/v1/apps/kv/handles/$old" | jq -r .verdict)" stale_epoch "the verdict"
await_stat kv .clients.connected 3
expect_stat kv .clients.registered 7
expect_stat kv .clients.reaped 0
messages=$(stat_of kv .reclaimed.messages)

for process in "${clients[@]}"; do
	kill -s TERM "$process"
	wait "$process" || fail "a client ended with status $?: $(cat "$dir"/*.err)"
done
await_stat kv .clients.connected 0
expect_stat kv .clients.reaped 0

# One that dies.
start_client four
four=$!
await_that "a handle of four" has_line four '^epoch 2: handle'
old=$(handle_of four)
kill -s KILL "$four"
await_stat kv .clients.reaped 1
await_stat kv .clients.connected 0
await_log "kv-server: client .*kv-client, pid .*, is gone"
expect_match "$(ctl handle kv "$old" || :)" "refused: its client is gone"

# One that is sent away.
start_client five
five=$!
await_that "a handle of five" has_line five '^epoch 2: handle'
ctl kick kv "$(handle_of five)" >"$dir/kick"
wait "$five" && fail "a client that was sent away ended well"
expect_match "$(cat "$dir/five.err")" "sent away by an operator"
status=0
ctl kick kv "$(handle_of five)" 2>"$dir/kick" || status=$?
expect_eq "$status" 4 "the status of a second kick"
await_stat kv .clients.connected 0
expect_stat kv .clients.reaped 1

# What is refused, and what to do.
! "$client" nobody 2>"$dir/err" || fail "there is an application nobody"
expect_match "$(cat "$dir/err")" "there is no application nobody in instance $instance: see epochctl status"
! "$server" 2>"$dir/err" || fail "a stranger may serve"
expect_match "$(cat "$dir/err")" "this process was not started by epochd"
! EPOCHD_APP=kv EPOCHD_TOKEN=forged "$server" 2>"$dir/err" || fail "a token was forged"
expect_match "$(cat "$dir/err")" "is no process of the incarnation of kv that runs"
ctl stop kv
await kv stopped
expect_match "$(ctl handle kv "$old" || :)" "refused: the application is down"
expect_stat kv .reclaimed.channels_lost 0
[ "$(stat_of kv .reclaimed.messages)" -ge "$messages" ] || fail "reclaimed messages went down"
# The bell of the last epoch, and the application's pidfd, come and go with it.
fds_are_few()
{
	[ "$(fds_of_supervisor)" -le "$fds" ]
}
await_that "no more descriptors than before ($fds)" fds_are_few
