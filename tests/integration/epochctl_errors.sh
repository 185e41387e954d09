# Finding the supervisor, and what is said when it cannot be found, refuses, hangs or talks nonsense;
# each with its exit code.
. "${0%/*}/epochctl_lib.sh"

run status
expect_status 3 'nothing runs'
expect_in "$err" "no supervisor runs: nothing listens on any control.sock below $base" 'none'
expect_in "$err" 'epochd -c FILE' 'what to do next'
EPOCHD_RUNTIME_DIR=$here/none "$epochctl" status 2>"$here/err"
[ $? = 3 ] || fail 'no runtime directory: not 3'
expect_in "$(cat "$here/err")" "$here/none" 'where it looked'

# What is left of one that was killed is no supervisor.
routes one <<'JSON'
{"GET /v1/stats": {"json": {"apps": []}},
 "GET /v1/apps/kv%2F..%3F%20x": {"json": {"name": "odd"}},
 "POST /v1/apps/kv/stop": {"status": 403, "json": {"title": "Forbidden", "detail": "uid 33 may not act\u001b[31m"}},
 "POST /v1/apps/kv/start?wait&timeout=250ms": {"status": 504, "json": {"detail": "it has not happened in time"}},
 "POST /v1/reload": {"status": 500, "text": "oops"},
 "POST /v1/shutdown": {"status": 202, "text": "oops"},
 "GET /v1/events?limit=20": {"json": {"other": 1}}}
JSON
serve one
kill -KILL "$server"
wait "$server" 2>/dev/null
run status
expect_status 3 'a socket that nobody listens on'
rm "$base/one/control.sock"

serve one
run status
expect_status 0 'the only one that runs'
run -i two status
expect_status 3 'one that does not run'
expect_in "$err" "instance two does not run: nothing listens on $base/two/control.sock" 'its name'
expect_in "$err" '--instance one' 'what runs'
run -i ../one status
expect_status 2 'no name'

serve two
mkdir "$base/no-socket"
run status
expect_status 2 'several run'
expect_err 'epochctl: several supervisors run; say which one:
  --instance one
  --instance two' 'several run'
run --instance one status
expect_status 0 'one of them'

# Names go into the path escaped.
run -i one explain 'kv/..? x' --json
expect_out '{"name": "odd"}' 'an odd name'

# A refusal has its reason; as JSON it is on stdout too.
run -i one stop kv
expect_status 4 'refused'
expect_err 'epochctl: kv: uid 33 may not act?[31m' 'refused'
expect_out '' 'refused'
run -i one stop kv --json
expect_status 4 'refused, as JSON'
expect_in "$out" '"detail": "uid 33 may not act' 'the problem itself'
run -i one incarnations nobody
expect_status 4 'unknown application'
expect_err 'epochctl: there is nothing at /v1/apps/nobody/incarnations?limit=20' 'its reason'
run -i one start kv --timeout 250ms
expect_status 5 'not in time'
expect_err 'epochctl: kv: it has not happened in time' 'not in time'
run -i one reload
expect_status 4 'refused without a reason'
expect_err 'epochctl: the answer is HTTP 500 without a reason' 'no reason'
run -i one shutdown
expect_status 6 'nonsense'
run -i one events
expect_status 6 'a page without rows'

# What cannot be written is no success.
"$epochctl" --runtime-dir "$base" -i one --help >/dev/full 2>"$here/err"
[ $? = 6 ] || fail 'a full disk: not 6'
expect_in "$(cat "$here/err")" 'cannot write the answer' 'a full disk'

# Usage.
while IFS='|' read -r arguments message; do
	eval "run $arguments"
	expect_status 2 "$arguments"
	expect_err "epochctl: $message" "$arguments"
done <<'TABLE'
|a command is missing; `epochctl --help` lists them
stauts|unknown command stauts; did you mean status?
incar|unknown command incar; did you mean incarnations?
frobnicate|unknown command frobnicate; `epochctl --help` lists them
status --wacth|unknown option --wacth; did you mean --watch?
status -x|unknown option -x
status --wait|status does not take --wait
events --limit 0|--limit: expected a number from 1, not "0"
events --limit 1x|--limit: expected a number from 1, not "1x"
events --limit|--limit needs a value
start kv --timeout ten|--timeout: expected a time such as 250ms or 10s, not "ten"
start|start: expected APP ...
explain a b|explain: too many arguments; expected APP
reload kv|reload: too many arguments; expected none
stats --db f -i one|--db asks no supervisor: it goes without --instance and --runtime-dir
status --watch --db f -i x|--db asks no supervisor: it goes without --instance and --runtime-dir
TABLE

for command in status explain stats incarnations events start stop restart reset signal reload \
	shutdown; do
	run "$command" --help
	expect_status 0 "$command --help"
	expect_in "$out" "Usage: epochctl $command" "$command --help"
	expect_in "$(run --help; echo "$out")" "  $command " '--help'
done
run --version
expect_in "$out" 'epochctl ' '--version'

# A runtime directory deeper than a socket's address can be.
base=$base/$(printf 'deep%.0s' {1..40})
mkdir "$base"
cp "$here/one.routes" "$here/deep.routes"
serve deep
run status
expect_status 0 'a long path'
verdict
