# `epochctl doctor` says what is wrong and what would mend it, changes nothing, and with --fix mends what it can: of an instance
# that is well, of one whose supervisor was killed, of one of which nothing is left but its segments; and what it knows of the
# machine around it.
. "${0%/*}/lib.sh"
export EPOCHD_STATE_DIR=$state EPOCHD_DOCTOR_ROOT=$dir/root
mkdir -p "$dir/root"
write_config <<END
application "a" { command = { "/usr/bin/env", "-i", "/bin/sleep", "1000" } }
END
export EPOCHD_INSTANCE=$instance   # as a person has it, who is no process of the instance
# doctor [OPTION...]: its findings, as JSON in $dir/found, its status in `status`.
doctor()
{
	status=0
	ctl doctor --json "$@" >"$dir/found" || status=$?
}
# But what is so of this machine, whatever is tested.
codes()
{
	jq -r '[.findings[] | select(.severity != "note") | .code | select(. != "no_cgroup" and . != "shm_full")] |
		sort | join(" ")' "$dir/found"
}
# But for the database's index of who reads it.
everything()
{
	find "$folder" "$runtime" "$state" ! -name '*-shm' -printf '%p %s %T@\n' | sort
}
start_epochd
await a up 1
doctor
expect_eq "$(codes)" "" "findings of one that is well"
if [ "$(jq '.findings | length' "$dir/found")" = 0 ]; then
	expect_eq "$status" 0 "status"
	expect_match "$(ctl doctor)" "nothing is wrong"
fi
expect_match "$(ctl doctor || :)" "a supervisor runs; 1 segments"

folder=$segments/epochd-$(id -u)-$instance
running=$(stat_of a .pid)
kill_epochd
everything >"$dir/before"
doctor
everything >"$dir/after"
cmp "$dir/before" "$dir/after" || fail "it changed something: $(diff "$dir/before" "$dir/after")"
expect_eq "$(codes)" no_supervisor "findings without a supervisor"
expect_eq "$status" 1 "status"
expect_match "$(jq -r '.findings[0].mend' "$dir/found")" "start epochd with the same configuration"
doctor --fix
[ -e "$folder/a" ] || fail "--fix removed the segment of an application that runs"

# It listens, and does not answer under that name any more.
start_epochd
await a up 1
mv "$runtime/$instance/control.sock" "$dir/control.sock"
doctor
expect_eq "$(codes)" no_answer "findings where nobody answers"
mv "$dir/control.sock" "$runtime/$instance/control.sock"

# All of it is dead; what is left can be removed, as long as the database knows the epochs.
kill_epochd
kill -s KILL "$running"
await_that "its end" gone "$running"
doctor
expect_eq "$(codes)" stale_segments "findings where nothing runs"
printf 'XXXX' | dd of="$folder/a" bs=1 conv=notrunc status=none
doctor
expect_eq "$(codes)" "segment_bad stale_segments" "findings of a damaged segment"
mv "$state/$instance/epochd.db" "$dir/kept.db"
doctor --fix
expect_eq "$(jq -c '[.findings[] | select(.code == "stale_segments") | .fixable, .fixed]' "$dir/found")" '[false,false]' \
	"what it mends without a database"
[ -e "$folder/a" ] || fail "--fix removed what alone knew the epochs"
mv "$dir/kept.db" "$state/$instance/epochd.db"
doctor --fix
expect_eq "$(jq -c '[.findings[] | select(.code == "stale_segments") | .fixed]' "$dir/found")" '[true]' "what it mended"
! [ -e "$folder" ] || fail "the segments are still there"
doctor
expect_eq "$(codes)" "" "findings afterwards"
start_epochd
await a up
[ "$(stat_of a .epoch)" -gt 1 ] || fail "an epoch was used twice"
stop_epochd

# A damaged database.
printf 'XXXXXXXXXXXXXXXX' | dd of="$state/$instance/epochd.db" bs=1 seek=64 conv=notrunc status=none
dd if=/dev/urandom of="$state/$instance/epochd.db" bs=1024 seek=4 count=16 conv=notrunc status=none
doctor
expect_match "$(codes)" "store_corrupt|store_version|store_unreadable" "findings of a damaged database"
rm -f "$state/$instance/epochd.db"*

# The machine.
mkdir -p "$dir/root/etc/systemd/system"
printf '[Service]\nKillMode=mixed\n' >"$dir/root/etc/systemd/system/epochd.service"
doctor
expect_eq "$(codes)" kill_mode "findings of a unit that kills all"
printf '[Service]\nKillMode=process\n' >"$dir/root/etc/systemd/system/epochd.service"
doctor
expect_eq "$(codes)" "" "findings of a unit that does not"
user=$(id -u)
if [ "$user" -ge 1000 ]; then
	mkdir -p "$dir/root/run/systemd/system" "$dir/root/var/lib/systemd/linger"
	doctor
	expect_eq "$(codes)" remove_ipc "findings where logind removes it"
	printf '[Login]\nRemoveIPC=no\n' >"$dir/root/etc/systemd/logind.conf"
	doctor
	expect_eq "$(codes)" "" "findings where it does not"
fi
