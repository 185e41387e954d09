# Output goes to a file that is rotated by size, at line ends; not a line is lost or doubled in rotation, or
# when the supervisor is killed in mid-traffic.
. "${0%/*}/lib.sh"
lines=150000 deaths=5
cat >"$dir/talker" <<'END'
for ((i = 1; i <= $1; i++)); do
	echo "$i of $1, and some more so that files fill"
done
END
write_config <<END
application "talker" {
	command = { "$BASH", "$dir/talker", "$lines" }
	restart = never
	output { file = "$dir/talker.log"  max-size = 128K  keep = 1000 }
}
END
bash "$dir/talker" "$lines" >"$dir/expected"

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
	[ "$(files)" -gt "$1" ] || [ "$(stat_of talker .state)" = stopped ]
}
all_written()
{
	[ "$(cat "$dir"/talker.log* | wc -c)" -ge "$(stat -c %s "$dir/expected")" ]
}
: >"$dir/talker.log"
for ((i = 0; i < deaths; i++)); do
	start_epochd
	await_that "a rotation" more_files "$(files)"
	kill_epochd
done
start_epochd
await talker stopped
await_that "all lines to be written" all_written
written | cmp - "$dir/expected" || fail "lines are lost, doubled or out of order"
for file in "$dir"/talker.log.*; do
	expect_eq "$(tail -c 1 "$file" | od -An -tx1 | tr -d ' ')" 0a "the end of $file"
	[ "$(stat -c %s "$file")" -le $((128 * 1024)) ] || fail "$file is larger than max-size"
done
expect_stat talker .epoch 1
