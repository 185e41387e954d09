# `epochd check FILE` says whether a configuration is good: each mistake with file, line, key and what was
# expected, and a status to go by. Nothing is started on a bad file.
. "${0%/*}/lib.sh"
checked=$dir/checked.conf

# Expects status 0.
good()
{
	cat >"$checked"
	"$epochd" check "$checked" >"$dir/said" 2>&1 || fail "a good file: $(cat "$dir/said")"
}
# LINE PATTERN
bad()
{
	local status=0

	cat >"$checked"
	"$epochd" check "$checked" >"$dir/said" 2>&1 || status=$?
	[ "$status" != 0 ] || fail "a bad file is good: $(cat "$checked")"
	grep -qE "checked.conf:$1: .*$2" "$dir/said" ||
		fail "expected checked.conf:$1 and '$2', got: $(cat "$dir/said")"
}

good <<'END'
application "kv" {
	command = { "/bin/sleep", "1" }
	restart = always
	backoff { initial = 100ms  factor = 2.0  max = 30s  jitter = 0.1  reset-after = 60s }
	intensity { restarts = 5  within = 60s }
	readiness = notify  start-timeout = 30s  stop-signal = SIGTERM  stop-timeout = 10s
	limits { nofile = 1024  core = unlimited }
	health { command = { "true" }  interval = 10s  timeout = 5s  failures = 3 }
}
END
bad 3 'no-such-key' <<'END'
application "kv" {
	command = { "/bin/true" }
	no-such-key = 1
}
END
bad 2 'stop-timeout.*ten' <<'END'
application "kv" { command = { "/bin/true" }
	stop-timeout = ten
}
END
bad '[0-9]+' 'command' <<'END'
application "kv" { restart = always }
END
bad '[0-9]+' 'kv' <<'END'
application "kv" { command = { "/bin/true" } }
application "kv" { command = { "/bin/true" } }
END
bad '[0-9]+' '' <<'END'
application "kv" { command = { "/bin/true" }
END
bad 2 'keepalive misses.*expected a number' <<'END'
application "kv" {
	keepalive { misses = many }
	command = { "/bin/true" }
}
END
bad 2 'command.*means nothing with external = true' <<'END'
application "kv" {
	command = { "/bin/true" }
	external = true
}
END
bad '[0-9]+' 'after.*nobody-has-this-name' <<'END'
application "kv" { command = { "/bin/true" }  after = { "nobody-has-this-name" } }
END
status=0
"$epochd" check "$dir/missing.conf" >"$dir/said" 2>&1 || status=$?
[ "$status" != 0 ] || fail "a missing file is good"
expect_match "$(cat "$dir/said")" missing.conf

write_config <<END
application "a" { command = { "/bin/touch", "$dir/started" } }
application "b" { command = { "/bin/true" }  restart = perhaps }
END
launch_epochd
wait_epochd
[ "$status" != 0 ] || fail "it ran on a bad file"
expect_match "$(cat "$log")" 'epochd.conf:2: .*perhaps'
[ ! -e "$dir/started" ] || fail "something was started on a bad file"
