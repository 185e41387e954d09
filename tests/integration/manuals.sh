# The manual pages are clean, they and the completions know the options that --help knows and no others, and
# their examples work, as far as they end by themselves.
. "${0%/*}/lib.sh"
need jq curl
pages=$EPOCHD_SOURCE/contrib/man

if command -v mandoc >/dev/null; then
	for page in "$pages"/*.[1-9]; do
		said=$(mandoc -Tlint -W warning "$page" 2>&1) || fail "mandoc: $said"
	done
fi

# The long options of what is on standard input, one a line.
long_options()
{
	grep -E '^ *-' | grep -oE -e '--[a-z][a-z-]+' | sort -u
}
# page_options PAGE
page_options()
{
	grep -E '^\.It Fl' "$1" | grep -oE 'Fl -[a-z][a-z-]+' | sed 's/Fl -/--/' | sort -u
}
helped()
{
	"$epochctl" --help
	for command in status explain stats incarnations events config clients rings handle kick messages call latency trace start stop restart \
		reset signal reload shutdown doctor; do
		"$epochctl" "$command" --help
	done
}
expect_eq "$(page_options "$pages/epochd.8")" "$("$epochd" --help | long_options)" "options in epochd(8)"
expect_eq "$(page_options "$pages/epochctl.1")" "$(helped | long_options)" "options in epochctl(1)"

# complete WORDS: the options that are offered for them and `--`.
complete()
{
	bash --norc -c '. "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _epochd
		printf "%s\n" "${COMPREPLY[@]}"' - "$EPOCHD_SOURCE/contrib/completion/epochd" "$@" --
}
of_run=$("$epochd" --help | sed -n '/^of run:/,/^$/p' | long_options)
all=$("$epochd" --help | long_options)
expect_eq "$(complete epochd | long_options)" "$(comm -23 <(echo "$all") <(echo "$of_run"))" \
	"options that are completed for epochd"
expect_eq "$(complete epochd run | long_options)" "$(grep -vx -e --config <<<"$all")" \
	"options that are completed for epochd run"

# examples PAGE: each block that is an example, in a file of its own: $dir/example.N
examples()
{
	rm -f "$dir"/example.*
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh [A-DF-Z]/p' "$1" |
		awk -v to="$dir/example." '/^\.Ed/ { inside = 0 } inside { gsub(/\\e/, "\\"); print > (to n) }
			/^\.Bd -literal/ { inside = 1; n++ }'
	[ -e "$dir/example.1" ] || fail "no examples in $1"
}

# What an example starts goes on until its end, in the test's own places.
mkdir "$dir/bin" "$dir/here"
cat >"$dir/bin/redis-server" <<'END2'
#!/bin/sh
exec sleep 3600
END2
cat >"$dir/bin/epochd" <<'END2'
#!/bin/bash
case $1 in
check) exec "$REAL/epochd" "$@" ;;
run) shift; set -- run --instance "example$$" "$@" ;;
esac
arguments=()
for argument; do
	case $argument in
	--http | 127.0.0.1:9190) ;;   # the port may be somebody else's
	*) arguments+=("$argument") ;;
	esac
done
"$REAL/epochd" "${arguments[@]}" </dev/null >>"$STARTED.log" 2>&1 &
echo $! >>"$STARTED"
while kill -0 $!; do
	for lock in "$EPOCHD_RUNTIME_DIR"/*/.lock; do
		folder=${lock%/.lock}
		[ -e "$lock" ] && [ "$(cat "$lock")" = $! ] || continue
		! epochctl --instance "${folder##*/}" status 2>/dev/null || exit 0
	done
	sleep 0.02
done
cat "$STARTED.log" >&2
exit 1
END2
chmod +x "$dir/bin"/*
ln -s "$epochctl" "$dir/bin/epochctl"
export REAL=$EPOCHD_BUILD STARTED=$dir/started PATH=$dir/bin:$PATH

end_started()
{
	local one

	[ -e "$STARTED" ] || return 0
	while read -r one; do
		kill -s TERM "$one" 2>/dev/null || :
		await_that "the end of an example's epochd" gone "$one"
	done <"$STARTED"
	rm "$STARTED"
}
trap 'end_started; finish' EXIT

# run_examples PAGE [SED-ARGUMENT...]
run_examples()
{
	local page=$1 example

	shift
	examples "$page"
	for example in "$dir"/example.*; do
		sed -i "$@" "$example"
		(cd "$dir/here" && bash -eu -o pipefail "$example") >"$dir/said" 2>&1 ||
			fail "$page: $(cat "$example") ended with $?: $(cat "$dir/said")"
		end_started
	done
}

write_config "$dir/here/epochd.conf" <<'END2'
application "kv" { command = { "/bin/sleep", "3600" } }
END2
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_STATE_DIR=$state
run_examples "$pages/epochd.8" -e ''
unset EPOCHD_RUNTIME_DIR EPOCHD_STATE_DIR
grep -q 'epoch 1' "$STARTED.log" || fail "the last example's program said nothing"

# With a supervisor; what goes on until it is interrupted is for other tests.
cp "$dir/here/epochd.conf" "$config"
start_epochd
await kv up 1
EPOCHD_RUNTIME_DIR=$runtime run_examples "$pages/epochctl.1" -e '/--watch/d' \
	-e "s|/var/lib/epochd/default|$state/$instance|"
expect_stat kv .epoch 2
run_examples "$pages/epochd-api.7" -e '/curl -sN/,$d' -e "s|/run/epochd/default|$runtime/$instance|"
expect_stat kv .epoch 3

# Who is not root may not name another user; all else is good.
examples "$pages/epochd.conf.5"
for example in "$dir"/example.*; do
	[ "$(id -u)" = 0 ] || sed -i '/^ *user = /d' "$example"
	"$epochd" check "$example" >"$dir/said" 2>&1 || fail "epochd.conf(5): $(cat "$dir/said")"
done
