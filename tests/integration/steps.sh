# The supervisor is killed after every single step from crash to restart, and of its own start; the next
# one finds its place again: one incarnation at a time (I7), epochs grow (I1, I2), every restart is
# counted once (I8).
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
use_faulty
write_config <<END
application "a" {
	command = { "$crasher", "$dir/a", "never", "any" }
	restart = always  $at_once
}
END
# Its main process is its second one, once it has said so.
cat >"$dir/mover" <<'END'
sleep 3600 &
echo "$$ $!" >"$2"
"$1" child-send READY=1 child-send "MAINPID=$!" exit 0
wait
END
write_config "$dir/mover.conf" <<END
application "m" {
	command = { "/bin/sh", "$dir/mover", "$EPOCHD_BUILD/tests/lib/notifier", "$dir/m" }
	readiness = notify  restart = never
}
END

anew()
{
	rm -rf "$dir/a" "$dir/a.lock" "$segments" "$runtime" "$state"
	mkdir -m 700 "$segments" "$runtime" "$state"
	: >"$log"
}

died_or_up()
{
	gone "$pid" || { read -r now at process < <(stat_of a '"\(.state) \(.epoch) \(.pid)"' 2>/dev/null) &&
		[ "$now" = up ] && [ "$at" -gt "$1" ] && [ "$(last_epoch_in "$dir/a")" = "$at" ]; }
}

# Kills the application until the supervisor passes the point.
until_fault()
{
	local epoch=0 now at process i

	for ((i = 0; i < 12; i++)); do
		await_that "epoch $epoch to be over, at $1" died_or_up "$epoch"
		! gone "$pid" || break
		epoch=$at   # the supervisor may end at any moment: it is asked no more
		kill -s KILL "$process"
	done
	if ! gone "$pid"; then
		kill -s TERM "$pid"
	fi
	wait_epochd
	expect_eq "$status" 137 "status of the supervisor, which never passed the point $1;"
}

wrote()
{
	[ "$(last_epoch_in "$dir/a")" = "$1" ]
}

# POINT COUNT
point()
{
	anew
	EPOCHD_FAULT=$1:$2 launch_epochd
	until_fault "$1"
	start_epochd
	await a up
	await_that "what the application writes" wrote "$(stat_of a .epoch)"
	check_counts a "$dir/a"
	epoch=$(stat_of a .epoch)
	kill -s KILL "$(stat_of a .pid)"
	await a up $((epoch + 1))
	await_that "the start of epoch $((epoch + 1))" wrote $((epoch + 1))
	check_counts a "$dir/a"
	stop_epochd
}

# A point of recovery is passed when there is something to recover. POINT alive|dead: the application
point_of_recovery()
{
	anew
	start_epochd
	await a up 1
	await_starts "$dir/a" 1
	kill_epochd
	if [ "$2" = dead ]; then
		kill -s KILL "$(cut -d' ' -f2 "$dir/a")"
	fi
	EPOCHD_FAULT=$1:1 launch_epochd
	await_that "the supervisor's end at $1, application $2" died_or_up 0
	if ! gone "$pid"; then
		stop_epochd
		return
	fi
	wait_epochd
	passed=$((passed + 1))
	start_epochd
	await a up
	await_that "what the application writes" wrote "$(stat_of a .epoch)"
	check_counts a "$dir/a"
	expect_stat a .restarts.total "$([ "$2" = dead ] && echo 1 || echo 0)"
	stop_epochd
}

# Amid MAINPID=: the next one adopts the process that it named, and not the one that said so.
point_of_main()
{
	local config=$dir/mover.conf first second

	anew
	EPOCHD_FAULT=$1:1 launch_epochd
	wait_epochd
	expect_eq "$status" 137 "status of the supervisor, which never passed the point $1;"
	start_epochd
	await m up 1
	read -r first second <"$dir/m"
	expect_stat m .pid "$second"
	expect_eq "$(ctl incarnations m --json | jq '.incarnations[0].pid')" "$second" "pid of the incarnation"
	! gone "$first" || fail "its first process ended with the supervisor"
	kill -s KILL "$second"
	await m stopped 1
	gone "$first" || fail "its first process outlived the incarnation"
	stop_epochd
}

for name in $("$epochd" --list-fault-points); do
	case $name in
	store_opened | ledger_opened | registry_recovered | spawn_word_cancelled | adopted | recovered)
		passed=0
		point_of_recovery "$name" alive
		point_of_recovery "$name" dead
		[ "$passed" -gt 0 ] || [ "$name" = spawn_word_cancelled ] ||
			fail "the point $name was never passed"
		;;
	client_* | clients_* | app_resuming | app_resumed | trace_* | large_*)
		;;   # steps_of_clients.sh, steps_of_resume.sh, trace.sh, large.sh
	main_changed)
		point_of_main "$name"
		;;
	*)
		point "$name" 1
		point "$name" 2
		;;
	esac
done

# Cancelled is a start that was under way: two faults, one after the other.
anew
EPOCHD_FAULT=fence_starting:2 launch_epochd
until_fault fence_starting
EPOCHD_FAULT=spawn_word_cancelled:1 launch_epochd
wait_epochd
expect_eq "$status" 137 "status of the supervisor at spawn_word_cancelled"
start_epochd
await a up
await_that "what the application writes" wrote "$(stat_of a .epoch)"
check_counts a "$dir/a"
