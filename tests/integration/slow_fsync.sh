# With an fsync that takes half a second, ten crashes in a row are over before ten fsyncs could be: nothing
# between a crash and the next start waits for the disk (I1, I9). Each epoch was durable all the same.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
shim=$EPOCHD_BUILD/tests/lib/.libs/slowsync.so
[ -e "$shim" ] || fail "$shim is not built"
[ -z "${SANITIZED:-}" ] || skip "a sanitizer's runtime must come first, before what is preloaded"
crashes=10 fsync_ms=500
write_config <<END
application "a" {
	command = { "$crasher", "$dir/a", "never", "any" }
	clear-environment = true
	restart = always  $at_once
}
END
export EPOCHD_FSYNC_MS=$fsync_ms
LD_PRELOAD=$shim start_epochd
await a up 1
await_starts "$dir/a" 1
for ((i = 1; i <= crashes; i++)); do
	from=${EPOCHREALTIME//[.,]/}
	kill -s KILL "$(tail -n 1 "$dir/a" | cut -d' ' -f2)"
	await_starts "$dir/a" $((i + 1))
	took=$((${took:-0} + ${EPOCHREALTIME//[.,]/} - from))
done
[ "$took" -lt $((crashes * fsync_ms * 1000)) ] || fail "$crashes restarts took $took us"
await a up $((crashes + 1))
check_counts a "$dir/a"
stop_epochd
expect_eq "$(stored a .restarts.crashed)" "$crashes" "restarts in the store"
expect_eq "$(stored a .epoch)" $((crashes + 1)) "epoch in the store"
