# A daemon names its second process with MAINPID= and its first one ends right after that, which is no end
# of the incarnation; how the second one ends is known, since it is our child by then.
. "${0%/*}/lib.sh"
cat >"$dir/daemon" <<'END'
import os, signal, socket, sys
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
ready, go = os.pipe()
child = os.fork()
if child == 0:
    os.setsid()
    os.close(go)
    os.read(ready, 1)              # until the first one is gone
    if os.path.exists(sys.argv[1]):
        os._exit(7)
    signal.pause()
say("MAINPID=%d\nREADY=1" % child)
os._exit(0)
END
write_config <<END
application "d" { command = { "/usr/bin/python3", "$dir/daemon", "$dir/end" }  readiness = notify
	restart = on-failure  backoff { initial = 0 } }
END
[ -x /usr/bin/python3 ] || skip "needs /usr/bin/python3"
export EPOCHD_KERNEL=6.1
use_faulty
start_epochd
for epoch in 1 2 3; do
	await d up "$epoch"
	expect_stat d .restarts.total $((epoch - 1))
	expect_stat d .restarts.crashed $((epoch - 1))
	kill -s KILL "$(stat_of d .pid)"
done
await d up 4
expect_stat d .last_exit.signal SIGKILL
children_of()
{
	ps -o stat=,args= --ppid "$1"
}
no_zombie()
{
	! children_of "$pid" | grep -q '^Z'
}
await_that "no zombie" no_zombie
