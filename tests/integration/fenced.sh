# An application that is taken for dead, and lives on: its fence is closed before anything else, so each call tells it
# so, and it can reach nobody any more, while the next one is not started before it is gone.
. "${0%/*}/lib.sh"
need jq
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
fenced=$EPOCHD_BUILD/tests/lib/fenced
# No look for leaks at its exit: that stops it by ptrace, which the SIGCONT of its end may take back, and then waits
# for ever.
options=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
: >"$dir/healthy"
write_config <<END
application "old" {
	command = { "$fenced", "$dir/said" }
	environment = { "ASAN_OPTIONS=$options" }
	readiness = attach  restart = never  stop-timeout = 10m
	health { command = { "/bin/sh", "-c", "test -e $dir/healthy" }  interval = 50ms  failures = 1 }
}
END
start_epochd
await old up 1
background "$fenced" client old >"$dir/client"
client=$!
await_that "the client's handle" grep -q '^0x' "$dir/client"
received()
{
	[ "$(ctl rings old --json | jq '[.rings[] | select(.owner == "client")][0] | .sent - .in_use')" = 1 ]
}
await_that "its message to be received" received
rm "$dir/healthy"
wait "$client" || fail "the client's status is $?"
expect_eq "$(tail -n 1 "$dir/client")" ESTALE "what the client waits for"
await old stopped
expect_eq "$(tr '\n' ';' <"$dir/said")" "run ESTALE;dispatch ESTALE;reply ESTALE;send ESTALE;\
allocate ESTALE;kick ESTALE;verdict down;" "what each call says"
expect_match "$(ctl handle old "$(head -n 1 "$dir/client")" || :)" "refused"
expect_eq "$(api /v1/apps/old/incarnations | jq -r '.incarnations[0] | "\(.cause) \(.code)"')" "health 0" "its end"
