# What the shell tests share: a private directory and instance, a supervisor that is started and stopped,
# and questions to it. Helpers await what they name, never sleep for a guess, and say what they saw when
# they fail. Source it first:   . "${0%/*}/lib.sh"
#
# It sets: dir (the test's own directory), instance, config, segments, runtime, state (what --runtime-dir
# and --state-dir get), log (what the supervisor wrote), pid (of the supervisor, empty when none runs),
# seconds (how long a test of random kills may take), patience (seconds until what is awaited is taken
# for lost: it only stops a hang).
set -eu -o pipefail
shopt -s inherit_errexit

: "${EPOCHD_BUILD:=$PWD}" "${EPOCHD_SOURCE:=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)}"
epochd=${EPOCHD:-$EPOCHD_BUILD/epochd}
epochctl=$EPOCHD_BUILD/epochctl
# shellcheck disable=SC2034  # for the tests
seconds=${EPOCHD_TEST_SECONDS:-60}
patience=60
if [ -n "${SANITIZED:-}" ]; then
	patience=300
fi
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C.UTF-8
# What started the tests may itself be supervised; the tests' supervisors are not its business.
unset NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID EPOCHD_RUNTIME_DIR EPOCHD_STATE_DIR EPOCHD_INSTANCE

# A socket's path has 107 bytes at most, so the directory is not below the build folder.
dir=$(mktemp -d "${TMPDIR:-/tmp}/epd.XXXXXX")
if [ ${#dir} -gt 40 ]; then
	rmdir "$dir"
	dir=$(mktemp -d /tmp/epd.XXXXXX)
fi
instance=t${dir##*.}
config=$dir/epochd.conf
segments=$dir/shm
runtime=$dir/run
state=$dir/state
log=$dir/epochd.log
pid=
others=()
mkdir -m 700 "$segments" "$runtime" "$state"
: >"$log"

say()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# fail TEXT: the test is over, red; the trap shows what the supervisor wrote.
failed=
fail()
{
	failed=$*
	say "FAILED: $*"
	exit 1
}

skip()
{
	say "skipped: $*"
	exit 77
}

# The words "needs root" are how contrib/check knows which tests to run once more as root.
need_root()
{
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# need PROGRAM...: skips where one is not installed.
need()
{
	local program

	for program; do
		command -v "$program" >/dev/null || skip "needs $program, which is not installed"
	done
}

# expect_eq GOT WANTED [WHAT]
expect_eq()
{
	[ "$1" = "$2" ] || fail "${3:-value} is '$1', expected '$2'"
}

# expect_match TEXT PATTERN [WHAT]: an extended regular expression.
expect_match()
{
	[[ $1 =~ $2 ]] || fail "${3:-text} is '$1', expected to match '$2'"
}

# await_that WHAT COMMAND...: until the command succeeds. It looks again every 20 ms.
await_that()
{
	local what=$1 end=$((SECONDS + patience))

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || fail "gave up after $patience s awaiting $what"
		sleep 0.02
	done
}

# In /dev/shm itself instead of the test's directory; to be said before write_config.
use_shm()
{
	segments=/dev/shm
}

# The build with fault points: EPOCHD_FAULT=point[:count] start_epochd
use_faulty()
{
	epochd=$EPOCHD_BUILD/tests/epochd-faulty
}

# write_config [FILE] <<END: the segment directory is added if the text has none, as the last line, so
# that line numbers are the text's own.
write_config()
{
	local file=${1:-$config}

	cat >"$file"
	if ! grep -q '^ *segment-directory' "$file"; then
		printf 'segment-directory = "%s"\n' "$segments" >>"$file"
	fi
}

# launch_epochd [ARGUMENT...]: in the background, with the test's own directories; does not wait.
launch_epochd()
{
	[ -z "$pid" ] || fail "a supervisor was started while $pid still runs"
	"$epochd" -c "$config" --instance "$instance" --runtime-dir "$runtime" --state-dir "$state" \
		"$@" </dev/null >>"$log" 2>&1 &
	pid=$!
}

answers()
{
	kill -0 "$pid" 2>/dev/null || fail "the supervisor ended before it answered"
	curl -s -o "$dir/.answers" --max-time "$patience" --unix-socket "$runtime/$instance/control.sock" \
		http://epochd/healthz
}

# start_epochd [ARGUMENT...]: until it answers.
start_epochd()
{
	launch_epochd "$@"
	await_that "an answer on control.sock" answers
}

# gone PID: it has ended, waited for or not.
gone()
{
	local stat

	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	stat=${stat##*) }
	[ "${stat%% *}" = Z ]
}

# wait_epochd: until it has ended by itself; its status is in `status`.
wait_epochd()
{
	await_that "the end of the supervisor" gone "$pid"
	status=0
	wait "$pid" 2>/dev/null || status=$?
	pid=
}

# stop_epochd [SIGNAL]: asks it to end (SIGTERM), awaits that, expects status 0.
stop_epochd()
{
	kill -s "${1:-TERM}" "$pid"
	wait_epochd
	expect_eq "$status" 0 "the supervisor's exit status"
}

# SIGKILL, while its applications go on.
kill_epochd()
{
	# A fault point may have been first. At once: bash would say "Killed" between the lines.
	{ kill -s KILL "$pid"; wait "$pid"; } 2>/dev/null || :
	pid=
}

epochd_pid()
{
	printf '%s\n' "$pid"
}

# background COMMAND...: the trap ends it, too. Its pid is in $!.
background()
{
	"$@" &
	others+=("$!")
}

# ctl ARGUMENT...: epochctl, asking the test's instance.
ctl()
{
	"$epochctl" --runtime-dir "$runtime" --instance "$instance" "$@"
}

# api PATH [CURL ARGUMENT...]: the body, whatever the status is.
api()
{
	local path=$1

	shift
	curl -sS --max-time "$patience" --unix-socket "$runtime/$instance/control.sock" "$@" \
		"http://epochd$path"
}

# stat_of APP PATH: of the stats document's application, by a jq path: stat_of kv .restarts.total
stat_of()
{
	api /v1/stats | jq -r --arg app "$1" ".apps[] | select(.name == \$app) | $2"
}

# expect_stat APP PATH WANTED
expect_stat()
{
	expect_eq "$(stat_of "$1" "$2")" "$3" "$1 $2"
}

stat_is()
{
	[ "$(stat_of "$1" "$2")" = "$3" ]
}

# await_stat APP PATH VALUE: until it is so.
await_stat()
{
	await_that "$1 $2 to be $3" stat_is "$1" "$2" "$3"
}

is_at()
{
	seen=$(stat_of "$1" '"\(.state) \(.epoch)"' 2>&1) || return 1
	[ "${seen% *}" = "$2" ] && { [ -z "$3" ] || [ "${seen#* }" = "$3" ]; }
}

# await APP STATE [EPOCH]
await()
{
	local end=$((SECONDS + patience)) seen=

	until is_at "$1" "$2" "${3:-}"; do
		[ -z "$pid" ] || kill -0 "$pid" 2>/dev/null ||
			fail "the supervisor ended while $1 was awaited to be $2 ${3:-}; last seen: $seen"
		[ "$SECONDS" -lt "$end" ] ||
			fail "gave up after $patience s awaiting $1 to be $2 ${3:-}; last seen: $seen"
		sleep 0.02
	done
}

# await_log PATTERN: until the supervisor wrote a line that matches.
await_log()
{
	await_that "'$1' in the supervisor's log" grep -qE -e "$1" "$log"
}

# Whatever names the instance in its environment, or the directory in its arguments or as its working
# directory: a program may overwrite the one (redis does), but hardly all of them. Sets `left`.
find_left()
{
	local path found

	left=()
	{
		grep -lzsxF "EPOCHD_INSTANCE=$instance" /proc/[0-9]*/environ || :
		# shellcheck disable=SC2062  # the pattern is on standard input
		grep -lsF --file=/dev/stdin /proc/[0-9]*/cmdline <<<"$dir" || :
		find /proc/[0-9]*/cwd -maxdepth 0 -lname "$dir*" 2>/dev/null || :
	} >"$dir/.left"
	while IFS=/ read -r _ path found _; do
		if [ "$path" = proc ] && [ "$found" != $$ ] && [ "$found" != "$BASHPID" ] &&
		   ! gone "$found"; then
			left+=("$found")
		fi
	done < <(sort -u "$dir/.left")
}

# On every way out. A test that is green so far turns red if its supervisor would not end, or if that
# ended as asked and left something behind.
finish()
{
	local status=$? asked='' other end ended left=()

	set +e
	trap - EXIT
	trap '' HUP INT TERM
	for other in "${others[@]}"; do
		kill -s KILL "$other" 2>/dev/null
		wait "$other" 2>/dev/null
	done
	if [ -n "$pid" ]; then
		asked=yes
		kill -s TERM "$pid" 2>/dev/null
		kill -s CONT "$pid" 2>/dev/null
		end=$((SECONDS + patience))
		until gone "$pid"; do
			if [ "$SECONDS" -ge "$end" ]; then
				say "the supervisor does not end on SIGTERM"
				status=1
				kill -s KILL "$pid"
			fi
			sleep 0.02
		done
		wait "$pid" 2>/dev/null
		ended=$?
		if [ "$status" = 0 ] && [ "$ended" != 0 ]; then
			say "the supervisor, asked to end, did with status $ended"
			status=1
		fi
	fi
	find_left
	if [ "$status" = 0 ] && [ -n "$asked" ] && [ ${#left[@]} -gt 0 ]; then
		say "left behind:"
		ps -o pid,ppid,stat,args -p "$(IFS=,; echo "${left[*]}")" >&2
		status=1
	fi
	for ((end = SECONDS + patience; ${#left[@]} > 0 && SECONDS < end;)); do
		kill -s KILL "${left[@]}" 2>/dev/null
		find_left
	done
	if [ "$status" != 0 ] && [ "$status" != 77 ]; then
		say "status $status; the supervisor wrote:"
		tail -n 200 "$log" >&2
		[ -z "$failed" ] || say "FAILED: $failed"   # again, where the end of a log shows it
	fi
	rm -rf "$dir" "/dev/shm/epochd-$(id -u)-$instance"*
	exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
