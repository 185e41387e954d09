# The completions load in a plain bash, and complete commands, options, names, signals, instances.
. "${0%/*}/epochctl_lib.sh"

routes one <<'JSON'
{"GET /v1/stats": {"json": {"supervisor": {"warnings": [{"code": "x", "since": null, "text": "x"}]},
  "apps": [{"name": "kv", "state": "up"}, {"name": "kettle", "state": "up"},
           {"name": "web", "state": "fatal"}]}}}
JSON
serve one
mkdir "$here/bin"
ln -s "$epochctl" "$here/bin/epochctl"
PATH=$here/bin:$PATH
export EPOCHD_RUNTIME_DIR=$base

# complete_line WORDS...: what is offered for the last of them, in order, in one line.
complete_line() {
	bash --norc -c 'set -u
		. "$1/contrib/completion/$2"
		COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
		"_$2" 2>&1
		printf "%s\n" "${COMPREPLY[@]}" | sort | paste -sd " "' - "$EPOCHD_SOURCE" "$@"
}

while IFS='|' read -r line expected; do
	eval "words=($line)"
	out=$(complete_line "${words[@]}")
	expect_out "${expected}" "$line"
done <<TABLE
epochctl sta|start stats status
epochctl -j inc|incarnations
epochctl start k|kettle kv
epochctl start kv we|web
epochctl explain kv we|
epochctl -i one incarnations ''|kettle kv web
epochctl -i none incarnations ''|
epochctl -i ''|one
epochctl --runtime-dir '$here/none' -i ''|
epochctl signal kv SIGT|SIGTERM SIGTRAP SIGTSTP SIGTTIN SIGTTOU
epochctl signal kv SIGTERM ''|
epochctl events --app w|web
epochctl events --f|--follow
epochctl stats --w|
epochctl restart kv --wa|--wait
epochctl --db '$here/bi'|$here/bin
epochctl help ex|explain
epochd ru|run
epochd run --rest|--restart
epochd run --restart on|on-failure
epochd run -- epochct|epochctl
epochd --state-dir '$here/bi'|$here/bin
epochd -c '$here/bi'|$here/bin
epochd check '$here/bi'|$here/bin
TABLE

# Every option of every command is completed, and none that it does not take.
for command in status explain stats incarnations events start stop restart reset signal reload \
	shutdown; do
	run "$command" --help
	expected=$(grep -o -e '--[a-z-]*' <<<"$out" | sort -u | paste -sd ' ')
	out=$(complete_line epochctl "$command" -- )
	[ "$out" = "$expected" ] || fail "$command: $out, not $expected"
done
verdict
