# What epochd really answers holds against the schema that it is installed with: applications in different
# states, every document that epochd-api(7) names. promtool is content with the metrics.
. "${0%/*}/lib.sh"
schema=$EPOCHD_SOURCE/contrib/schema/epochd-v1.schema.json
python=/usr/bin/python3
[ -x "$python" ] && "$python" -c 'import jsonschema' 2>/dev/null || skip "needs python3-jsonschema"
write_config <<END
application "up" {
	command = { "/bin/sleep", "3600" }  environment = { "A=b" }  limits { nofile = 100 }
	stop-timeout = 1500ms
}
application "fatal" { command = { "/bin/sh", "-c", "exit 3" }  backoff { initial = 0 }  intensity { restarts = 2  within = 1h } }
application "backoff" { command = { "/nonexistent/program" }  backoff { initial = 1h  max = 1h } }
application "stopped" { command = { "/bin/sleep", "3600" }  output { file = "$dir/stopped.log" } }
application "starting" { command = { "/bin/sleep", "3600" }  readiness = notify  start-timeout = 1h  watchdog = 1h }
application "done" { command = { "/bin/true" }  restart = never  after = { "up" }  group-of = "both" }
group "both" { strategy = one-for-all }
END
# valid DEFINITION NAME: what is on standard input is one document, or of events one each line. Kept until
# all are here.
count=0
mkdir "$dir/answers"
valid()
{
	count=$((count + 1))
	printf '%s\n%s\n' "$1" "$2" >"$dir/answers/$count"
	cat >>"$dir/answers/$count"
}
hold_against_schema()
{
	"$python" - "$schema" "$dir/answers" <<'END' || fail "what epochd answers does not hold against its schema"
import json, os, sys, warnings
warnings.simplefilter("ignore")
import jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
wrong = 0
for file in sorted(os.listdir(sys.argv[2]), key=int):
    definition, name, text = open(os.path.join(sys.argv[2], file)).read().split("\n", 2)
    documents = text.splitlines() if definition == "event" else [text]
    wanted = {"$ref": "#/definitions/" + definition, "definitions": schema["definitions"]}
    if definition not in schema["definitions"] or not text.strip():
        print(name, "no answer, or no", definition, "in the schema", file=sys.stderr)
        wrong += 1
        continue
    for document in map(json.loads, documents):
        for whole in schema, wanted:
            for error in jsonschema.Draft7Validator(whole).iter_errors(document):
                print(name, list(error.absolute_path), error.message[:300], file=sys.stderr)
                wrong += 1
sys.exit(wrong > 0)
END
}
# get PATH DEFINITION STATUS [CURL ARGUMENT...]
get()
{
	local path=$1 definition=$2 wanted=$3 got

	shift 3
	got=$(api "$path" -o "$dir/body" -w '%{http_code}' "$@")
	expect_eq "$got" "$wanted" "status of $path"
	valid "$definition" "$path" <"$dir/body"
}

start_epochd
await up up 1
await stopped up 1
await fatal fatal 3
await backoff backoff 1
await starting starting 1
await "done" stopped 1
get '/v1/apps/stopped/stop?wait' app 200 -X POST
await stopped stopped 1
expect_match "$(stat_of backoff .retry_at)" "^20.*Z$"
kill -s SEGV "$(stat_of up .pid)"
await up up 2

get /v1/stats stats 200
apps=$(api /v1/stats | jq -r '.apps[].name')
expect_eq "$(wc -w <<<"$apps")" 6 "applications in the answer"
for app in $apps; do
	get "/v1/apps/$app" app 200
	get "/v1/apps/$app/incarnations" incarnations 200
done
get '/v1/apps/fatal/incarnations?limit=2' incarnations 200
get '/v1/apps/fatal/incarnations?limit=2&before=2' incarnations 200
get /v1/events events 200
get '/v1/events?limit=3' events 200
get '/v1/events?app=backoff' events 200
get /healthz health 503
get /healthz/fatal health 503
get /healthz/up health 200
get /healthz/nobody problem 404
get /v1/apps/nobody problem 404
get '/v1/events?limit=x' problem 400
get /v1/stats problem 405 -X POST
get /nowhere problem 404
get /v1/apps/fatal/start problem 409 -X POST
get '/v1/apps/up/signal?signal=NOSUCH' problem 400 -X POST
get /v1/apps/up/restart accepted 202 -X POST
await up up 3
api '/v1/events?follow' -N --max-time 600 >"$dir/followed" 2>/dev/null &
others+=("$!")
follower=$!
followed()
{
	ctl signal up CONT >"$dir/said" 2>&1
	[ -s "$dir/followed" ]
}
await_that "an event" followed
{ kill -s KILL "$follower"; wait "$follower"; } 2>/dev/null || :
sed -n '/}$/p' "$dir/followed" | valid event 'the events followed'

if command -v promtool >/dev/null; then
	api /metrics | promtool check metrics >"$dir/said" 2>&1 || fail "promtool: $(cat "$dir/said")"
fi
expect_match "$(api /metrics)" 'epochd_app_up\{app="up"\} 1'

# A database alone answers in the same words.
stop_epochd
db=$state/$instance/epochd.db
"$epochctl" --db "$db" stats --json | valid stats 'stats of the database'
"$epochctl" --db "$db" incarnations fatal --json | valid incarnations 'incarnations of the database'
"$epochctl" --db "$db" events --json | valid events 'events of the database'
hold_against_schema
[ "$count" -ge 30 ] || fail "only $count answers were looked at"
