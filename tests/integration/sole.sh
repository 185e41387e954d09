# One application, and nothing that tells whose its daemon is: no session, no parent, no environment. As
# PostgreSQL's processes do, it holds what the next incarnation needs; it is gone before that one starts.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
write_config <<END
application "hidden" {
	command = { "$EPOCHD_BUILD/tests/lib/forker", "$dir/hidden" }
	readiness = notify  restart = always  stop-timeout = 5s
	$at_once
}
END
start_epochd
for epoch in 1 2 3; do
	await hidden up "$epoch"
	kill -s KILL "$(stat_of hidden .pid)"
done
await hidden up 4
ctl stop hidden
await hidden stopped
check_epochs_in "$dir/hidden"
