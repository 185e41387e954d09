# SIGTERM stops everything in reverse order of start, and a second one does not lose anything durable.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
notifier=$EPOCHD_BUILD/tests/lib/notifier
cat >"$dir/stopper" <<'END'
trap 'echo "$1" >>"$2"; exit 0' TERM
echo "ready $1" >>"$2"
while :; do sleep 0.02; done
END
write_config <<END
application "third" { command = { "$BASH", "$dir/stopper", "third", "$dir/order" }  after = { "second" } }
application "first" { command = { "$BASH", "$dir/stopper", "first", "$dir/order" } }
application "second" { command = { "$BASH", "$dir/stopper", "second", "$dir/order" }  after = { "first" } }
END
ready()
{
	[ "$(grep -c ready "$dir/order" 2>/dev/null)" = "$1" ]
}
start_epochd
for app in first second third; do
	await "$app" up 1
done
await_that "all three" ready 3
stop_epochd
expect_eq "$(grep -v ready "$dir/order" | paste -sd' ')" "third second first" "the order of the end"
for app in first second third; do
	expect_eq "$(stored "$app" .last_exit.cause)" asked
	expect_eq "$(stored "$app" .restarts.total)" 0
done

# One that does not want to end, and a person in a hurry.
write_config <<END
application "deaf" {
	command = { "$notifier", "ignore", "15", "send", "READY=1" }
	readiness = notify  stop-timeout = 1h  restart = always
	$at_once
}
END
start_epochd
await deaf up 1
kill -s KILL "$(stat_of deaf .pid)"
await deaf up 2
kill -s TERM "$pid"
await deaf stopping
kill -s TERM "$pid"
wait_epochd
expect_eq "$status" 0 "status after two SIGTERMs"
expect_eq "$(stored deaf .epoch)" 2 "epoch in the store"
expect_eq "$(stored deaf .restarts.total)" 1 "restarts in the store"
expect_eq "$(stored deaf .last_exit.signal)" SIGKILL
expect_eq "$("$epochctl" --db "$state/$instance/epochd.db" stats --json | jq .supervisor.unclean_runs)" 0 \
	"unclean runs"
