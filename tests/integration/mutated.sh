# Registry files that are none: 10,000 of them, each spoiled in another way, are cleaned with the reason, or left where they
# are not ours to remove; nothing crashes. Of applications that run, none is adopted by a bad one: what cannot be fenced any
# more is ended, and the next epoch is above. A layout of another version is refused before anything is touched.
. "${0%/*}/lib.sh"
mutator=$EPOCHD_BUILD/tests/lib/mutator
apps=48
{
	for ((i = 0; i < apps; i++)); do
		echo "application \"a$i\" { command = { \"/bin/sleep\", \"1000\" }  restart = always  backoff { initial = 0s }"
		echo "	intensity { within = 0s } }"
	done
} | write_config
start_epochd
all_up()
{
	[ "$(api /v1/stats | jq "[.apps[] | select(.state == \"up\" and .epoch > $1)] | length")" = "$apps" ]
}
await_that "all to be up" all_up 0
folder=$segments/epochd-$(id -u)-$instance
kill_epochd

# Another version's: not touched.
cp "$folder/a0" "$dir/a0"
status=0
printf '\x63' | dd of="$folder/.ledger" bs=1 seek=8 conv=notrunc status=none
cksum "$folder"/a* "$folder/.ledger" >"$dir/before"
"$epochd" -c "$config" --instance "$instance" --runtime-dir "$runtime" --state-dir "$state" >"$dir/said" 2>&1 || status=$?
expect_eq "$status" 1 "status with a ledger of another version"
expect_match "$(cat "$dir/said")" "the ledger is of layout 99, which another version of epochd made: nothing was touched"
cksum "$folder"/a* "$folder/.ledger" >"$dir/after"
cmp "$dir/before" "$dir/after" || fail "something was touched"
printf '\x03' | dd of="$folder/.ledger" bs=1 seek=8 conv=notrunc status=none

files=()
for ((i = 0; i < apps; i++)); do
	files+=("$folder/a$i")
done
"$mutator" "${files[@]}" >"$dir/spoiled"
"$mutator" -n 10000 "$dir/a0" "$folder" >"$dir/more"
if [ "$(id -u)" = 0 ]; then
	cp "$dir/a0" "$folder/not-ours"
	chown 65534 "$folder/not-ours"
fi
: >"$log"
start_epochd
await_that "all to be up again" all_up 1
! grep -q adopted "$log" || fail "one was adopted: $(grep adopted "$log")"
while read -r name what; do
	grep -qE "app $name: its registry is replaced: [a-z]" "$log" || fail "no reason for $name, $what"
done <"$dir/spoiled"
awk '/^[^ ]+ notice segment .*\/m[0-9]+: .*: removed$/ { sub(/:$/, "", $4); sub(/.*\//, "", $4); print $4 }' "$log" |
	sort >"$dir/removed"
awk '$2 != "a" || $3 != "folder" { print $1 }' "$dir/more" | sort >"$dir/expected"
cmp "$dir/removed" "$dir/expected" || fail "$(diff "$dir/removed" "$dir/expected" | head -5)"
[ "$(find "$folder" -name 'm*' -type f | grep -vc '~$')" = 0 ] || fail "some are left"
expect_eq "$(find "$folder" -name 'm*' -type d | wc -l)" "$(grep -c folder "$dir/more")" "folders that are left"
if [ "$(id -u)" = 0 ]; then
	cmp "$dir/a0" "$folder/not-ours" || fail "another user's file was touched"
	rm "$folder/not-ours"
fi
expect_eq "$(api /v1/stats | jq '.supervisor.segments_cleaned')" \
	$((10000 - $(grep -c folder "$dir/more") + apps +
	   $(cat "$dir/more" "$dir/spoiled" | grep -c 'two names'))) \
	"segments cleaned"
