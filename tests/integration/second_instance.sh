# A second supervisor of the same name is refused at once and says which pid holds it; one of another name
# runs beside it, and the name is free again after a SIGKILL.
. "${0%/*}/lib.sh"
write_config <<END
application "a" { command = { "/bin/sleep", "3600" } }
END
start_epochd
first=$pid
status=0
"$epochd" -c "$config" --instance "$instance" --runtime-dir "$runtime" --state-dir "$state" \
	>"$dir/second" 2>&1 || status=$?
[ "$status" != 0 ] || fail "a second one of the same name ran"
expect_match "$(cat "$dir/second")" "(^|[^0-9])$first([^0-9]|\$)" "what the second one said"
await a up 1

# Not even with directories of its own, since the segments are one.
mkdir -m 700 "$dir/run2" "$dir/state2"
status=0
"$epochd" -c "$config" --instance "$instance" --runtime-dir "$dir/run2" --state-dir "$dir/state2" \
	>"$dir/second" 2>&1 || status=$?
[ "$status" != 0 ] || fail "a second one ran in the same segment directory"
expect_match "$(cat "$dir/second")" "(^|[^0-9])$first([^0-9]|\$)" "what the second one said"
expect_eq "$(stat_of a .state)" up

# Nor with segments of its own, where there is a cgroup: that would be one as well.
mkdir -m 700 "$dir/segments2"
{ printf 'segment-directory = "%s"\n' "$dir/segments2"; cat "$config"; } >"$dir/second.conf"
if [ "$(api /v1/stats | jq '[.warnings[] | select(.code == "no_cgroup")] | length')" = 0 ]; then
	status=0
	"$epochd" -c "$dir/second.conf" --instance "$instance" --runtime-dir "$dir/run2" \
		--state-dir "$dir/state2" >"$dir/second" 2>&1 || status=$?
	[ "$status" != 0 ] || fail "a second one ran in the same cgroup"
	expect_match "$(cat "$dir/second")" "choose another name" "what the second one said"
	expect_eq "$(stat_of a .state)" up
fi

name=$instance
pid=
instance=${name}b
start_epochd
await a up 1
stop_epochd
rm -rf "/dev/shm/epochd-$(id -u)-$instance"
instance=$name
pid=$first

kill_epochd
start_epochd
await a up 1
