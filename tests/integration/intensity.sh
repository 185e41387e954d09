# More restarts than the intensity allows are fatal. That survives the supervisor, shows in the health, and
# is forgiven by a reset, which starts it again.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
write_config <<END
application "a" {
	command = { "$crasher", "$dir/a", "0", "exit:3" }
	backoff { initial = 0 }  intensity { restarts = 3  within = 1h }
}
application "good" { command = { "/bin/sleep", "3600" } }
END
health()
{
	api "/healthz$1" -o /dev/null -w '%{http_code}'
}
start_epochd
await a fatal 4
expect_eq "$(starts_in "$dir/a")" 4 starts
expect_stat a .restarts.exited 3
expect_stat a .last_exit.code 3
expect_eq "$(health "")" 503 "health"
expect_match "$(api /healthz)" '"a"'
expect_eq "$(health /good)" 200 "health of the good one"
! ctl start a 2>"$dir/refused" || fail "a fatal one was started without a reset"
expect_match "$(cat "$dir/refused")" reset

kill_epochd
start_epochd
expect_stat a .state fatal
expect_stat a .epoch 4
stop_epochd
start_epochd
expect_stat a .state fatal

ctl reset a
await a fatal 8
check_epochs_in "$dir/a"
expect_eq "$(starts_in "$dir/a")" 8 "starts after the reset"
: >"$dir/a.calm"
ctl reset a
await a up 9
expect_eq "$(health "")" 200 "health after the reset"

# The restarts that count are in the store: two before the supervisor's death, two after it.
write_config <<END
application "b" {
	command = { "$crasher", "$dir/b", "never", "any" }  restart = always
	backoff { initial = 0 }  intensity { restarts = 3  within = 1h }
}
END
ctl reload --wait
for epoch in 1 2; do
	await b up "$epoch"
	kill -s KILL "$(stat_of b .pid)"
done
await b up 3
kill_epochd
start_epochd
await b up 3
kill -s KILL "$(stat_of b .pid)"
await b up 4
kill -s KILL "$(stat_of b .pid)"
await b fatal 4
stop_epochd

# So they are where hardly any incarnation is kept, and where the time is longer than a day.
write_config <<END
incarnations { keep = 1 }
application "c" {
	command = { "$crasher", "$dir/c", "never", "any" }  restart = always
	backoff { initial = 0 }  intensity { restarts = 3  within = 72h }
}
END
start_epochd
for epoch in 1 2 3; do
	await c up "$epoch"
	kill -s KILL "$(stat_of c .pid)"
done
await c up 4
stop_epochd
python3 - "$state/$instance/epochd.db" <<'END'
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    changed = database.execute("UPDATE incarnation SET started_at = started_at - 48 * 3600 * 1000000000"
                               " WHERE app = 'c'").rowcount
sys.exit(0 if changed == 4 else f"{changed} incarnations are there, not 4")
END
start_epochd
await c up 5
kill -s KILL "$(stat_of c .pid)"
await c fatal 5
