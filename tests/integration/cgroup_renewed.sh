# An application that leaves children behind is killed five times in a row, and each next incarnation
# lives. Linux 6.14 and later also kill what clone3 puts into a cgroup that was killed once: each
# incarnation after such an end needs a cgroup that was not.
# needs root
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
need_root
write_config <<END
application "a" {
	command = { "/bin/sh", "-c", "sleep 3601 & sleep 3602 & exec \$0 \$@", "$crasher", "$dir/a", "never", "any" }
	restart = always  $at_once
}
application "b" { command = { "/bin/sleep", "3600" }  backoff { initial = 1h  max = 1h } }
END
# cgroup_of PID: its path in the tree of cgroup2
cgroup_of()
{
	sed -n 's/^0:://p' "/proc/$1/cgroup"
}
start_epochd
await a up 1
[[ $(cgroup_of "$(stat_of a .pid)") == *"$instance"* ]] || skip "needs a cgroup2 tree that can be written"
for epoch in 1 2 3 4 5; do
	await a up "$epoch"
	await_starts "$dir/a" "$epoch"
	process=$(stat_of a .pid)
	cgroup=$(cgroup_of "$process")
	expect_match "$cgroup" "$instance" "cgroup of epoch $epoch"
	kill -s KILL "$process"
done
await a up 6
await_starts "$dir/a" 6
expect_match "$(cgroup_of "$(stat_of a .pid)")" "$instance" "cgroup of epoch 6"
check_counts a "$dir/a"
expect_stat a .restarts.crashed 5
expect_stat a .restarts.total 5

# A stop that was asked for kills what is left in the same way, and so does the next supervisor.
ctl restart --wait a
await a up 7
kill_epochd
start_epochd
await a up 7
kill -s KILL "$(stat_of a .pid)"
await a up 8
await_starts "$dir/a" 8
check_counts a "$dir/a"

# An empty one that somebody tidies away is made again. Five times, since one in which something was killed
# would have been made anew in any case.
await b up 1
cgroup=$(cgroup_of "$(stat_of b .pid)")
for epoch in 2 3 4 5 6; do
	kill -s KILL "$(stat_of b .pid)"
	await b backoff $((epoch - 1))
	rmdir "$(findmnt -n -o TARGET -t cgroup2 | head -n 1)$cgroup"
	ctl restart --wait b
	await b up "$epoch"
	expect_eq "$(cgroup_of "$(stat_of b .pid)")" "$cgroup" "the cgroup of epoch $epoch"
done
