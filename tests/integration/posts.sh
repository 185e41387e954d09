# Functions that other threads post are called by the one that dispatches: in the order of each, all that are there at once,
# with nothing allocated; and what they post themselves comes in the next turn.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
serve poster "\"$EPOCHD_BUILD/tests/lib/poster\"" "output { file = \"$dir/said\" }  restart = never"
is_done()
{
	grep -q . "$dir/said"
}
await_that "what it says" is_done
expect_eq "$(cat "$dir/said")" "40000 posts of 4 threads, each in its order; batched; nothing allocated" "what it found;"
