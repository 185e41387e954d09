# When the disk is full the application keeps running, and status says why; the epochs that are reserved are
# used, the restart after the last of them is held, and comes when the disk has room again.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
shim=$EPOCHD_BUILD/tests/lib/.libs/slowsync.so
[ -e "$shim" ] || fail "$shim is not built"
[ -z "${SANITIZED:-}" ] || skip "a sanitizer's runtime must come before what is preloaded"
enospc=28
write_config <<END
application "a" {
	command = { "$crasher", "$dir/a", "never", "any" }
	restart = always  $at_once
}
application "b" { command = { "/bin/sleep", "3600" } }
END
export EPOCHD_WRITE_ERRNO=$enospc EPOCHD_FAULT_FILE=$dir/full

warned()
{
	api /v1/stats | jq -e '.supervisor.warnings[] | select(.code == "store_unwritable")' >/dev/null
}
not_warned()
{
	! warned
}
# One more crash, unless it is held.
held()
{
	is_at a held "" || { kill -s KILL "$(tail -n 1 "$dir/a" | cut -d' ' -f2)" 2>/dev/null; false; }
}

LD_PRELOAD=$shim start_epochd
await a up 1
await b up 1
await_starts "$dir/a" 1
b=$(stat_of b .pid)
: >"$dir/full"
kill -s KILL "$(stat_of a .pid)"
await a up 2
await_that "the warning" warned
expect_eq "$(api /metrics | sed -n 's/^epochd_store_writable //p')" 0 "epochd_store_writable"
expect_stat b .pid "$b"
await_that "a to be held" held
last=$(last_epoch_in "$dir/a")
[ "$last" -ge 9 ] && [ "$last" -le 17 ] || fail "held after epoch $last, of 16 reserved"
expect_match "$(stat_of a .reason)" .
expect_match "$(api /healthz)" '"a"'
expect_stat b .pid "$b"
check_epochs_in "$dir/a"
rm "$dir/full"
await a up $((last + 1))
await_that "the end of the warning" not_warned
check_counts a "$dir/a"

# A supervisor killed while the disk is full: the epochs used since are known to the next one (I2, I8).
: >"$dir/full"
kill -s KILL "$(stat_of a .pid)"
await a up $((last + 2))
kill_epochd
rm "$dir/full"
LD_PRELOAD=$shim start_epochd
await a up $((last + 2))
check_counts a "$dir/a"
stop_epochd
expect_eq "$(stored a .restarts.total)" $(($(starts_in "$dir/a") - 1)) "restarts in the store"
