# stats, incarnations, events and explain, for people and as JSON, over several pages.
. "${0%/*}/epochctl_lib.sh"

routes one <<'JSON'
{"GET /v1/stats": {"json": {
  "instance": {"name": "one", "uuid": "0b7c", "boot_id": "6f1e"},
  "supervisor": {"pid": 4711, "version": "0.1.0", "started_at": "2026-11-22T20:12:00.123Z",
                 "runs": 7, "unclean_runs": 2, "segments_cleaned": 1, "warnings": []},
  "apps": [{"name": "kv", "state": "up", "reason": null, "status_text": null, "epoch": 6,
     "pid": 4720, "up_seconds": 12.5, "retry_at": null,
     "restarts": {"since": "2026-10-02T08:00:00.000Z", "total": 5, "crashed": 4, "exited": 0,
                  "start_failed": 0, "asked": 1, "last_hour": 5, "last_day": 5},
     "last_exit": {"epoch": 5, "at": "2026-11-22T20:14:02.511Z", "cause": "crashed", "code": null,
                   "signal": "SIGKILL", "oom": null},
     "reclaimed": {"messages": 12, "bytes": 768, "channels_lost": 0},
     "garbage_collected": {"buffers": 3, "bytes": 2176,
        "abandoned": {"buffers": 1, "bytes": 2048}, "held": {"buffers": 2, "bytes": 128},
        "overdue": {"buffers": 0, "bytes": 0}},
     "clients": {"connected": 3, "registered": 20, "reaped": 2, "lazy": 0, "confused": 0},
     "refused": {"stale_epoch": 4, "stale_generation": 0, "free_slot": 0, "down": 0,
                 "not_a_handle": 0},
     "shm_cleaned": {"files": 1, "bytes": 4096}}]}},
 "GET /v1/apps/kv/incarnations?limit=20": {"json": {"app": "kv", "next": 5, "incarnations": [
     {"epoch": 6, "pid": 4720, "started_at": "@NOW-7320@", "up_at": "@NOW-7300@", "ended_at": null,
      "restart": "crashed", "cause": null, "code": null, "signal": null, "oom": null,
      "detail": null},
     {"epoch": 5, "pid": null, "started_at": "2026-11-22T20:14:00.000Z", "up_at": null,
      "ended_at": "2026-11-22T20:14:02.511Z", "restart": "asked", "cause": "start_failed",
      "code": null, "signal": null, "oom": null, "detail": "exec: No such file or directory"}]}},
 "GET /v1/apps/kv/incarnations?limit=1": {"json": {"app": "kv", "next": 6, "incarnations":
     [{"epoch": 6}]}},
 "GET /v1/apps/kv/incarnations?limit=1000": {"json": {"app": "kv", "next": 5, "incarnations":
     [{"epoch": 6}, {"epoch": 5}]}},
 "GET /v1/apps/kv/incarnations?before=5&limit=1000": {"json": {"app": "kv", "next": 2,
     "incarnations": [{"epoch": 4}]}},
 "GET /v1/apps/kv/incarnations?before=2&limit=1000": {"json": {"app": "kv", "next": null,
     "incarnations": [{"epoch": 1}]}},
 "GET /v1/events?limit=20": {"json": {"next": null, "events": [
     {"number": 9, "at": "2026-11-22T20:14:02.511Z", "app": "kv", "epoch": 6, "event": "up",
      "reason": null},
     {"number": 8, "at": "2026-11-22T20:14:01.000Z", "app": "kv", "epoch": 5, "event": "down",
      "reason": "SIGKILL\u001b[1m"},
     {"number": 2, "at": "2026-11-22T20:12:00.123Z", "app": null, "epoch": null,
      "event": "started", "reason": "run 7"}]}},
 "GET /v1/events?limit=2&app=kv": {"json": {"next": 8, "events": [
     {"number": 9, "at": "2026-11-22T20:14:02.511Z", "app": "kv", "epoch": 6, "event": "up",
      "reason": null}]}},
 "GET /v1/apps/kv": {"json": {"name": "kv", "state": "up", "epoch": 6, "pid": 4720,
     "up_seconds": 2, "retry_at": null, "config": {"restart": "on-failure",
     "backoff": {"initial": "100ms", "factor": 2.0, "max": "30s", "jitter": 0,
                 "reset-after": "60s"}, "intensity": {"restarts": 1, "within": "60s"}}}},
 "GET /v1/apps/kv/incarnations?limit=201": {"json": {"app": "kv", "next": null,
     "incarnations": []}}}
JSON
serve one

run stats
expect_status 0 'stats'
expect_out 'instance one  0b7c
  supervisor         pid 4711, version 0.1.0
  started            2026-11-22 20:12:00
  runs               7, 2 of them ended unclean
  segments cleaned   1

kv  up, epoch 6
  restarts           5 since 2026-10-02 08:00:00
    of these         4 crashed, 1 asked
    lately           5 in the last hour, 5 in the last day
  last exit          SIGKILL, of epoch 5, at 2026-11-22 20:14:02
  reclaimed          12 messages, 768 bytes
  garbage collected  3 buffers, 2176 bytes
    abandoned        1 buffers, 2048 bytes
    held             2 buffers, 128 bytes
  clients            3 connected, 20 registered, 2 reaped
  refused            4 stale epoch
  shm cleaned        1 files, 4096 bytes' 'stats'

run incarnations kv
expect_in "$out" 'EPOCH   PID  STARTED              AFTER    RAN FOR  ENDED BY      DETAIL' 'incarnations'
expect_in "$out" '  crashed    2h 2m  it runs       -' 'the one that runs'
expect_in "$out" \
	'    5     -  2026-11-22 20:14:00  asked       2.5s  start failed  exec: No such file or directory' \
	'one that never ran'

# One page is passed on as it is; several become one.
run incarnations kv --limit 1 --json
expect_out '{"app": "kv", "next": 6, "incarnations": [{"epoch": 6}]}' 'one page'
run incarnations kv --all --json
expect_out '{"app":"kv","next":null,"incarnations":[{"epoch":6},{"epoch":5},{"epoch":4},{"epoch":1}]}' \
	'all pages'

run events
expect_out '2026-11-22 20:12:00  (supervisor)           -  started     run 7
2026-11-22 20:14:01  kv                     5  down        SIGKILL?[1m
2026-11-22 20:14:02  kv                     6  up' 'events'
run events --app kv -n2
expect_out '2026-11-22 20:14:02  kv                     6  up' 'events of one application'

run explain kv
expect_status 0 'explain'
expect_out 'kv is up, in epoch 6 (pid 4720), for 2s.
restart = on-failure: if it exits with code 0, or ends by HUP, INT, TERM or PIPE, it stays
stopped; any other end is a crash, and it is started again.

More than 1 restart within 1m makes it fatal; so far there are 0.
If it crashes now, and again each time as soon as it is started:
    1st crash  again after 100ms, restart 1 of 1
    2nd crash  fatal, 100ms after the first: nothing starts it until `epochctl reset kv`
Once it has been up for 1m, the delays begin at 100ms again.' 'explain'
verdict
