# The static tracepoints that epochd(8) lists are in the programs, with their arguments, for perf and bpftrace; and, where this
# kernel and its user let us, they are passed.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
grep -q '^#define HAVE_SYS_SDT_H 1' "$EPOCHD_BUILD/config.h" || skip "built without sys/sdt.h"
need readelf

# notes FILE: its tracepoints, one a line, with how many arguments they have
notes()
{
	readelf --notes --wide "$1" | awk '/Provider: epochd/ { ours = 1 } ours && /Name:/ { name = $2 }
		ours && /Arguments:/ { print name, NF - 1; ours = 0 }' | sort -u
}
library=$EPOCHD_BUILD/.libs/libepochd.so
expect_eq "$(notes "$library")" "receive 3
reply 4
send 3" "tracepoints of libepochd;"
expect_match "$(notes "$EPOCHD_BUILD/epochd")" 'fence 3'
expect_match "$(notes "$EPOCHD_BUILD/epochd")" 'reap 3'
for name in send receive reply fence reap; do
	grep -q "^\.It Sy $name\$" "$EPOCHD_SOURCE/contrib/man/epochd.8" || fail "epochd(8) does not list $name"
done

# passed NAME...: perf can be asked of them here, and counts them
serve modular "\"$EPOCHD_BUILD/tests/lib/modular\"" ""
if [ "$(id -u)" = 0 ] && command -v perf >"$dir/out" && [ -w /sys/kernel/tracing/uprobe_events ]; then
	perf --buildid-dir "$dir/perf" buildid-cache --add "$library" >"$dir/out" 2>&1 || fail "$(cat "$dir/out")"
	group=epochd_$$
	perf --buildid-dir "$dir/perf" probe -x "$library" "$group:replied=%sdt_epochd:reply" >"$dir/out" 2>&1 ||
		fail "$(cat "$dir/out")"
	perf stat -x, -e "$group:replied" -p "$(stat_of modular .pid)" -o "$dir/counted" -- \
		"$EPOCHD_BUILD/tests/lib/caller" modular 100 >"$dir/out" || fail "$(cat "$dir/counted")"
	perf probe -d "$group:*" >"$dir/out" 2>&1
	expect_match "$(cat "$dir/counted")" '^100,'
fi
