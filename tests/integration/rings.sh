# What is shown of every ring and class: whose it is, its lines and buffers, how many are in use, hits, misses, and what was
# larger than all of them.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
holder=$EPOCHD_BUILD/tests/lib/large
serve large "\"$holder\", \"serve\"" 'channel { ring = 16  buffers = { "2x256", "4x1024" } }'
mkfifo "$dir/to"
"$holder" ask large <"$dir/to" >"$dir/said" &
asker=$!
others+=("$asker")
exec 8>"$dir/to"
printf 'send %s\n' 200 200 1000 5000 5000 >&8
said_all()
{
	[ "$(wc -l <"$dir/said")" = 5 ]
}
await_that "five answers" said_all
# of OWNER FILTER
of()
{
	ctl rings large --json | jq -c ".rings[] | select(.owner == \"$1\") | $2"
}
expect_eq "$(of client '[.lines, .in_use, .sent]')" '[16,0,5]' "the client's ring;"
expect_eq "$(of application '[.lines, .in_use, .sent]')" '[16,0,5]' "the application's ring;"
expect_eq "$(of client '.buffers | map([.size, .count, .in_use, .hits])')" '[[256,2,0,2],[1024,4,0,1]]' "its classes;"
expect_eq "$(of client .large)" '{"sizes":[65536],"in_use":0,"fallbacks":2}' "what was larger than all of them;"
# A class that has none left: a miss, and the next larger one serves.
kill -s STOP "$(stat_of large .pid)"
printf 'borrow %s\n' 200 >&8
is_in_ring()
{
	[ "$(of client .in_use)" = 1 ]
}
await_that "a message to be in the ring" is_in_ring
expect_eq "$(of client '.buffers[0].in_use')" 1 "a buffer in use;"
kill -s CONT "$(stat_of large .pid)"
exec 8>&-
wait "$asker" || fail "the client: status $?"
