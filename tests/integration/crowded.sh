# Too many clients for the machine. Where no descriptor is left for them they wait, those who are there go on, and an application
# that crashes is restarted all the same; where the segment directory is full, who joins is told so, and nobody else is touched.
. "${0%/*}/lib.sh"
need prlimit
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
client=$EPOCHD_BUILD/contrib/examples/kv-client
write_config <<END
application "kv" {
	command = { "$EPOCHD_BUILD/contrib/examples/kv-server" }
	readiness = attach  restart = always  backoff { initial = 0s }  intensity { within = 0s }
	clients { max-per-user = 4096 }
}
END
start_epochd
await kv up 1
background "$client" kv >"$dir/first" 2>&1
first=$!
await_that "a handle" grep -q '^epoch 1: handle' "$dir/first"

# 64 are kept back, and beside these there is room for some.
all=(/proc/"$pid"/fd/*)
hard=$(prlimit --pid "$pid" --nofile --output HARD --noheadings | tr -d ' ')
prlimit --pid "$pid" --nofile=$((${#all[@]} + 64 + 4)):"$hard"
crowd=()
for ((i = 0; i < 20; i++)); do
	background "$client" kv 2 >"$dir/crowd.$i" 2>&1
	crowd+=("$!")
done
kill -s STOP "${crowd[@]}" 2>/dev/null || :
kill -s KILL "$(stat_of kv .pid)"
await kv up 2
await_that "the first in epoch 2" grep -q '^epoch 2: handle' "$dir/first"
kill -s CONT "${crowd[@]}" 2>/dev/null || :
for process in "${crowd[@]}"; do
	wait "$process" || fail "one of the crowd failed: $(cat "$dir"/crowd.*)"
done
prlimit --pid "$pid" --nofile="$hard":"$hard"
await_that "the crowd to be gone" stat_is kv .clients.connected 1
kill -s TERM "$first"
wait "$first" || fail "the first one: $(cat "$dir/first")"
stop_epochd

# A segment directory that is full, in a mount namespace of its own, where the client is as well.
user=-m
[ "$(id -u)" = 0 ] || user=-Urm
# shellcheck disable=SC2016  # expanded in there
inside='
	mount -t tmpfs -o mode=700,size=64k none "$1" || exit 77
	"$2" -c "$3" --instance "$4" --runtime-dir "$5" --state-dir "$6" &
	pid=$!
	until "$7" kv 2; do
		kill -0 "$pid" || exit 76
	done
	# The slots that are allocated serve the next ones, too; so of another application, whose first one needs some.
	while printf "%4096s" "" >>"$1/filler" 2>/dev/null; do
		:
	done
	"$7" more 2 && exit 75
	rm "$1/filler"
	"$7" more 2 || exit 74
	"$7" kv 2 || exit 73
	kill "$pid"
	wait "$pid"'
cat >>"$config" <<END
application "more" {
	command = { "$EPOCHD_BUILD/contrib/examples/kv-server" }
	readiness = attach  restart = always
}
END
status=0
unshare "$user" --propagation private bash -c "$inside" full "$segments" "$epochd" "$config" "$instance" "$runtime" \
	"$state" "$client" >"$dir/said" 2>&1 || status=$?
if [ "$status" = 77 ] || grep -q '^unshare:' "$dir/said"; then
	say "not looked at: a full segment directory, for want of a mount namespace"
else
	expect_eq "$status" 0 "status in there: $(cat "$dir/said")"
	expect_match "$(cat "$dir/said")" "more: no room for another client: No space left on device"
fi
