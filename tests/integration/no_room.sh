# The system has no process left for it: that is not the application's fault. It is in backoff with the
# reason, however often, from whatever state it was to be started, and comes back; the counts hold.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
need prlimit setpriv
write_config <<END
application "a" { command = { "$crasher", "$dir/a", "never", "any" }
	backoff { initial = 0 }  intensity { restarts = 2  within = 60s } }
application "b" { command = { "$crasher", "$dir/b", "never", "any" } }
END
# Root has no limit of processes, and another user's count is not ours to use up.
user=61721
as_user=()
if [ "$(id -u)" = 0 ]; then
	chmod 755 "${dir:?}"
	chown "$user:$user" "${dir:?}" "${segments:?}" "${runtime:?}" "${state:?}"
	as_user=(setpriv --reuid "$user" --regid "$user" --clear-groups)
	"${as_user[@]}" "$epochd" --help >/dev/null 2>&1 ||
		skip "another user cannot run what is built here"
	"${as_user[@]}" "$epochd" -c "$config" \
		--instance "$instance" --runtime-dir "$runtime" --state-dir "$state" \
		</dev/null >>"$log" 2>&1 &
	pid=$!
	await_that "an answer on control.sock" answers
else
	start_epochd
fi
await a up 1
await b up 1
await_starts "$dir/a" 1
await_starts "$dir/b" 1
ctl stop --wait b
limit()
{
	"${as_user[@]}" prlimit --pid "${pid:?}" "$@"
}
hard=$(limit --nproc --output HARD --noheadings | tr -d ' ')
soft=$(limit --nproc --output SOFT --noheadings | tr -d ' ')
limit --nproc=1:"$hard"
kill -s KILL "$(stat_of a .pid)"
in_backoff_often()
{
	[ "$(stat_of a '"\(.state) \(.epoch > 5)"')" = "backoff true" ]
}
await_that "many attempts of a" in_backoff_often
expect_match "$(stat_of a .reason)" "start failed: clone .*crasher: Resource temporarily unavailable"
ctl start b
await b backoff
limit --nproc="$soft:$hard"
await a up
await b up
await_starts "$dir/a" 2
await_starts "$dir/b" 2
check_epochs_in "$dir/a"
check_epochs_in "$dir/b"
expect_stat a .restarts.total $(($(stat_of a .epoch) - 1))
expect_stat a .restarts.crashed 1
