# The verbs: what is posted, what is said, and what comes of waiting.
. "${0%/*}/epochctl_lib.sh"

routes one <<'JSON'
{"POST /v1/apps/kv/start": {"status": 202, "json": {"event": 41}},
 "POST /v1/apps/db/start": {"status": 409, "json": {"detail": "it runs already"}},
 "POST /v1/apps/web/start": {"status": 202, "json": {"event": 42}},
 "POST /v1/apps/kv/restart?wait": {"json": {"name": "kv", "state": "up", "reason": null}},
 "POST /v1/apps/kv/reset?wait&timeout=10s": {"json": {"name": "kv", "state": "fatal",
     "reason": "crashed 6 times within 60s"}},
 "POST /v1/apps/kv/signal?signal=TERM": {"status": 202, "json": {"event": 43}},
 "POST /v1/reload?wait": {"json": {"event": 44}},
 "POST /v1/shutdown": {"status": 202, "json": {"event": 45}}}
JSON
serve one

run start kv db web
expect_status 4 'one of three is refused'
expect_out 'kv: start asked for (event 41)
web: start asked for (event 42)' 'the others are started'
expect_err 'epochctl: db: it runs already' 'and the one is not'
run restart kv --wait
expect_status 0 'restart --wait'
expect_out 'kv: up' 'restart --wait'
run reset kv --timeout 10s
expect_status 1 'what was waited for came out badly'
expect_err 'epochctl: kv: fatal: crashed 6 times within 60s' 'what was waited for came out badly'
run signal kv TERM
expect_out 'kv: signal asked for (event 43)' 'signal'
run reload --wait
expect_out 'reload done (event 44)' 'reload --wait'
run shutdown --json
expect_out '{"event": 45}' 'shutdown'
verdict
