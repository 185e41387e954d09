# Whatever is asked, killed and reloaded, in whatever order and state: the supervisor lives, every
# application settles, no two incarnations run at once, and the counts hold (I7, I8).
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
names=(a b c d e f)
seed=${EPOCHD_TEST_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
RANDOM=$((seed % 32768))
say "EPOCHD_TEST_SEED=$seed"
chance()   # BELOW: sets `value`
{
	value=$((RANDOM % $1))
}

# application NAME KEYS...: a crasher that never ends by itself
application()
{
	local name=$1

	shift
	printf 'application "%s" { command = { "%s", "%s", "%s", "any" }  %s  %s }\n' "$name" "$crasher" \
		"$dir/$name" never "stop-timeout = 300ms" "$*"
}

some_config()
{
	local strategies=(one-for-one one-for-all rest-for-one) policies=(always on-failure) name keys

	{
		chance 3
		printf 'group "g" { strategy = %s }\n' "${strategies[value]}"
		for name in "${names[@]}"; do
			chance 6
			if [ "$value" = 0 ] && [ "$name" != a ]; then
				continue
			fi
			chance 2
			keys="restart = ${policies[value]}"
			chance 2
			if [ "$value" = 0 ]; then
				keys+=" group-of = \"g\""
			fi
			if [ "$name" != a ]; then
				chance 3
				[ "$value" != 0 ] || keys+=" after = { \"a\" }"
			fi
			chance 3
			keys+=" environment = { \"GENERATION=$value\" }"
			chance 4
			case $value in
			0) keys+=" backoff { initial = 0 } intensity { restarts = 1000000  within = 1s }" ;;
			1) keys+=" backoff { initial = 20ms  jitter = 0.5 } intensity { restarts = 2  within = 10s }" ;;
			2) keys+=" backoff { initial = 200ms } intensity { restarts = 1000000  within = 1s }" ;;
			3) keys+=" backoff { initial = 0 } stop-signal = SIGSTOP" ;;
			esac
			application "$name" "$keys"
		done
	} | write_config "$dir/next.conf"
	mv "$dir/next.conf" "$config"
}

one_step()
{
	local verbs=(start stop restart reset restart start) name pids

	chance ${#names[@]}
	name=${names[value]}
	chance 16
	case $value in
	[0-5])
		api "/v1/apps/$name/${verbs[value]}" -X POST -o /dev/null ;;
	6|7|8|9)
		kill -s KILL "$(stat_of "$name" .pid)" 2>/dev/null || : ;;
	10)   # all at once
		mapfile -t pids < <(api /v1/stats | jq '.apps[].pid | numbers')
		kill -s KILL "${pids[@]}" 2>/dev/null || : ;;
	11)
		kill -s STOP "$(stat_of "$name" .pid)" 2>/dev/null || : ;;
	12)
		kill -s CONT "$(stat_of "$name" .pid)" 2>/dev/null || : ;;
	13|14)
		some_config
		kill -s HUP "$pid" ;;
	15)
		chance 4
		[ "$value" = 0 ] || return 0
		kill_epochd
		launch_epochd
		await_that "an answer on control.sock" answers ;;
	esac
}

settled()
{
	[ -z "$(api /v1/stats | jq -r '.apps[] | select(.state != "up" and .state != "fatal") | .name')" ]
}

rounds=0
some_config
start_epochd
end=$((SECONDS + seconds / 3))
while [ "$SECONDS" -lt "$end" ]; do
	for ((i = 0; i < 60; i++)); do
		one_step
		gone "$pid" && fail "the supervisor ended (seed $seed)"
	done
	# Everything configured again, reset, started, going: nothing is stuck.
	{
		printf 'group "g" { strategy = one-for-all }\n'
		for name in "${names[@]}"; do
			application "$name" "$at_once"
		done
	} | write_config
	ctl reload --wait >/dev/null 2>&1 || await_that "a reload" ctl reload --wait
	for name in "${names[@]}"; do
		api "/v1/apps/$name/reset" -X POST -o /dev/null
		api "/v1/apps/$name/start" -X POST -o /dev/null
		kill -s CONT "$(stat_of "$name" .pid)" 2>/dev/null || :
	done
	await_that "all to be up again (seed $seed)" settled
	for name in "${names[@]}"; do
		check_epochs_in "$dir/$name"
	done
	rounds=$((rounds + 1))
done
say "$rounds rounds"
stop_epochd
for name in "${names[@]}"; do
	check_epochs_in "$dir/$name"
	[ "$(stored "$name" .epoch)" -ge "$(last_epoch_in "$dir/$name")" ] || fail "the epoch of $name"
	[ "$(stored "$name" .restarts.total)" -lt "$(stored "$name" .epoch)" ] ||
		fail "more restarts than epochs of $name"
done
