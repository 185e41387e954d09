# An application that detaches and lives on: whoever waits for it is told at once, polling or asleep, its handle is
# refused, and it joins anew when the application attaches again in the same epoch. What was in flight is counted when
# that epoch ends.
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
mkfifo "$dir/rest"
# shellcheck disable=SC2016  # for the other shell
background bash -c '"$1" client kv idle 0<>"$2"' - "$detacher" "$dir/rest" >"$dir/idle"
clients=($!)
for wait in busy sleep; do
	background "$detacher" client kv "$wait" >"$dir/$wait"
	clients+=($!)
done
for wait in busy sleep; do
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
	wait "$client" || fail "a client ended with $?: $(cat "$dir/busy" "$dir/sleep")"
done
expect_eq "$(tail -qn 1 "$dir/busy" "$dir/sleep" | tr '\n' ';')" "round 2;round 2;" "who answered then"
expect_stat kv .epoch 1
expect_stat kv .clients.registered 5
expect_stat kv .clients.reaped 0

# One that polls is told as well that it is sent away.
background "$detacher" client kv busy >"$dir/kicked"
client=$!
await_that "the handle of one to be sent away" grep -q '^0x' "$dir/kicked"
has_received()
{
	ctl rings kv --json | jq -e '.rings | length == 2 and all(.[]; .sent == 1 and .in_use == 0)' >"$dir/has"
}
await_that "both to receive what was sent" has_received
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
