# Supervisor, application and clients are killed at random for EPOCHD_TEST_SECONDS, the supervisor also at the steps of its
# recovery, of taking back who returns, of reaping and of reclaiming: nothing hangs, every message is whole and in order, what
# was counted is what the channels of the dead say, messages go on while no supervisor is there; and an observer that only
# reads shared memory and the database holds the invariants against both. torture_recovery_6_1.sh is the same on an older
# kernel.
. "${0%/*}/lib.sh"
use_faulty
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance EPOCHD_TEST_SECONDS=$seconds
torture=$EPOCHD_BUILD/tests/torture
truncate -s 64K "$dir/control"
write_config <<END
application "torture" {
	command = { "$torture/peer", "app", "$dir" }
	readiness = attach  restart = always
	backoff { initial = 0s }  intensity { within = 0s }
	clients { max = 64  max-per-user = 100 }
	channel { ring = 16  buffers = { "8x64", "4x256", "2x1024" } }
	trace { on = true  size = "64K"  saved = 50 }
}
END
registry=$segments/epochd-$(id -u)-$instance/torture
"$torture/observer" "$registry" "$state/$instance/epochd.db" torture "$dir/control" >"$dir/seen" 2>&1 &
observer=$!
others+=("$observer")
status=0
"$torture/drive" "$dir" "$registry" 0 "$torture/peer" "$epochd" -c "$config" --instance "$instance" \
	--runtime-dir "$runtime" --state-dir "$state" 2>"$log" || status=$?
[ "$status" = 0 ] || fail "status $status: $(grep -a 'drive: FAILED' "$log" || tail -n 20 "$log")"
kill -s TERM "$observer" || :
wait "$observer" || fail "$(cat "$dir/seen")"
cat "$dir/seen"
. "${0%/*}/traces_are_whole.sh"
