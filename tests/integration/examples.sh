# The examples do what they say, also the client in Python; and the library is what its header says: each function is
# exported and has a page, nothing else is exported, and it needs nothing but libc.
. "${0%/*}/lib.sh"
need jq nm readelf
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
examples=$EPOCHD_BUILD/contrib/examples
library=$EPOCHD_BUILD/.libs/libepochd.so
write_config <<END
application "kv" {
	command = { "$examples/kv-server" }
	readiness = attach  restart = always
	backoff { initial = 0s }  intensity { within = 0s }
}
application "blob" {
	command = { "$examples/blob-server" }
	readiness = attach
	output { file = "$dir/blob.log" }
}
END
start_epochd
await kv up 1
await blob up 1

expect_eq "$("$examples/kv-loop" kv)" "100 of 100 answers were right" "kv-loop"
expect_eq "$("$examples/blob-client" blob | sort | tr '\n' ';')" "the sum: 48000;unasked: 0;" "blob-client"
blob_says()
{
	grep -qE "$1" "$dir/blob.log"
}
await_that "blob-server to know who came" blob_says '^blob-client has joined, pid [0-9]+$'
await_that "blob-server to know who went" blob_says '^blob-client is gone; 0 are there$'
ctl stop blob --wait
await_that "blob-server to report" blob_says '^stopped after 1 messages$'

background "$examples/kv-client" kv >"$dir/client"
client=$!
await_that "a handle" grep -q '^epoch 1: handle' "$dir/client"
handle=$(grep -oE '0x[0-9a-f]{16}' "$dir/client")
expect_eq "$("$examples/kv-inspect" kv "$handle")" "kv is in epoch 1
$handle, of epoch 1: good" "kv-inspect of a good handle"
kill -s KILL "$(stat_of kv .pid)"
await kv up 2
! "$examples/kv-inspect" kv "$handle" >"$dir/inspect" || fail "a handle of an earlier epoch is good"
expect_eq "$(tail -n 1 "$dir/inspect")" "$handle, of epoch 1: stale_epoch" "kv-inspect of a stale handle"
kill -s TERM "$client"

# What the header promises.
declared=$(tr '\n' ' ' <"$EPOCHD_SOURCE/apilib/epochd.h" | grep -oE 'EPOCHD_API [^;]*\(' |
	grep -oE '\bepochd_[a-z_]+\(' | tr -d '(' | sort -u)
[ "$(wc -w <<<"$declared")" -gt 30 ] || fail "functions found in epochd.h: $declared"
expect_eq "$(nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort)" \
	"$declared" "what is exported"
for function in $declared; do
	grep -qE "^\.Nm $function\b" "$EPOCHD_SOURCE"/contrib/man/epochd_*.3 || fail "no page tells of $function()"
done
if [ -z "${SANITIZED:-}" ]; then
	expect_eq "$(readelf -d "$library" | sed -nE 's/.*NEEDED.*\[(.*)\]/\1/p' | tr '\n' ' ')" "libc.so.6 " \
		"what libepochd needs"
fi

# Any C since C99, and any C++ since C++11, may include it; no layout and no atomic is in it.
printf '#include "kv.h"\nint main(void) { return (int)kv_count - 3 + (int)sizeof(struct kv_put) - 16; }\n' >"$dir/includes.c"
cp "$dir/includes.c" "$dir/includes.cc"
for how in "${CC:-cc} -std=c99 includes.c" "${CXX:-c++} -std=c++11 includes.cc"; do
	command -v "${how%% *}" >/dev/null || continue
	# shellcheck disable=SC2086  # words
	(cd "$dir" && $how -o includes -pedantic-errors -Wall -Wextra -Werror -I"$EPOCHD_SOURCE/apilib" \
		-I"$EPOCHD_SOURCE/contrib/examples" && ./includes) || fail "$how"
done
! grep -nE '_Atomic|stdatomic|ep_[a-z]' "$EPOCHD_SOURCE/apilib/epochd.h" || fail "epochd.h shows what is inside"

# By ctypes: two keys, and an epoch that ends between them.
[ "$(wc -l <"$EPOCHD_SOURCE/contrib/examples/client.py")" -le 40 ] || fail "client.py has grown"
if [ -n "${SANITIZED:-}" ] || ! command -v python3 >/dev/null; then
	say "without client.py: python3 is missing, or would be without a sanitizer that the library has"
	exit 0
fi
mkfifo "$dir/keys"
# A shell opens the keys: what bash puts into the background reads /dev/null.
LIBEPOCHD=$library background bash -c 'exec python3 "$0/contrib/examples/client.py" kv <>"$1/keys"' \
	"$EPOCHD_SOURCE" "$dir" >"$dir/python" 2>&1
client=$!
echo 7 >"$dir/keys"
await_that "client.py's answer" grep -qx 'key 7: value 8, epoch 2' "$dir/python"
kill -s KILL "$(stat_of kv .pid)"
await kv up 3
echo 9 >"$dir/keys"
await_that "client.py's answer in the next epoch" grep -qx 'key 9: value 10, epoch 3' "$dir/python"
expect_eq "$(grep -c 'the epoch has ended' "$dir/python")" 1 "epochs that ended for client.py"
kill -s TERM "$client"
