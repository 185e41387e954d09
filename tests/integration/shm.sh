# Stale files in /dev/shm that an application's `shm` patterns name are removed before it is started and when it has ended
# for good, counted, and listed with the incarnation. What somebody holds open or maps, what is another user's, what is no
# file, and what no pattern names stays.
. "${0%/*}/lib.sh"
[ -w /dev/shm ] || skip "needs /dev/shm"
name=epochd-$(id -u)-$instance-other   # lib.sh removes what begins so
plant()
{
	local file

	for file; do
		printf '%4096s' '' >"/dev/shm/$name-$file"
	done
}
is_there()
{
	[ -e "/dev/shm/$name-$1" ] || [ -L "/dev/shm/$name-$1" ]
}
plant stale-1 stale-2 other held mapped
mkdir "/dev/shm/$name-stale-directory"
ln -s /etc/passwd "/dev/shm/$name-stale-link"
background bash -c "exec sleep 1000 <'/dev/shm/$name-held'"
holder=$!
has_it_open()
{
	[ "$(readlink "/proc/$holder/fd/0")" = "/dev/shm/$name-held" ]
}
await_that "the file to be held open" has_it_open
background "$EPOCHD_BUILD/tests/lib/mapper" "/dev/shm/$name-mapped" >"$dir/holder"
mapper=$!
await_that "the file to be mapped" grep -q mapped "$dir/holder"
write_config <<END
application "kv" {
	command = { "/bin/sh", "-c", "printf x >/dev/shm/$name-made; exec sleep 1000" }
	shm = { "/$name-stale-*", "/$name-held", "/$name-mapped", "/$name-made" }
	restart = on-failure  backoff { initial = 0s }
}
END
start_epochd
await kv up 1
for file in stale-1 stale-2; do
	! is_there "$file" || fail "$file is still there"
done
for file in other held mapped stale-directory stale-link; do
	is_there "$file" || fail "$file is gone"
done
expect_stat kv .shm_cleaned.files 2
expect_stat kv .shm_cleaned.bytes 8192
listed()
{
	[ "$(api /v1/apps/kv/incarnations | jq -c ".incarnations[] | select(.epoch == $1) | .shm_cleaned |
		[.files, .bytes, (.names | sort)]")" = "$2" ]
}
await_that "the row of epoch 1" listed 1 "[2,8192,[\"/$name-stale-1\",\"/$name-stale-2\"]]"
await_log "/dev/shm/$name-held: held by pid $holder: left"
await_log "/dev/shm/$name-mapped: held by pid $mapper: left"
await_log "/dev/shm/$name-stale-link: no regular file: left"
await_log "/dev/shm/$name-stale-directory: no regular file: left"
await_that "what it makes" is_there made

# It crashes: what it left is gone before the next begins; as is what nobody holds any more.
kill -s KILL "$mapper" "$holder"
await_that "the end of the one who mapped it" gone "$mapper"
await_that "the end of the one who held it" gone "$holder"
kill -s KILL "$(stat_of kv .pid)"
await kv up 2
expect_stat kv .shm_cleaned.files 5
await_that "the row of epoch 2" listed 2 "[3,8193,[\"/$name-held\",\"/$name-made\",\"/$name-mapped\"]]"

# It ends for good.
await_that "what it makes" is_there made
plant stale-3
ctl stop --wait kv >"$dir/out"
! is_there made || fail "what it made outlived it"
! is_there stale-3 || fail "what was planted meanwhile outlived it"
expect_stat kv .shm_cleaned.files 7
is_there other || fail "what no pattern names is gone"
stop_epochd

# For the entry point of a container.
plant run-1
"$epochd" run --name "$instance" --shm "/$name-run-*" --runtime-dir "$runtime" --state-dir "$state" -- \
	/bin/sh -c "[ ! -e /dev/shm/$name-run-1 ] && printf x >/dev/shm/$name-run-2"
! is_there run-2 || fail "what it left is there"
status=0
"$epochd" run --shm "run-*" -- /bin/true 2>"$dir/err" || status=$?
expect_eq "$status" 2 "status of a bad pattern"
expect_match "$(cat "$dir/err")" "--shm: expected a name in /dev/shm"
