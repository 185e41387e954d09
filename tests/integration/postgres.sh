# PostgreSQL, five kills of its postmaster: what it left behind is gone before the next one looks for it in
# the shared memory of its data directory, and every start recovers.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
kills=5
bin=
for found in /usr/lib/postgresql/*/bin; do
	[ -x "$found/postgres" ] && bin=$found
done
[ -n "$bin" ] || skip "needs PostgreSQL, which is not installed"

as_user=() user=
mkdir -m 700 "$dir/pg"
if [ "$(id -u)" = 0 ]; then   # as which it refuses to run
	need setpriv
	chmod 711 "$dir"
	chown nobody "$dir/pg"
	as_user=(setpriv --reuid nobody --clear-groups)
	user='user = "nobody"'
fi
answers_sql()
{
	[ "$("${as_user[@]}" "$bin/psql" -h "$dir/pg" -U pg -d postgres -Atc 'select 1' 2>&1)" = 1 ]
}
cd "$dir/pg" || exit
"${as_user[@]}" "$bin/initdb" -D "$dir/pg/data" -U pg -A trust --no-sync --no-locale -E UTF8 \
	>"$dir/initdb.log" 2>&1 || fail "initdb: $(cat "$dir/initdb.log")"
write_config <<END
application "postgres" {
	command = { "$bin/postgres", "-D", "$dir/pg/data", "-k", "$dir/pg", "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "shared_buffers=1MB" }
	directory = "$dir/pg"  $user
	stop-signal = SIGINT  restart = always
	$at_once
}
END
start_epochd
for ((epoch = 1; epoch <= kills; epoch++)); do
	await postgres up "$epoch"
	await_that "an answer of PostgreSQL" answers_sql
	kill -s KILL "$(stat_of postgres .pid)"
done
await postgres up $((kills + 1))
await_that "an answer of PostgreSQL" answers_sql
expect_stat postgres .restarts.total "$kills"
expect_stat postgres .restarts.crashed "$kills"
