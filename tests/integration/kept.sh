# A handler keeps messages beyond its return, copies and such as lie in their client's buffers, and another thread releases
# them; whoever asked for it is told when nobody looks at one any more. Of a client that dies they can be read all the same,
# and what they are in is counted as held.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
pooled=$EPOCHD_BUILD/tests/lib/pooled
channel='restart = never  channel { ring = 64  buffers = { "32x256", "16x4096" } }'
serve pooled "\"${pooled}_server\", \"0\"" "$channel"

# As often as it takes to find that a buffer is not given back: there are 48 of them.
expect_eq "$("${pooled}_client" keep 40 6)" "240 let go" "kept and let go;"
await_log 'pooled: pooled_client, 1: 0 in order, 240 released'
expect_stat pooled .garbage_collected.buffers 0

background "${pooled}_client" keep_die 12 >"$dir/dies"
dies=$!
await_that "it to be kept" grep -q kept "$dir/dies"
kill -s KILL "$dies"
await_log 'pooled: pooled_client, 2: 1 in order, 240 released'
# Six lie in place, and two of those are small enough for a line.
await_stat pooled .garbage_collected.buffers 4
expect_eq "$("${pooled}_client" keep 2)" "14 let go" "kept of the dead, and let go;"
await_log 'pooled: pooled_client, 1: 0 in order, 254 released'
expect_stat pooled .garbage_collected.buffers 4
expect_eq "$(grep -c 'pooled_server:' "$log" || :)" 0 "what the application found wrong;"
