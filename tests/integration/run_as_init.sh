# As PID 1 of a pid namespace, `epochd run` reaps what is not its own, and ends with its program's status.
# needs root
. "${0%/*}/lib.sh"
need_root
need unshare
cat >"$dir/orphans" <<'END'
for i in 1 2 3 4 5 6 7 8; do
	(true & exec true)
done
setsid sh -c 'setsid true &'
zombies() { grep -lsE '^State:.Z' /proc/[0-9]*/status; }
i=0
while zombies >/dev/null; do
	i=$((i + 1))
	[ "$i" -lt 500 ] || { echo "zombies: $(zombies)"; exit 1; }
	sleep 0.02
done
[ "$(cat /proc/1/comm)" = "${1##*/}" ] || { echo "PID 1 is $(cat /proc/1/comm)"; exit 1; }
exit "$2"
END
comm=${epochd##*/}
for status in 0 9; do
	got=0
	unshare --pid --fork --mount-proc "$epochd" run --name "$instance" --runtime-dir "$runtime" \
		--state-dir "$state" --restart never -- sh "$dir/orphans" "${comm:0:15}" "$status" \
		>"$dir/out" 2>&1 || got=$?
	expect_eq "$got" "$status" "status of PID 1, which said '$(cat "$dir/out")';"
	[ "$status" != 0 ] || expect_eq "$(cat "$dir/out")" "" "what is said as PID 1 when nothing is wrong"
done
got=0
unshare --pid --fork --mount-proc "$epochd" run --name "$instance" --runtime-dir "$runtime" \
	--state-dir "$state" --restart never -- sh -c 'kill -s KILL $$' >"$dir/out" 2>&1 || got=$?
expect_eq "$got" 137 "status after SIGKILL"
