# Handlers that are marked concurrent run on the workers, as many at a time as there are, the others where the application
# dispatches. What a client sends is handled in its order all the same, unless it says otherwise; also what is left when it
# dies, before the application is told that.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
pooled=$EPOCHD_BUILD/tests/lib/pooled
channel='restart = never  channel { ring = 64  buffers = { "32x256", "16x4096" } }'
serve pooled "\"${pooled}_server\", \"4\"" "$channel"

expect_eq "$("${pooled}_client" meet)" met "four clients at the same time;"
expect_eq "$("${pooled}_client" meet_any)" met "four messages of one client at the same time;"
for i in 1 2 3 4; do
	background "${pooled}_client" mixed 20000 >"$dir/mixed.$i" 2>"$dir/mixed.$i.err"
	mixed[i]=$!
done
for i in 1 2 3 4; do
	wait "${mixed[i]}" || fail "status $?: $(cat "$dir/mixed.$i.err")"
	in_order=$(grep -oE '^[0-9]+' "$dir/mixed.$i")
	expect_eq "$(($(grep -oE '[0-9]+' "$dir/mixed.$i" | paste -sd+)))" 20000 "replies to client $i;"
	await_log "pooled: pooled_client, 1: $in_order in order"
done

# Killed in the middle: what it had sent is handled or counted, and its slot is free.
background "${pooled}_client" mixed 100000000 >"$dir/killed"
killed=$!
handles()
{
	[ "$(ctl messages pooled --json | jq '.messages[0].counts.received')" -gt "$1" ]
}
await_that "it to be handled" handles "$(($(ctl messages pooled --json | jq '.messages[0].counts.received') + 1000))"
kill -s KILL "$killed"
await_log 'pooled: pooled_client, 2: [0-9]+ in order'
await_stat pooled .clients.connected 0
expect_stat pooled .reclaimed.channels_lost 0

# A stop waits for what is being handled, and no longer.
background "${pooled}_client" mixed 100000000 >"$dir/killed" 2>&1
await_stat pooled .clients.connected 1
ctl stop pooled --wait >"$dir/stopped"
expect_stat pooled .last_exit.code 0
expect_eq "$(grep -c 'pooled_server:' "$log" || :)" 0 "what the application found wrong;"

# Without workers one thread does all of it.
configure_served pooled "\"${pooled}_server\", \"0\"" "$channel"
ctl reload --wait >"$dir/reloaded"
ctl start pooled --wait >"$dir/started"
"${pooled}_client" mixed 20000 >"$dir/one"
expect_eq "$(grep -c 'pooled_server:' "$log" || :)" 0 "what the application found wrong;"
