# When the disk is full the application keeps running, and status says why; the epochs that are reserved are
# used, the restart after the last of them is held, and comes when the disk has room again.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
shim=$EPOCHD_BUILD/tests/lib/.libs/slowsync.so
[ -e "$shim" ] || fail "$shim is not built"
[ -z "${SANITIZED:-}" ] || skip "a sanitizer's runtime must come before what is preloaded"
enospc=${DISK_ERRNO:-28}
write_config <<END
application "a" {
	command = { "$crasher", "$dir/a", "never", "any" }
	restart = always  $at_once
}
application "b" { command = { "/bin/sleep", "3600" } }
END
export EPOCHD_WRITE_ERRNO=$enospc EPOCHD_FAULT_FILE=$dir/full EPOCHD_FAULT_UNDER=$state

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

# A supervisor killed while the disk is full: the epochs used since are known to the next one (I2, I8), which
# starts all the same and goes on as the one before did.
: >"$dir/full"
kill -s KILL "$(stat_of a .pid)"
await a up $((last + 2))
kill_epochd
LD_PRELOAD=$shim start_epochd
await a up $((last + 2))
await_that "the warning" warned
expect_stat b .pid "$b"
check_counts a "$dir/a"
await_that "a to be held" held
last=$(last_epoch_in "$dir/a")
check_epochs_in "$dir/a"
rm "$dir/full"
await a up $((last + 1))
await_that "the end of the warning" not_warned
check_counts a "$dir/a"
stop_epochd
expect_eq "$(stored a .restarts.total)" $(($(starts_in "$dir/a") - 1)) "restarts in the store"
expect_eq "$("$epochctl" --db "$state/$instance/epochd.db" stats --json | jq .supervisor.runs)" 2 "runs"

# After a clean end none of what was reserved is used before this run is durable; nor is any where nothing ever was.
begin_held()   # EPOCH: of a, when there is room
{
	: >"$dir/full"
	LD_PRELOAD=$shim start_epochd
	await a held
	expect_match "$(stat_of a .reason)" "${DISK_TEXT:-No space left on device}"
	rm "$dir/full"
	await a up "$1"
	await b up
	stop_epochd
}
begin_held $((last + 2))
rm -r "${state:?}/$instance"
begin_held 1

# For `epochd run` there is the runtime directory instead.
rm -r "${state:?}/$instance"
: >"$dir/full"
said=$(LD_PRELOAD=$shim timeout 60 "$epochd" run --name "$instance" --runtime-dir "$runtime" --state-dir "$state" -- \
	echo it ran 2>"$dir/err") || fail "epochd run ended with status $?"
expect_eq "$said" "it ran" "the output of what is run"
expect_match "$(cat "$dir/err")" 'no writable state directory: epochs last as long as'
[ ! -e "/dev/shm/epochd-$(id -u)-$instance" ] || fail "epochd run left its segment directory"
