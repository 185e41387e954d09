# Faults of the machine: no room in the segment directory, no process more, few descriptors, databases that
# are damaged in one way or another, segments that are lost. Each is said clearly, nothing is started twice,
# epochs grow and counts stay exact.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
chmod 711 "$dir"

# ---- no room in the segment directory ----

# In a mount namespace of its own. "$1" is its size.
start_in_tiny()
{
	local user=-m

	[ "$(id -u)" = 0 ] || user=-Urm
	status=0
	# shellcheck disable=SC2016  # expanded in there
	unshare "$user" --propagation private bash -c '
		mount -t tmpfs -o "mode=700,size=$1" none "$2" || exit 77
		shift 2
		exec "$@"' tiny "$1" "$segments" \
		"$epochd" -c "$config" --instance "$instance" --runtime-dir "$runtime" --state-dir "$state" \
		</dev/null >"$dir/said" 2>&1 || status=$?
}
{
	for app in 1 2 3 4 5 6 7 8; do
		echo "application \"a$app\" { command = { \"/bin/sleep\", \"3600\" } }"
	done
} | write_config
for size in 4k 8k 16k 32k; do
	start_in_tiny "$size"
	if [ "$status" = 77 ] || grep -q '^unshare:' "$dir/said"; then
		say "not looked at: a full segment directory, for want of a mount namespace"
		break
	fi
	expect_eq "$status" 1 "status with a segment directory of $size"
	expect_match "$(cat "$dir/said")" "$segments.*No space left on device" "what it said with $size"
	! grep -q ': starting' "$dir/said" || fail "something was started with a segment directory of $size"
done

# ---- no process more ----

# The limit is not for root.
ordinary=$(id -u)
as_ordinary=()
if [ "$ordinary" = 0 ]; then
	ordinary=54321
	chown -R "$ordinary" "$segments" "$runtime" "$state"
	cp "$epochd" "$dir/epochd-copy"
	cp "$crasher" "$dir/crasher-copy"
	chmod 755 "$dir"/*-copy
	mkdir "$dir/written"
	chown "$ordinary" "$dir/written"
	as_ordinary=(setpriv --reuid "$ordinary" --regid "$ordinary" --clear-groups)
	# shellcheck disable=SC2016
	printf '#!/bin/sh\nexec %s %s "$@"\n' "${as_ordinary[*]}" "$dir/epochd-copy" >"$dir/as-ordinary"
	chmod 755 "$dir/as-ordinary"
	programs=("$epochd" "$crasher")
	epochd=$dir/as-ordinary crasher=$dir/crasher-copy
else
	mkdir "$dir/written"
	programs=("$epochd" "$crasher")
fi
write_config <<END
application "a" {
	command = { "$crasher", "$dir/written/a", "never", "any" }
	restart = always  backoff { initial = 200ms  max = 200ms }  intensity { restarts = 1000000  within = 1s }
}
application "b" { command = { "/bin/sleep", "3600" } }
END
# limit OPTION...: the supervisor's, asked and set by one of its own uid.
limit()
{
	"${as_ordinary[@]}" prlimit --pid "$pid" "$@"
}
failed_to_fork()
{
	[ "$(stat_of a .restarts.start_failed)" -ge 2 ]
}
chmod 644 "$config"
start_epochd
await a up 1
await b up 1
await_starts "$dir/written/a" 1
b=$(stat_of b .pid)
soft=$(limit --nproc --output SOFT --noheadings | tr -d ' ')
limit --nproc=1:
kill -s KILL "$(stat_of a .pid)"
await_that "starts that fail" failed_to_fork
await a backoff
expect_match "$(stat_of a .reason)" "Resource temporarily unavailable" "the reason"
expect_stat b .pid "$b"
limit --nproc="$soft":
await_starts "$dir/written/a" 2
await a up
check_epochs_in "$dir/written/a"
expect_stat a .epoch "$(last_epoch_in "$dir/written/a")"
expect_eq "$(stat_of a '.restarts.total - .restarts.crashed - .restarts.start_failed')" 0 \
	"restarts that are neither the crash nor a start that failed"
expect_stat a .restarts.crashed 1
expect_stat a .restarts.total $(($(stat_of a .epoch) - 1))

# ---- few descriptors ----

# Without one nobody can look whether the old incarnation left something behind, so the next must wait
# (I7); that is said, and it goes on when there is room again.
soft=$(limit --nofile --output SOFT --noheadings | tr -d ' ')
limit --nofile=3:
before=$(starts_in "$dir/written/a")
kill -s KILL "$(tail -n 1 "$dir/written/a" | cut -d' ' -f2)"
await_log 'app a epoch [0-9]+: cannot look for what it left behind: Too many open files'
expect_eq "$(starts_in "$dir/written/a")" "$before" "starts without a descriptor"
limit --nofile="$soft":
await_starts "$dir/written/a" $((before + 1))
await a up
check_epochs_in "$dir/written/a"
expect_stat b .pid "$b"
stop_epochd
rm -rf "${segments:?}"/* "${runtime:?}"/* "${state:?}"/*
if [ "$(id -u)" = 0 ]; then
	chown root "$segments" "$runtime" "$state"
fi
epochd=${programs[0]} crasher=${programs[1]}

# ---- databases ----

write_config <<END
application "c" {
	command = { "$crasher", "$dir/c", "never", "any" }
	restart = always  $at_once
}
END
db=$state/$instance/epochd.db
uuid()
{
	api /v1/stats | jq -r .instance.uuid
}
crash_once()
{
	local epoch starts

	epoch=$(last_epoch_in "$dir/c")
	starts=$(starts_in "$dir/c")
	kill -s KILL "$(stat_of c .pid)"
	await_starts "$dir/c" $((starts + 1))
	await c up $((epoch + 1))
}
# What is done to it while the supervisor is down.
noise_at_the_start() { rm -f "$db-wal" "$db-shm"; head -c 8192 /dev/urandom | dd of="$db" conv=notrunc status=none; }
noise_within() { head -c 8192 /dev/urandom | dd of="$db" bs=4096 seek=2 conv=notrunc status=none; }
noise_in_the_wal() { head -c 8192 /dev/urandom | dd of="$db-wal" bs=1 seek=64 conv=notrunc status=none; }
no_byte() { rm -f "$db-wal" "$db-shm"; : >"$db"; }
half_a_page() { rm -f "$db-wal" "$db-shm"; truncate -s 2048 "$db"; }
no_file() { rm "$db"; }
no_file_and_no_wal() { rm -f "$db" "$db-wal" "$db-shm"; }
no_directory() { rm -rf "${state:?}/$instance"; }

start_epochd
await c up 1
await_starts "$dir/c" 1
crash_once
first=$(uuid)
for damage in noise_at_the_start noise_within noise_in_the_wal no_byte half_a_page no_file no_file_and_no_wal \
		no_directory; do
	process=$(stat_of c .pid)
	epoch=$(stat_of c .epoch)
	kill_epochd
	"$damage"
	start_epochd
	await c up "$epoch"
	expect_eq "$(stat_of c .pid)" "$process" "pid after $damage"
	expect_eq "$(uuid)" "$first" "UUID after $damage"
	crash_once
	crash_once
	check_counts c "$dir/c"
done

# ---- segments ----

# Nothing tells any more which of the reserved epochs were used: the next is above all of them.
process=$(stat_of c .pid)
epoch=$(stat_of c .epoch)
starts=$(starts_in "$dir/c")
kill_epochd
rm -rf "$segments/epochd-$(id -u)-$instance"
start_epochd
await_starts "$dir/c" $((starts + 1))
await c up
gone "$process" || fail "the process of a lost registry still runs"
[ "$(stat_of c .epoch)" -gt $((epoch + 7)) ] || fail "epoch $(stat_of c .epoch) after $epoch: reserved ones may have been used"
check_counts c "$dir/c"

# With both of them gone the instance starts anew, as another one.
process=$(stat_of c .pid)
starts=$(starts_in "$dir/c")
kill_epochd
rm -rf "$segments/epochd-$(id -u)-$instance" "${state:?}/$instance"
start_epochd
await c up
[ "$(uuid)" != "$first" ] || fail "with database and segments lost, the UUID is still $first"
if api /v1/stats | jq -e '.supervisor.warnings | all(.code != "no_cgroup")' >/dev/null; then
	gone "$process" || fail "the process of before runs beside the first of the new instance"
	! grep DUPLICATE "$dir/c" || fail "two of them ran at the same time"
fi
kill -s KILL "$process" 2>/dev/null || :
await_starts "$dir/c" $((starts + 1))
