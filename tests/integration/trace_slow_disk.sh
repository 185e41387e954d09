# An application that crashes and crashes, on a disk that does not return: traces wait for it, as many as are to be kept, and
# the others are dropped, so that memory is not filled with them.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
shim=$EPOCHD_BUILD/tests/lib/.libs/slowsync.so
[ -e "$shim" ] || fail "$shim is not built"
[ -z "${SANITIZED:-}" ] || skip "a sanitizer's runtime must come before what is preloaded"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance EPOCHD_FSYNC_GATE=$dir/gate
configure_served modular "\"$EPOCHD_BUILD/tests/lib/modular\"" \
	"trace { on = true  saved = 2 }  clear-environment = true  backoff { initial = 0s }  intensity { within = 0s }"
LD_PRELOAD=$shim start_epochd
await modular up 1
: >"$dir/gate"
for epoch in 1 2 3 4 5 6; do
	kill -s KILL "$(stat_of modular .pid)"
	await modular up $((epoch + 1))
	left=$(find "$segments" -name '.traced.*' | wc -l)
	[ "$left" -le 3 ] || fail "$left traces wait in memory, and 2 are to be kept"
done
await_log 'its trace is lost: .*Device or resource busy'
rm "$dir/gate"
are_saved()
{
	[ -z "$(find "$segments" -name '.traced.*')" ] && [ "$(api /v1/apps/modular/trace | jq '.saved | length')" = 2 ]
}
await_that "the others to be saved" are_saved
stop_epochd
