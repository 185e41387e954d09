# events -f goes on without a gap or an event twice, says when it is cut off, and ends with ^C.
# status --watch redraws with every event, survives the supervisor, and leaves a clean terminal.
. "${0%/*}/epochctl_lib.sh"

event() {   # NUMBER APP EVENT
	printf '{"number": %s, "at": "2026-11-22T20:14:00.000Z", "app": "%s", "epoch": 6, "event": "%s", "reason": null}' "$@"
}
# answers N STATE: what is asked once, what is asked again when the stream is open, and the Nth
# stream. Each has a FIFO of its own: the fake server goes on reading that of a client that went away.
answers() {
	[ -p "$here/stream.$1" ] || mkfifo "$here/stream.$1"
	routes one <<JSON
{"GET /v1/events?limit=20": {"json": {"next": 1, "events": [$(event 1 kv first)]}},
 "GET /v1/events?limit=1000": {"json": {"next": null, "events":
     [$(event 2 kv between), $(event 1 kv first)]}},
 "GET /v1/events?limit=20&app=kv": {"json": {"next": null, "events": []}},
 "GET /v1/events?limit=1000&app=kv": {"json": {"next": null, "events": []}},
 "GET /v1/events?follow": {"stream": "$here/stream.$1"},
 "GET /v1/events?follow&app=kv": {"stream": "$here/stream.$1"},
 "GET /v1/stats": {"json": {"apps": [{"name": "kv", "state": "$2", "epoch": 6, "pid": 7,
     "up_seconds": 1, "retry_at": null, "restarts": {"total": 5}, "last_exit": null}]}}}
JSON
}
# What a terminal is to show, and what is done then: TEXT ACTION ...
script() {
	EXPECT=$(printf '%s\t%s\n' "$@")
	export EXPECT NO_COLOR=1
}

answers 1 up
serve one

# A writer into the stream waits until the server has opened it, and so has answered.
{ event 2 kv between; echo; event 3 kv third; echo; echo; echo '{"error": "too slow\u001b"}'; } \
	>"$here/stream.1" &
run events --follow
wait "$!"
expect_status 4 'cut off'
expect_out '2026-11-22 20:14:00  kv                     6  first
2026-11-22 20:14:00  kv                     6  between
2026-11-22 20:14:00  kv                     6  third' 'events --follow'
expect_err 'epochctl: cut off: too slow?' 'cut off'

{ event 3 web other; echo; event 4 kv mine; echo; } >"$here/stream.1" &
run events -f --app kv --json
wait "$!"
expect_status 3 'the stream has ended'
expect_out '{"number":4,"at":"2026-11-22T20:14:00.000Z","app":"kv","epoch":6,"event":"mine","reason":null}' \
	'events of one application, as JSON lines'

# ^C ends it, and that is no failure.
answers 2 up
exec {open}<>"$here/stream.2"
{ event 3 kv third; echo; } >&"$open"
script third interrupt
on_terminal 80 events -f
expect_status 0 'interrupted'

# The watch: drawn, drawn anew with an event, cut anew with a new width, and put away.
answers 3 fatal
cp "$here/one.routes" "$here/fatal.routes"
answers 3 up
exec {open}<>"$here/stream.3"
script ' up ' "sh mv '$here/fatal.routes' '$here/one.routes' && echo '$(event 5 kv down)' >'$here/stream.3'" \
	fatal 'resize 17' 'EPO…' 'resize 60' RESTARTS interrupt
on_terminal 60 status --watch
expect_status 0 'watched, and interrupted'
expect_in "$out" $'\033[?25l' 'the cursor is hidden'
expect_in "${out##*fatal}" $'\033[?25h' 'and shown again'

# It outlives the supervisor, and goes on with the next.
answers 5 stopping
cp "$here/one.routes" "$here/stopping.routes"
answers 4 up
exec {open}<>"$here/stream.4" {open}<>"$here/stream.5"
cat >"$here/again" <<SH
#!/bin/sh
rm "$base/one/control.sock"
mv "$here/stopping.routes" "$here/one.routes"
"$python" "$EPOCHD_SOURCE/tests/lib/fakeserver.py" "$base/one/control.sock" "$here/one.routes" \
	"$here/one.log" >/dev/null 2>&1 </dev/null &
echo \$! >"$here/second"
SH
chmod +x "$here/again"
script ' up ' "sh kill -KILL $server" 'No supervisor answers' "sh $here/again" ' stopping ' interrupt
on_terminal 100 status --watch
expect_status 0 'the supervisor died and came back'
[ -e "$here/second" ] && kill "$(cat "$here/second")"
verdict
