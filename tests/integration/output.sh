# Output goes to a file that is rotated by size, at line ends; not a line is lost or doubled in rotation, or
# when the supervisor is killed in mid-traffic.
. "${0%/*}/lib.sh"
deaths=5
# It ends only when told: what the pipe holds is lost if it ends while no supervisor is there.
cat >"$dir/talker" <<'END'
for ((last = i = 1; i <= last; i++)); do
	echo "$i of many, and some more so that files fill"
	if [ ! -e enough ]; then
		last=$((i + 10000))
	fi
done
echo "$last" >last
END
write_config <<END
application "talker" {
	command = { "$BASH", "talker" }
	directory = "$dir"
	restart = never
	output { file = "$dir/talker.log"  max-size = 128K  keep = 100000 }
}
END
written()   # all files, the oldest first
{
	find "$dir" -maxdepth 1 -name 'talker.log*' | sort -Vr | xargs cat
}
files()
{
	find "$dir" -maxdepth 1 -name 'talker.log.*' | wc -l
}
more_files()
{
	[ "$(files)" -gt "$1" ]
}
all_written()
{
	[ "$(written | wc -c)" -ge "$(stat -c %s "$dir/expected")" ]
}
: >"$dir/talker.log"
for ((i = 0; i < deaths; i++)); do
	start_epochd
	await_that "a rotation" more_files "$(files)"
	kill_epochd
done
start_epochd
: >"$dir/enough"
await talker stopped
last=$(cat "$dir/last")
for ((i = 1; i <= last; i++)); do
	echo "$i of many, and some more so that files fill"
done >"$dir/expected"
await_that "all lines to be written" all_written
written | cmp - "$dir/expected" || fail "lines are lost, doubled or out of order"
for file in "$dir"/talker.log.*; do
	expect_eq "$(tail -c 1 "$file" | od -An -tx1 | tr -d ' ')" 0a "the end of $file"
	[ "$(stat -c %s "$file")" -le $((128 * 1024)) ] || fail "$file is larger than max-size"
done
expect_stat talker .epoch 1

# What it was written through is gone after a clean end, also of one that does not know the application.
kill_epochd
[ -p "$runtime/$instance/output/talker.fifo" ] || fail "its FIFO is gone already"
write_config <<<'application "other" { command = { "/bin/true" }  restart = never }'
start_epochd
stop_epochd
[ ! -e "$runtime/$instance" ] || fail "left: $(find "$runtime/$instance")"
