# The status table: what it says of each state, how it is cut, coloured and made harmless; its JSON.
. "${0%/*}/epochctl_lib.sh"

routes one <<'JSON'
{"GET /v1/stats": {"json": {
  "instance": {"name": "one", "uuid": "u", "boot_id": "b"},
  "supervisor": {"pid": 4711, "warnings": [{"code": "store_unwritable",
      "since": "2026-11-22T20:13:00.000Z", "text": "the database cannot be written: disk full"}]},
  "apps": [
    {"name": "kv", "state": "up", "reason": null, "status_text": "Ready \u00fcber alles", "epoch": 6,
     "pid": 4720, "up_seconds": 12.5, "retry_at": null, "restarts": {"total": 5},
     "last_exit": {"epoch": 5, "at": "@NOW-330@", "cause": "crashed", "code": null,
                   "signal": "SIGKILL", "oom": null}},
    {"name": "web-\u65e5\u672c", "state": "backoff", "reason": "exit 1", "epoch": 12, "pid": null,
     "up_seconds": null, "retry_at": "@NOW+8683200@", "restarts": {"total": 11},
     "last_exit": {"epoch": 12, "at": "@NOW-5400@", "cause": "exited", "code": 1,
                   "signal": null, "oom": null}},
    {"name": "old", "state": "stopped", "reason": null, "status_text": null, "epoch": null,
     "pid": null, "up_seconds": null, "retry_at": null, "restarts": {"total": 0},
     "last_exit": null}]}}}
JSON
serve one

table='NAME      STATE    EPOCH   PID  UP FOR  RESTARTS  LAST EXIT        REASON
kv        up           6  4720     12s         5  SIGKILL, 5m ago  Ready über alles
web-日本  backoff     12     -       -        11  exit 1, 1h ago   again in 100d 11h: exit 1
old       stopped      -     -       -         0  -                -
warning: the database cannot be written: disk full (since 2026-11-22 20:13:00)'
run status
expect_status 0 'a good status'
expect_out "$table" 'status'

run status old kv
expect_out 'NAME  STATE    EPOCH   PID  UP FOR  RESTARTS  LAST EXIT        REASON
kv    up           6  4720     12s         5  SIGKILL, 5m ago  Ready über alles
old   stopped      -     -       -         0  -                -
warning: the database cannot be written: disk full (since 2026-11-22 20:13:00)' 'status of two'

run status kw
expect_status 4 'an application that is not there'
expect_err 'epochctl: there is no application kw; did you mean kv?' 'status of none'
run status kw --json
expect_status 4 'an application that is not there, as JSON'
expect_in "$out" "there is no application kw; did you mean kv?" "status of none, as JSON"
expect_in "$out" "404" "status of none, as JSON"

# On a terminal it is cut to its width, in columns and not in bytes, and coloured.
NO_COLOR=1 on_terminal 41 status
expect_out 'NAME      STATE    EPOCH   PID  UP FOR  …
kv        up           6  4720     12s  …
web-日本  backoff     12     -       -  …
old       stopped      -     -       -  …
warning: the database cannot be written:…' 'status on a narrow terminal'
NO_COLOR=1 on_terminal 7 status
expect_in "$out" $'web-日…\n' 'a wide character that does not fit'
on_terminal 100 status
expect_in "$out" $'\033[32mup\033[0m' 'colour on a terminal'
run status
expect_not_in "$out" $'\033' 'no colour elsewhere'

# --json is what the supervisor said, byte for byte; on a terminal it is indented.
routes one <<'JSON'
{"GET /v1/stats": {"text": "{\"apps\": [  ], \"x\":1.50}"}}
JSON
run status --json
expect_out '{"apps": [  ], "x":1.50}' 'status --json'
run --json stats
expect_out '{"apps": [  ], "x":1.50}' 'stats --json'
on_terminal 80 stats --json
expect_out '{
  "apps": [],
  "x": 1.5
}' 'stats --json on a terminal'
run status
expect_out 'No applications are configured.' 'status of nothing'

# Bad news is an exit code. Nothing that a program says moves the cursor, or turns text around.
for state in fatal held; do
	routes one <<JSON
{"GET /v1/stats": {"json": {"apps": [
  {"name": "evil", "state": "$state", "reason": "a\u001b[2Jb\nc\u009bd\u202ee\u007f", "epoch": 1,
   "pid": null, "up_seconds": null, "retry_at": null, "restarts": {"total": 5}, "last_exit":
   {"epoch": 1, "at": "@NOW-3@", "cause": "watchdog", "code": null, "signal": "SIGABRT",
    "oom": null}},
  {"name": "good", "state": "up", "epoch": 1, "pid": 7, "up_seconds": 0.25, "retry_at": null,
   "restarts": {"total": 0}, "last_exit": {"epoch": 1, "at": "@NOW-200000@", "cause": "crashed",
   "code": null, "signal": "SIGKILL", "oom": true}}]}}}
JSON
	run status
	expect_status 1 "an application is $state"
	expect_in "$out" 'watchdog SIGABRT, ' 'how it ended'
	expect_in "$out" 'a?[2Jb c?d?e?' 'harmless text'
	expect_in "$out" 'SIGKILL (out of memory), 2d ago' 'out of memory'
	expect_in "$out" '250ms' 'a short time'
	run status good
	expect_status 0 "the other one is $state"
done
on_terminal 80 status --json
expect_in "$out" 'a\u001B[2Jb\nc\u009bd\u202ee\u007f' 'harmless JSON'

verdict
