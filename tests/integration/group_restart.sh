# A group comes back in the order of the text, once for each failure, also when the supervisor is killed
# amid that; what is never restarted does not come back with it; and when one gives up, those that it takes
# down stay down with it until it is reset.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
# member NAME GROUP MORE
member()
{
	printf 'application "%s" { command = { "%s", "%s", "never", "any" }  group-of = "%s"  %s }\n' \
		"$1" "$crasher" "$dir/$1" "$2" "$3"
}
cat >"$dir/lingerer" <<'END'
trap 'until [ -e "$1/let" ]; do sleep 0.02; done; exit' TERM
echo >"$1/w"
while :; do sleep 0.02; done
END
write_config <<END
group "pair" { strategy = one-for-all }
$(member q pair '')
$(member p pair 'backoff { initial = 1h  max = 1h }')
$(member once pair 'restart = never')
group "rest" { strategy = rest-for-one }
$(for i in a b c; do member "$i" rest "$at_once"; done)
group "all" { strategy = one-for-all }
$(for i in x y z; do member "$i" all "$at_once"; done)
group "slow" { strategy = one-for-all }
$(member v slow "$at_once")
application "w" { command = { "$BASH", "$dir/lingerer", "$dir" }  group-of = "slow" }
group "short" { strategy = one-for-all }
$(member s1 short '')
$(member s2 short 'intensity { restarts = 0  within = 1h }')
$(member s3 short '')
application "broken" {
	command = { "$BASH", "-c", "until [ -e $dir/fail ]; do sleep 0.02; done; exit 1" }
	readiness = notify  intensity { restarts = 0  within = 1h }
}
application "waiter" { command = { "$crasher", "$dir/waiter", "never", "any" }  after = { "broken" } }
END
# started EPOCH APP...: these, in the order of their starts
started()
{
	local epoch=$1 apps

	shift
	apps=$(printf '%s\n' "$@" | jq -R . | jq -s .)
	api '/v1/events?limit=1000' | jq -r --argjson epoch "$epoch" --argjson apps "$apps" \
		'[.events[] | select(.event == "starting" and .epoch == $epoch) |
		select(.app as $app | $apps | index($app))] | sort_by(.number) | map(.app) | join(" ")'
}
# has_reason APP TEXT
has_reason()
{
	[ "$(stat_of "$1" .reason)" = "$2" ]
}
# await_reason APP TEXT
await_reason()
{
	await_that "the reason of $1 to be '$2'" has_reason "$@"
}

start_epochd
for app in q p once a b c x y z v s1 s2 s3; do
	await "$app" up 1
	await_starts "$dir/$app" 1
done

# In the order of the text.
kill -s KILL "$(stat_of a .pid)" "$(stat_of y .pid)"
for app in a b c x y z; do
	await "$app" up 2
done
expect_eq "$(started 2 a b c)" "a b c" "the order of rest-for-one"
expect_eq "$(started 2 x y z)" "x y z" "the order of one-for-all"

# One that is just being restarted is waited for, and comes back once.
await_that "the trap of w" [ -s "$dir/w" ]
ctl restart w >/dev/null
await w stopping 1
kill -s KILL "$(stat_of v .pid)"
await_reason v "waits for w, which is stopping"
: >"$dir/let"
await v up 2
await w up 2
expect_eq "$(started 2 v w)" "v w" "the order after a restart of one"

# The reason follows the state of the other.
await_reason waiter "waits for broken, which is starting"
: >"$dir/fail"
await broken fatal 1
await_reason waiter "waits for broken, which is fatal"

# The supervisor is killed while they wait for the one that failed; and again when the first of them is
# started, which is not ended once more then.
kill -s KILL "$(stat_of p .pid)"
await p backoff 1
await once stopped 1
await_reason q "waits for p, which is backoff"
kill_epochd
use_faulty
EPOCHD_FAULT=cloned start_epochd
await p backoff 1
await q stopped 1
await_reason q "waits for p, which is backoff"
ctl reset p >/dev/null 2>&1 || :
await_that "the fault" gone "$pid"
kill_epochd
start_epochd
await q up 2
await p backoff 1
ctl reset p >/dev/null
await p up 2
await q up 2
expect_stat q .restarts.group 1
expect_stat q .restarts.total 1
expect_stat p .restarts.crashed 1
expect_stat p .restarts.total 1
expect_stat once .state stopped
expect_stat once .restarts.total 0
expect_stat once .last_exit.cause group

# Given up. That is remembered through a kill and through a clean end.
kill -s KILL "$(stat_of s2 .pid)"
await s2 fatal 1
for how in at_first kill_epochd stop_epochd; do
	if [ "$how" != at_first ]; then
		"$how"
		start_epochd
		await s2 fatal 1
	fi
	for app in s1 s3; do
		await "$app" stopped 1
		await_reason "$app" "waits for s2, which is fatal"
		expect_stat "$app" .last_exit.cause group
	done
done
ctl reset s2 >/dev/null
for app in s1 s2 s3; do
	await "$app" up 2
done
expect_eq "$(started 2 s1 s2 s3)" "s1 s2 s3" "the order after a reset"

# Without the one that a person stops, the others go on.
kill -s KILL "$(stat_of s2 .pid)"
await s2 fatal 2
await_reason s1 "waits for s2, which is fatal"
ctl stop s2 >/dev/null
await s1 up 3
await s3 up 3
await s2 stopped 2
for app in q p a b c x y z s1 s2 s3; do
	check_epochs_in "$dir/$app"
done

# A reload in between: one that is taken out of the group is not held any more, and one that holds others takes
# them along when it is taken down itself.
moved()
{
	write_config <<-END
		group "m" { strategy = $1 }
		$(member m1 "$2" '')
		$3
		$(member m3 m 'backoff { initial = 1h  max = 1h }')
		group "other" { strategy = one-for-all }
	END
	ctl reload --wait >/dev/null
}
moved one-for-all m ""
await m1 up 1
await m3 up 1
kill -s KILL "$(stat_of m3 .pid)"
await m3 backoff 1
await_reason m1 "waits for m3, which is backoff"
moved one-for-all other ""
await m1 up 2
ctl reset m3 >/dev/null
await m3 up 2
moved one-for-all m ""
kill -s KILL "$(stat_of m3 .pid)"
await m3 backoff 2
await_reason m1 "waits for m3, which is backoff"
moved rest-for-one m "$(member m2 m "$at_once")"
await m2 up 1
await_reason m1 "waits for m3, which is backoff"
kill -s KILL "$(stat_of m2 .pid)"
for app in m2 m3 m1; do
	await "$app" up
done
