# The supervisor is killed while a group waits for the one that crashed, and the next one may start that one
# at once: the others are started once, when what they left behind is gone (I7), and none is killed again.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
group()   # BACKOFF-OF-THE-FIRST
{
	# shellcheck disable=SC2119  # its arguments are its own
	write_config <<-END
	group "g" { strategy = one-for-all }
	$(for name in a b c; do
		printf 'application "%s" { command = { "%s", "%s", "never", "any" }  group-of = "g"  %s  %s }\n' \
			"$name" "$crasher" "$dir/$name" "backoff { initial = $1  factor = 1.0  jitter = 0.0 }" \
			"intensity { restarts = 1000000  within = 1s }"
	done)
	END
}
group 30s
start_epochd
for name in a b c; do
	await "$name" up 1
	await_starts "$dir/$name" 1
done
kill -s KILL "$(stat_of a .pid)"
await a backoff 1
for name in b c; do
	await "$name" stopped 1
done
kill_epochd
group 0
launch_epochd
await_that "an answer on control.sock" answers
for name in a b c; do
	await "$name" up 2
	expect_stat "$name" .restarts.total 1
done
grep -q "left behind" "$log" && fail "one was taken for what the epoch before left behind"
stop_epochd
for name in a b c; do
	check_epochs_in "$dir/$name"
done
