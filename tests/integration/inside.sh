# An application that is its own client: registered, shown and counted as any, its messages pass nobody; where it waits, its
# application's turn comes; and its callback is told when something comes after nothing.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"

# so_far WORDS: what it has found to be so
so_far()
{
	local said

	said=$(tr '\n' ' ' <"$dir/said")
	[ "$said" = "$1 " ] || { [[ $said != *line* ]] || fail "$said"; false; }
}
keepalive='keepalive { interval = 20ms  misses = 1 }'
serve inside "\"$EPOCHD_BUILD/tests/lib/inside\"" "output { file = \"$dir/said\" }  $keepalive"
await_that "what it does before it runs" so_far "calls waits told another post"
expect_eq "$(ctl clients inside --json | jq -c ".clients | map([.name, .pid == $(stat_of inside .pid), .sent])")" \
	'[["myself",true,1017]]' "its clients: itself;"
expect_eq "$(ctl messages inside --json | jq '.messages[0].counts | .received, .sent' | tr '\n' ' ')" "1017 1017 " \
	"the counts of inside.twice: its own 1,000, 15 of those it was told of, another's one, and the post's;"
expect_eq "$(ctl rings inside --json | jq '.rings | map(select(.owner == "client"))[0].in_use')" 0 "lines in use;"
# Nobody waits for its own answer to a ping: it is not called lazy.
"$epochctl" events --runtime-dir "$runtime" -i "$instance" --json | jq -e '[.events[].event] | index("lazy") == null' >"$dir/out" ||
	fail "it was called lazy"

# In a handler that somebody else caused, also while the supervisor does nothing.
expect_eq "$(ctl call inside inside.nested '{"number": 10}' | jq .reply.number)" 40 "a handler that calls its own application;"
expect_eq "$(stat_of inside .clients.connected)" 1 "clients;"
ctl stop inside --wait >"$dir/out"
await_that "its end" so_far "calls waits told another post ended"

# With workers, who reply from other threads.
: >"$dir/said"
configure_served inside "\"$EPOCHD_BUILD/tests/lib/inside\", \"2\"" "output { file = \"$dir/said\" }"
ctl reload --wait >"$dir/out"
ctl start inside --wait >"$dir/out"
await_that "the same with workers" so_far "calls waits told another post"
stop_epochd
