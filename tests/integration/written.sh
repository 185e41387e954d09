# What the applications wrote down themselves, held against what the supervisor says. Sourced after
# lib.sh by the tests that have a crasher or a forker in their configuration.
crasher=$EPOCHD_BUILD/tests/lib/crasher
# shellcheck disable=SC2034  # for the tests
at_once='backoff { initial = 0  factor = 1.0  jitter = 0.0 }  intensity { restarts = 1000000  within = 1s }'

# Starts written to FILE by a crasher: "EPOCH PID START-NS" each.
starts_in()
{
	grep -cE '^[0-9]+ [0-9]+ [0-9]+$' "$1" || :
}

last_epoch_in()
{
	grep -E '^[0-9]+ [0-9]+' "$1" | tail -n 1 | cut -d' ' -f1
}

# I1, I2, I7: epochs only grow, none is used twice, and no two incarnations ran at the same time.
check_epochs_in()
{
	local wrong

	! grep -E '^(DUPLICATE|SURVIVOR)' "$1" || fail "$1: an incarnation met one before it"
	wrong=$(awk '/^[0-9]/ { if ($1 <= last) print last " was followed by " $1; last = $1 }' "$1")
	[ -z "$wrong" ] || fail "$1: epochs do not grow: $wrong"
}

has_starts()
{
	[ -e "$1" ] && [ "$(starts_in "$1")" -ge "$2" ]
}

# await_starts FILE COUNT
await_starts()
{
	await_that "$2 starts in $1" has_starts "$1" "$2"
}

# I8. check_counts APP FILE: each start but the first is a restart, counted once.
check_counts()
{
	local total

	check_epochs_in "$2"
	total=$(stat_of "$1" .restarts.total)
	if [ "$total" != $(($(starts_in "$2") - 1)) ]; then
		say "epochs of $1 that wrote nothing: $(awk '/^[0-9]/ { for (e = last + 1; e < $1; e++)
			printf "%d ", e; last = $1 }' "$2")"
		ctl incarnations "$1" --all --json | jq -c '.incarnations[]' >&2 || :
	fi
	expect_eq "$total" $(($(starts_in "$2") - 1)) "restarts of $1"
	expect_eq "$(stat_of "$1" .epoch)" "$(last_epoch_in "$2")" "epoch of $1"
	expect_eq "$(stat_of "$1" '[.restarts | .crashed, .exited, .watchdog, .health, .start_failed,
		.start_timeout, .asked, .reconfigured, .group, .boot, .unseen] | add')" "$total" \
		"the sum of the causes of $1"
}

# The last start in FILE stays: it was told to be calm and said so.
is_calm()
{
	[ "$(tail -n 1 "$1")" = "CALM $(last_epoch_in "$1")" ]
}

# calm FILE...: their crashers end no more.
calm()
{
	local file

	for file; do
		: >"$file.calm"
	done
	for file; do
		await_that "the calm of $file" is_calm "$file"
	done
}

# After the end: what the database alone says. stored APP PATH
stored()
{
	"$epochctl" --db "$state/$instance/epochd.db" stats --json |
		jq -r --arg app "$1" ".apps[] | select(.name == \$app) | $2"
}
