# A health command leaves nothing behind: not when it takes too long, not when it ends and its children do not,
# and not what has gone into a session of its own, once its application is stopped.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
# checked NAME SCRIPT MORE
checked()
{
	cat >"$dir/$1.check"
	printf 'application "%s" { command = { "/bin/sleep", "3600" }  health { command = ' "$1"
	printf '{ "/bin/sh", "%s", "%s" }  interval = 10ms  failures = 1000000  %s } }\n' \
		"$dir/$1.check" "$dir/$1" "$2"
}
{
	checked slow 'timeout = 200ms' <<-'END'
		sleep 3600 &
		echo $! >>"$1"
		wait
	END
	checked careless 'timeout = 1h' <<-'END'
		sleep 3600 &
		echo $! >>"$1"
	END
	checked evasive 'timeout = 1h' <<-'END'
		[ -e "$1" ] || setsid sh -c 'echo $$ >"$1"; exec sleep 3600' sh "$1" &
		wait
	END
} >"$dir/apps"
write_config <"$dir/apps"
left_by()
{
	head -n 1 "$dir/$1" 2>/dev/null
}
start_epochd
for app in slow careless evasive; do
	await "$app" up 1
	await_that "the check of $app" [ -s "$dir/$app" ]
done
for app in slow careless; do
	await_that "the end of what the check of $app left" gone "$(left_by "$app")"
	expect_stat "$app" .epoch 1
done
! gone "$(left_by evasive)" || fail "what is in another session is gone as well"
ctl stop evasive --wait
gone "$(left_by evasive)" || fail "what its check left outlives the application"
