# A slot of a client that somebody else wrote to contradicts itself: it is cleared and counted, once, by the supervisor that runs
# and by one that begins; its client joins anew, the application is told, and nobody else is touched.
. "${0%/*}/lib.sh"
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
client=$EPOCHD_BUILD/contrib/examples/kv-client
write_config <<END
application "kv" {
	command = { "$EPOCHD_BUILD/contrib/examples/kv-server" }
	readiness = attach  restart = always
	keepalive { interval = 100ms }
}
END
start_epochd
await kv up 1
for name in one two; do
	background "$client" kv >"$dir/$name" 2>"$dir/$name.err"
	eval "$name=\$!"
	await_that "a handle of $name" grep -q '^epoch 1: handle' "$dir/$name"
done
registry=$segments/epochd-$(id -u)-$instance/kv
# spoil SLOT OFFSET: eight bytes of it.
spoil()
{
	printf '\336\255\276\357\336\255\276\357' |
		dd of="$registry" bs=1 seek=$((4096 + 128 * $1 + $2)) conv=notrunc status=none
}
are_connected()
{
	[ "$(ctl clients kv --json | jq '[.clients[] | select(.state == "connected" and .sent > 0)] | length')" = "$1" ]
}
two_handle=$(ctl clients kv --json | jq -r '.clients[1].handle')
spoil 0 8
await_stat kv .clients.confused 1
await_stat kv .clients.registered 3
await_that "both to be connected" are_connected 2
await_log "the slot of client 0x0000010000100000 contradicts itself"
await_log "kv-server: client .* is gone"
expect_stat kv .reclaimed.channels_lost 0

# While no supervisor looks: the handle that was given last, of the second one.
kill_epochd
spoil 1 120
start_epochd
await_stat kv .clients.confused 2
await_stat kv .clients.registered 4
await_that "both to be connected again" are_connected 2
expect_stat kv .epoch 1
expect_stat kv .restarts.total 0
expect_stat kv .clients.reaped 0
expect_match "$(ctl handle kv "$two_handle" || :)" refused
told()
{
	[ "$(grep -c 'kv-server: client .* is gone' "$log")" = 2 ]
}
await_that "the service to be told of both" told
# Once.
kill_epochd
start_epochd
await_that "both to be connected once more" are_connected 2
expect_stat kv .clients.confused 2
