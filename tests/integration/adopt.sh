# A supervisor that was killed leaves its application running; the next one adopts it, same process, same
# epoch, nothing counted, and sees its end all the same: with how it ended where the kernel tells, unseen
# on one that does not (6.1).
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
use_faulty
write_config <<END
application "a" {
	command = { "$crasher", "$dir/a", "never", "any" }
	restart = always  $at_once
}
END

# EPOCH: it is adopted in, RESTARTS so far
adopts()
{
	local process

	await a up "$1"
	await_starts "$dir/a" "$1"
	process=$(stat_of a .pid)
	kill_epochd
	kill -0 "$process" || fail "the application went with its supervisor"
	start_epochd
	await a up "$1"
	expect_stat a .pid "$process"
	expect_stat a .restarts.total "$2"
	expect_eq "$(starts_in "$dir/a")" "$1" starts
	kill -s KILL "$process"
	await a up $(($1 + 1))
	expect_stat a .restarts.total $(($2 + 1))
}

tells()   # PIDFD_GET_INFO tells exits since Linux 6.15
{
	local major minor

	IFS=.- read -r major minor _ < <(uname -r)
	[ "$major" -gt 6 ] || { [ "$major" = 6 ] && [ "$minor" -ge 15 ]; }
}

unseen=0
start_epochd
adopts 1 0
if tells; then
	expect_stat a .last_exit.cause crashed
	expect_stat a .last_exit.signal SIGKILL
	expect_stat a .restarts.crashed 1
else
	unseen=1
fi
expect_stat a .restarts.unseen "$unseen"
stop_epochd

rm -rf "$dir/a" "$segments" "$runtime" "$state"
mkdir -m 700 "$segments" "$runtime" "$state"
export EPOCHD_KERNEL=6.1
start_epochd
adopts 1 0
# Who reaps it instead of us may be slow enough for /proc to tell.
expect_match "$(stat_of a '.last_exit | "\(.cause) \(.signal)"')" '^(unseen null|crashed SIGKILL)$'
expect_eq "$(stat_of a '.restarts | .unseen + .crashed')" 1 "restarts unseen or crashed"
check_counts a "$dir/a"
