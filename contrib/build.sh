# What contrib/check, contrib/demo and .ci/run share: a copy of the source in the build folder, an
# ordinary user when we are root, builds, and the tests' count. Sourced; `source` is the tree's top.
#
# The build folder is build/ below the source: the plain build, its copy of the source (so that not even
# autoreconf writes anything beside it) in build/source, other builds in build/NAME. Where the ordinary
# user cannot get there (a clone below /root), it is a temporary one.
# shellcheck disable=SC2034,SC2154  # who sources this sets and reads them
set -eu -o pipefail
export LC_ALL=C.UTF-8
umask 022

say()
{
	printf '%s: %s\n' "${0##*/}" "$*"
}

# `work`, a temporary directory; with root's rights also `user`, made for this run.
prepare()
{
	work=$(mktemp -d /tmp/ep.XXXXXX)
	user=
	trap finish EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	chmod 755 "$work"
	mkdir "$work/home" "$work/tmp"
}

make_user()
{
	[ "$(id -u)" = 0 ] || return 0
	user=epochd-test-$$
	say "the tests run as $user, made for this run"
	useradd --system --user-group --no-create-home --no-log-init --home-dir "$work/home" \
		--shell /usr/sbin/nologin "$user" 2>&1
	chown -R "$user:" "$work"
}

# as_user COMMAND...: with an environment of its own, as the ordinary user if we are root.
as_user()
{
	local switch=()

	if [ -n "$user" ]; then
		switch=(setpriv --reuid "$user" --regid "$user" --clear-groups --)
	fi
	own_environment "${switch[@]}" "$@"
}

own_environment()
{
	local kept=() name

	for name in CI EPOCHD_TEST_SECONDS EPOCHD_VALGRIND ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS \
		    CK_TIMEOUT_MULTIPLIER; do
		[ -z "${!name:-}" ] || kept+=("$name=${!name}")
	done
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL="$LC_ALL" \
		HOME="$work/home" TMPDIR="$work/tmp" "${kept[@]}" "$@" </dev/null
}

# What the tests left: processes and shared memory of the user made for them, files in its TMPDIR but for
# those named $1.
left_behind()
{
	find "$work/tmp" -mindepth 1 -maxdepth 1 ! -name "$1"
	[ -n "$user" ] || return 0
	find /dev/shm -mindepth 1 -maxdepth 1 -user "$user"
	users_processes | xargs -r ps -o pid=,args= -p || :
}

# Dead ones that nobody waits for do not count: what a sandbox has as pid 1 may not.
users_processes()
{
	ps -o pid=,stat= -u "$user" | awk '$2 !~ /^Z/ { print $1 }'
}

finish()
{
	local status=$? look

	set +e
	trap - EXIT
	trap '' HUP INT TERM
	if [ -n "$user" ]; then
		for ((look = 0; look < 50; look++)); do
			users_processes >"$work/pids"
			[ -s "$work/pids" ] || break
			xargs kill -s KILL <"$work/pids" 2>/dev/null
			sleep 0.1
		done
		find /dev/shm -mindepth 1 -maxdepth 1 -user "$user" -exec rm -rf {} +
		userdel --force "$user" >/dev/null 2>&1   # a dead process would hold it
		[ ! -d "${base:-}" ] || chown -R --reference="$source" "$base"
	elif [ "$(id -u)" = 0 ] && [ -d "${base:-}" ]; then
		chown -R --reference="$source" "$base"
	fi
	rm -rf "$work"
	exit "$status"
}

# Sets `base`, the build folder; EPOCHD_BASE is one that whoever called us has found already.
find_base()
{
	base=${EPOCHD_BASE:-$source/build}
	mkdir -p "$base"
	if [ -n "$user" ] && ! as_user test -r "$base" -a -x "$base"; then
		rmdir "$base" 2>/dev/null || :
		base=$work/build
		mkdir -p "$base"
		say "$user cannot get at $source: building in $base"
	fi
}

source_files()
{
	if ! git -C "$source" -c safe.directory='*' ls-files -zco --exclude-standard 2>/dev/null; then
		(cd "$source" && find . \( -name .git -o -path "./build*" \) -prune -o -type f -printf '%P\0')
	fi | sort -zu
}

# Only what differs is copied, so that make has nothing to do when nothing changed.
copy_source()
{
	local copy=$base/source file

	mkdir -p "$copy" "$copy/m4"
	source_files >"$work/files"
	if [ -e "$copy/.files" ]; then
		(cd "$copy" && comm -z -23 .files "$work/files" | xargs -0r rm -f)
	fi
	while IFS= read -r -d '' file; do
		if [ -f "$source/$file" ] && ! cmp -s "$source/$file" "$copy/$file"; then
			mkdir -p "$copy/$(dirname "$file")"
			cp --preserve=mode "$source/$file" "$copy/$file"
		fi
	done <"$work/files"
	cp "$work/files" "$copy/.files"
	[ -z "$user" ] || chown -R "$user:" "$base"
	if [ ! -e "$copy/configure" ]; then
		say "autoreconf"
		(cd "$copy" && as_user autoreconf -fi >"$work/autoreconf" 2>&1) ||
			{ cat "$work/autoreconf"; return 1; }
	fi
}

# configure_in FOLDER [ARGUMENT...]: again only if the arguments differ; make sees to the rest.
configure_in()
{
	local folder=$1

	shift
	if [ ! -e "$folder/Makefile" ] || [ "$(cat "$folder/.arguments" 2>/dev/null)" != "$*" ]; then
		say "configure $*"
		as_user mkdir -p "$folder"
		(cd "$folder" && as_user "$base/source/configure" -q "$@") ||
			{ tail -n 40 "$folder/config.log"; return 1; }
		printf '%s\n' "$*" >"$folder/.arguments"
	fi
}

# count FOLDER: sets passed, failed, skipped from what automake wrote beside each log.
count()
{
	local results

	results=$(find "$1/tests" -name '*.trs' -exec cat {} + | grep '^:test-result:' || :)
	passed=$(grep -cE ': (PASS|XFAIL)' <<<"$results" || :)
	failed=$(grep -cE ': (FAIL|XPASS|ERROR)' <<<"$results" || :)
	skipped=$(grep -c ': SKIP' <<<"$results" || :)
}

# logs_with FOLDER RESULT: the logs of the tests that ended so.
logs_with()
{
	{ find "$1/tests" -name '*.trs' -exec grep -lE "^:test-result: ($2)" {} + || :; } |
		sed 's/\.trs$/.log/' | sort
}

# show_failures FOLDER: the end of each failed test's log.
show_failures()
{
	local log

	logs_with "$1" 'FAIL|XPASS|ERROR' |
		while read -r log; do
			printf '\n--- %s, the end of its log\n' "${log#"$1/"}"
			tail -n 120 "$log"
		done
}
