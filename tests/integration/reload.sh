# A reload touches only what changed, and a bad file changes nothing.
. "${0%/*}/lib.sh"
sleeps='command = { "/bin/sleep", "3600" }'
write_config <<END
application "same" { $sleeps }
application "policy" { $sleeps  stop-timeout = 10s }
application "respawned" { $sleeps }
application "removed" { $sleeps }
END
start_epochd
for app in same policy respawned removed; do
	await "$app" up 1
done
same=$(stat_of same .pid) policy=$(stat_of policy .pid)

write_config <<END
application "same" { $sleeps }
application "policy" { $sleeps  stop-timeout = 3s }
application "respawned" { $sleeps  environment = { "NEW=1" } }
application "added" { $sleeps }
END
ctl reload --wait
await respawned up 2
await added up 1
expect_stat same .pid "$same"
expect_stat policy .pid "$policy"
expect_stat respawned .restarts.reconfigured 1
expect_stat respawned .restarts.total 1
expect_eq "$(stat_of removed .name)" "" "the removed one"
find_left
for process in "${left[@]}"; do
	! tr '\0' '\n' <"/proc/$process/environ" | grep -qx EPOCHD_APP=removed ||
		fail "what was removed from the configuration still runs"
done
expect_eq "$(api /v1/apps/policy | jq -r '.config["stop-timeout"]')" 3s "the configuration in force"

before=$(api /v1/stats | jq -c '[.apps[] | {name, epoch, pid}]')
write_config <<END
application "same" { $sleeps }

application "policy" { $sleeps  stop-timeout = soon }
END
status=0
ctl reload --wait >"$dir/reload" 2>&1 || status=$?
[ "$status" != 0 ] || fail "a bad file was taken"
await_log "epochd.conf:3: .*stop-timeout"
expect_eq "$(api /v1/stats | jq -c '[.apps[] | {name, epoch, pid}]')" "$before" "after a bad file"

# SIGHUP is a reload, too.
write_config <<END
application "same" { $sleeps  umask = 077 }
END
kill -s HUP "$pid"
await same up 2

# An output that is taken away takes what its incarnation says last.
cat >"$dir/polite" <<'END'
trap 'echo goodbye; exit' TERM
echo hello
while :; do
	sleep 3600 &
	wait
done
END
polite="command = { \"$BASH\", \"$dir/polite\" }"
write_config <<END
application "same" { $sleeps  umask = 077 }
application "polite" { $polite  output { file = "$dir/polite.log" } }
END
ctl reload --wait
await_that "the first line" grep -qsx hello "$dir/polite.log"
write_config <<END
application "same" { $sleeps  umask = 077 }
application "polite" { $polite }
END
ctl reload --wait
await polite up 2
await_that "the last line" grep -qx goodbye "$dir/polite.log"
await_log hello   # it is inherited now
[ ! -e "$runtime/$instance/output/polite.fifo" ] || fail "the FIFO of no output is still there"

# One that is asked for while another is under way comes after it: what that read may be older.
reloads_asked()
{
	api '/v1/events?limit=1000' | jq '[.events[] | select(.event == "asked" and .reason == "reload")] | length'
}
more_reloads_than()
{
	[ "$(reloads_asked)" -gt "$1" ]
}
first="application \"same\" { $sleeps  umask = 027 }"
second="application \"same\" { $sleeps  umask = 007 }"
asked=$(reloads_asked)
rm "$config"
mkfifo "$config"
kill -s HUP "$pid"
exec 8>"$config"   # now it is being read
await_that "the first reload" more_reloads_than "$asked"
kill -s HUP "$pid"
await_that "the second reload" more_reloads_than $((asked + 1))
api /v1/reload -X POST -o "$dir/reload"
write_config "$config.first" <<<"$first"
write_config "$config.second" <<<"$second"
cat "$config.first" >&8
exec 8>&-
await same up 3
background cp "$config.second" "$config"
await same up 4
expect_eq "$(jq -r 'keys[0]' "$dir/reload")" event "the answer to a reload while one is under way"
expect_eq "$(api /v1/apps/same | jq -r .config.umask)" 0007 "the umask that was asked for last"
rm "$config"

# How much is kept is looked up at each reload, too.
events_kept()
{
	api '/v1/events?limit=1000' | jq '.events | length'
}
are_pruned()
{
	[ "$(events_kept)" -le 4 ] && [ "$(ctl incarnations same --json | jq '.incarnations | length')" -le 1 ]
}
[ "$(events_kept)" -gt 10 ] || fail "there are no events to prune"
write_config <<END
events { keep = 1 }
incarnations { keep = 1 }
application "same" { $sleeps  umask = 007  intensity { within = 1ms } }
END
ctl reload --wait
await_that "what is old to be pruned" are_pruned

# What ended for good stays so; who waited for one that is taken out does not wait any more.
write_config <<END
group "g" { strategy = one-for-all }
application "once" { command = { "/bin/true" }  restart = on-failure }
application "first" { $sleeps  group-of = "g"  backoff { initial = 1h  max = 1h } }
application "second" { $sleeps  group-of = "g" }
END
ctl reload --wait
await once stopped 1
await first up 1
await second up 1
kill -s KILL "$(stat_of first .pid)"
await first backoff 1
await second stopped 1
write_config <<END
group "g" { strategy = one-for-all }
application "once" { command = { "/bin/true" }  restart = on-failure }
application "second" { $sleeps  group-of = "g" }
END
ctl reload --wait
await second up 2
expect_stat once .state stopped
expect_stat once .epoch 1

# I2: what was reserved by one that is taken out while nobody looks is not used a second time.
kill_epochd
find_left
kill -s KILL "${left[@]}"
rm -rf "${segments:?}"/*
write_config <<END
application "other" { $sleeps }
END
start_epochd
await other up 1
stop_epochd
write_config <<END
application "same" { $sleeps }
END
start_epochd
await same up
[ "$(stat_of same .epoch)" -gt 16 ] || fail "epoch $(stat_of same .epoch) of 'same' was reserved before"
