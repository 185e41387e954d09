# What the epochctl tests share: a directory of their own, fake supervisors, and what to expect.
# Nothing sleeps: a fake server says when it listens, a FIFO says when it was opened.
set -u
LC_ALL=C.UTF-8 TZ=UTC
export LC_ALL TZ
unset NO_COLOR EPOCHD_RUNTIME_DIR XDG_RUNTIME_DIR

epochctl=$EPOCHD_BUILD/epochctl
python=/usr/bin/python3
here=$(mktemp -d "${TMPDIR:-/tmp}/epochctl-test.XXXXXX") || exit 99
base=$here/run
mkdir "$base"
pids=()
failures=0

finish() {
	local pid

	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	rm -rf "$here"
}
trap finish EXIT

# serve INSTANCE: a fake supervisor, with $here/INSTANCE.routes and $here/INSTANCE.log; $server is its pid.
serve() {
	local line

	mkdir -p "$base/$1"
	[ -e "$here/$1.routes" ] || echo '{}' >"$here/$1.routes"
	: >"$here/$1.log"
	exec {from}< <(exec "$python" "$EPOCHD_SOURCE/tests/lib/fakeserver.py" "$base/$1/control.sock" \
		"$here/$1.routes" "$here/$1.log")
	server=$!
	pids+=("$server")
	read -r line <&"$from" && [ "$line" = listening ] || { echo "no fake server"; exit 99; }
}

# routes INSTANCE <<JSON: its answers from now on; never seen half written.
routes() {
	cat >"$here/$1.new" && mv "$here/$1.new" "$here/$1.routes"
}

fail() {
	printf 'FAIL: %s\n' "$*"
	failures=$((failures + 1))
}

# run ARGUMENTS...: $out, $err and $status of epochctl.
run() {
	"$epochctl" --runtime-dir "$base" "$@" >"$here/out" 2>"$here/err" </dev/null
	status=$?
	out=$(cat "$here/out") err=$(cat "$here/err")
}

# on_terminal COLUMNS ARGUMENTS...: the same, with stdout and stderr a terminal of that width.
on_terminal() {
	local columns=$1

	shift
	"$python" "$EPOCHD_SOURCE/tests/lib/terminal.py" "$columns" "$epochctl" --runtime-dir "$base" \
		"$@" >"$here/out" 2>"$here/err" </dev/null
	status=$?
	out=$(cat "$here/out")
}

expect_status() {
	[ "$status" = "$1" ] || fail "$2: exit $status, not $1; said: $out $err"
}

expect_out() {
	[ "$out" = "$1" ] || { fail "$2: printed"; printf '%s\nand not\n%s\n' "$out" "$1"; }
}

expect_err() {
	[ "$err" = "$1" ] || { fail "$2: complained"; printf '%s\nand not\n%s\n' "$err" "$1"; }
}

expect_in() {   # TEXT PART WHAT
	[[ $1 == *"$2"* ]] || { fail "$3: expected"; printf '%s\nin\n%s\n' "$2" "$1"; }
}

expect_not_in() {
	[[ $1 != *"$2"* ]] || { fail "$3: did not expect"; printf '%s\nin\n%s\n' "$2" "$1"; }
}

verdict() {
	[ "$failures" = 0 ] || exit 1
}
