# Clients and their application are killed with SIGKILL at every step inside send, receive, allocate, release, attach
# and joining, and at any moment, for EPOCHD_TEST_SECONDS: every message is whole and in order, the totals are what the
# channels of the dead say (I8), no handle of the dead is good, nothing stays open, no slot is lost.
. "${0%/*}/lib.sh"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance EPOCHD_TEST_SECONDS=$seconds
torture=$EPOCHD_BUILD/tests/torture
truncate -s 64K "$dir/control"
# The application starts when the driver listens.
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
start_epochd
registry=$segments/epochd-$(id -u)-$instance/torture
"$torture/drive" "$dir" "$registry" "$pid" "$torture/peer" 2>"$dir/why" ||
	fail "status $?: $(cat "$dir/why")"
expect_stat torture .clients.connected 0
expect_stat torture .reclaimed.channels_lost 0
. "${0%/*}/traces_are_whole.sh"
