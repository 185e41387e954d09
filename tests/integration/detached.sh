# An application that detaches and lives on: whoever waits for it is told at once, polling, asleep, in a loop of its own;
# its handle is refused, and it joins anew when the application attaches again in the same epoch. What was in flight is
# counted when that epoch ends.
. "${0%/*}/lib.sh"
need jq
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
detacher=$EPOCHD_BUILD/tests/lib/detacher
mkfifo "$dir/go"
write_config <<END
application "kv" {
	command = { "$detacher", "$dir/go" }
	readiness = attach
}
END
start_epochd
await kv up 1
clients=()
for wait in busy sleep loop spin; do
	background "$detacher" client kv "$wait" >"$dir/$wait"
	clients+=($!)
done
# were_received N: of the clients, in all.
were_received()
{
	[ "$(ctl rings kv --json | jq '[.rings[] | select(.owner == "client") | .sent - .in_use] | add')" = "$1" ]
}
await_that "the four to be heard" were_received 4
# What wakes them, event and end, is there at once.
kill -s STOP "${clients[@]}"
mkfifo "$dir/rest"
# shellcheck disable=SC2016  # for the other shell
background bash -c '"$1" client kv idle 0<>"$2"' - "$detacher" "$dir/rest" >"$dir/idle"
idle=$!
all_are_gone()
{
	[ "$(stat_of kv .clients.connected)" = 0 ]
}
await_that "all to be told" all_are_gone
kill -s CONT "${clients[@]}"
clients+=("$idle")
for wait in busy sleep loop spin; do
	await_that "the end of the call of $wait" grep -q '^send' "$dir/$wait"
	expect_eq "$(sed -n '2,3p' "$dir/$wait" | tr '\n' ';')" \
		"call ESTALE;send ESTALE: kv serves no more in epoch 1: it has detached;" "what $wait is told"
	expect_match "$(ctl handle kv "$(head -n 1 "$dir/$wait")" || :)" "refused: its client is gone"
done
expect_stat kv .epoch 1
expect_stat kv .clients.connected 0
expect_stat kv .reclaimed.messages 0
echo >"$dir/go"
echo >"$dir/rest"
for client in "${clients[@]}"; do
	wait "$client" || fail "a client ended with $?: $(cat "$dir/busy" "$dir/sleep" "$dir/loop" "$dir/spin")"
done
expect_eq "$(tail -qn 1 "$dir/busy" "$dir/sleep" "$dir/loop" "$dir/spin" | sort -u)" "round 2" "who answered then"
expect_stat kv .epoch 1
expect_stat kv .clients.registered 9
expect_stat kv .clients.reaped 0

# One that polls is told as well that it is sent away.
background "$detacher" client kv busy >"$dir/kicked"
client=$!
await_that "the handle of one to be sent away" grep -q '^0x' "$dir/kicked"
await_that "its call to be received" were_received 1
ctl kick kv "$(head -n 1 "$dir/kicked")" >/dev/null
wait "$client" && fail "one that was sent away goes on: $(cat "$dir/kicked")"
expect_eq "$(sed -n 2p "$dir/kicked")" "call ECONNABORTED" "what it is told"

ctl stop kv
await kv stopped
messages_are()
{
	[ "$(stat_of kv .reclaimed.messages)" = "$1" ]
}
await_that "the one that nobody received to be counted" messages_are 1
expect_stat kv .last_exit.code 0
