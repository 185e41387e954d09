# With a disk on which no fsync returns, ten crashes in a row are ten restarts: nothing between a crash and
# the next start waits for the disk (I1, I9). When the epochs reserved before are used up, and only then,
# the restart is held until one is durable.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
shim=$EPOCHD_BUILD/tests/lib/.libs/slowsync.so
[ -e "$shim" ] || fail "$shim is not built"
[ -z "${SANITIZED:-}" ] || skip "a sanitizer's runtime must come before what is preloaded"
write_config <<END
application "a" {
	command = { "$crasher", "$dir/a", "never", "any" }
	clear-environment = true
	restart = always  $at_once
}
END
export EPOCHD_FSYNC_GATE=$dir/gate

# Until EPOCH runs.
crash_up_to()
{
	local epoch

	for ((epoch = $(last_epoch_in "$dir/a"); epoch < $1; epoch++)); do
		kill -s KILL "$(tail -n 1 "$dir/a" | cut -d' ' -f2)"
		await_starts "$dir/a" $((epoch + 1))
	done
}

LD_PRELOAD=$shim start_epochd
await a up 1
await_starts "$dir/a" 1
: >"$dir/gate"
crash_up_to 11
await a up 11
expect_stat a .restarts.crashed 10
check_counts a "$dir/a"

# 16 epochs were reserved by the first commit, without which epoch 1 had not been.
while ! is_at a held "" && [ "$(last_epoch_in "$dir/a")" -lt 20 ]; do
	kill -s KILL "$(tail -n 1 "$dir/a" | cut -d' ' -f2)" 2>/dev/null || sleep 0.02
done
await a held
last=$(last_epoch_in "$dir/a")
[ "$last" -ge 16 ] && [ "$last" -lt 20 ] || fail "held after epoch $last"
rm "$dir/gate"
await a up $((last + 1))
check_counts a "$dir/a"
stop_epochd
expect_eq "$(stored a .restarts.crashed)" "$last" "restarts in the store"
expect_eq "$(stored a .epoch)" $((last + 1)) "epoch in the store"

# And with one that takes half a second, the supervisor answers and restarts all the while.
unset EPOCHD_FSYNC_GATE
export EPOCHD_FSYNC_MS=500
LD_PRELOAD=$shim start_epochd
await a up $((last + 2))
await_starts "$dir/a" $((last + 2))
crash_up_to $((last + 12))
await a up $((last + 12))
check_epochs_in "$dir/a"
expect_stat a .restarts.total $((last + 10))   # a start after a stop is none
