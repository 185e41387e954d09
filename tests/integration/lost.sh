# Epochs never go backwards (I2): through lost segments, a lost database and a corrupt one. Counts go on,
# too. With both of them gone the instance starts anew, under a new UUID.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
write_config <<END
application "a" {
	command = { "$crasher", "$dir/a", "never", "any" }
	restart = always  $at_once
}
END
uuid()
{
	api /v1/stats | jq -r .instance.uuid
}
# Kills it once: the next has the next epoch.
crash_once()
{
	local epoch starts

	epoch=$(last_epoch_in "$dir/a")
	starts=$(starts_in "$dir/a")
	kill -s KILL "$(stat_of a .pid)"
	await_starts "$dir/a" $((starts + 1))
	await a up $((epoch + 1))
}
is_up_once_more()
{
	is_at a up "" && [ "$(starts_in "$dir/a")" -gt "$1" ]
}

# told_of_loss PATTERN
told_of_loss()
{
	expect_match "$(api /v1/stats | jq -r '.supervisor.warnings[] | select(.code == "store_lost").text')" "$1"
	expect_eq "$(api '/v1/events?limit=1000' | jq '[.events[] | select(.event == "store_lost")] | length > 0')" \
		true "an event store_lost"
}

start_epochd
await a up 1
expect_eq "$(api /v1/stats | jq -c '[.supervisor.warnings[].code | select(. == "store_lost")]')" '[]' "losses"
await_starts "$dir/a" 1
crash_once
crash_once
expect_stat a .restarts.crashed 2
first=$(uuid)

# The database: adopted as it is, counts and all.
process=$(stat_of a .pid)
kill_epochd
rm "$state/$instance"/epochd.db*
start_epochd
await a up 3
expect_stat a .pid "$process"
expect_eq "$(uuid)" "$first" "UUID after the loss of the database"
told_of_loss 'there was no database'
expect_stat a .restarts.crashed 2
crash_once
check_counts a "$dir/a"

# Corrupt: set aside, and said.
kill_epochd
db=$state/$instance/epochd.db
rm -f "$db-wal" "$db-shm"
head -c 4096 /dev/urandom | dd of="$db" conv=notrunc status=none
start_epochd
await a up 4
expect_eq "$(uuid)" "$first" "UUID after the corruption of the database"
told_of_loss 'corrupt .*set aside as '
find "$state/$instance" -name 'epochd.db?*' | grep -qvE -- '-(wal|shm)$' || fail "nothing was set aside"
crash_once
check_counts a "$dir/a"

# The segments: its process cannot be fenced any more and goes; the epochs go on above what was reserved.
starts=$(starts_in "$dir/a")
kill_epochd
rm -rf "$segments/epochd-$(id -u)-$instance"
start_epochd
await_that "a start after the loss of the segments" is_up_once_more "$starts"
check_counts a "$dir/a"
expect_eq "$(uuid)" "$first" "UUID after the loss of the segments"

# After a clean end nothing is skipped.
epoch=$(last_epoch_in "$dir/a")
stop_epochd
rm -rf "$segments/epochd-$(id -u)-$instance"
start_epochd
await a up $((epoch + 1))

# Cut short while nobody runs: what can be read of it is kept.
stop_epochd
truncate -s -4096 "$db"
start_epochd
await a up $((epoch + 2))
expect_eq "$(uuid)" "$first" "UUID after the database was cut short"

# A page of the history: it is rebuilt while all runs.
stop_epochd
page=$(python3 - "$db" <<'END'
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute(
    "SELECT rootpage FROM sqlite_schema WHERE name = 'incarnation_restart'").fetchone()[0])
END
)
head -c 4096 /dev/urandom | dd of="$db" bs=4096 seek=$((page - 1)) conv=notrunc status=none
start_epochd
await a up $((epoch + 3))
expect_eq "$(uuid)" "$first" "UUID after a page of the history was bad"

stop_epochd
rm -rf "$segments/epochd-$(id -u)-$instance" "${state:?}/$instance"
start_epochd
await a up 1
[ "$(uuid)" != "$first" ] || fail "with database and segments lost, the UUID is still $first"
