# The callback of a client: told once when something comes after nothing, and again only after all of it was received; by
# epochd_client_dispatch(), when the client's one descriptor is readable. (Of a client inside: inside.sh.)
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
serve modular "\"$EPOCHD_BUILD/tests/lib/modular\"" ""
expect_eq "$("$EPOCHD_BUILD/tests/lib/readable" modular)" "told 100 times of 500 replies" "what it says;"
# A client that waits is told of the end of its epoch as well.
"$EPOCHD_BUILD/tests/lib/readable" modular wait >"$dir/said" &
waiting=$!
waits()
{
	grep -q '^waits$' "$dir/said"
}
await_that "it to wait" waits
kill -s KILL "$(stat_of modular .pid)"
wait "$waiting" || fail "status $?"
expect_eq "$(tail -n 1 "$dir/said")" "told of the end" "what it was told;"
