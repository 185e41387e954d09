# Messages that are larger than every class: the supervisor makes one more buffer for this client, which both sides keep. It is
# filled and read in place; there is a limit for each client and user; those that are there serve while the supervisor is away.
. "${0%/*}/lib.sh"
. "${0%/*}/serve.sh"
use_faulty
large=$EPOCHD_BUILD/tests/lib/large
mib=$((1 << 20))
words='clients { large = "128M"  large-per-user = "130M" }  channel { ring = 16  buffers = { "4x256" } }'
serve large "\"$large\", \"serve\"" "$words"

# ask: a client; answer WORDS: what it says to them; ends: it does
ask()
{
	coproc "$large" ask large
	others+=("$COPROC_PID")
	asker=$COPROC_PID
	exec {to}>&"${COPROC[1]}" {from}<&"${COPROC[0]}"
	eval "exec ${COPROC[1]}>&- ${COPROC[0]}<&-"
}
answer()
{
	local said

	echo "$@" >&"$to"
	read -r -t 100 said <&"$from" || fail "no answer to $*"
	printf '%s\n' "$said"
}
ends()
{
	exec {to}>&- {from}<&-
	wait "$asker" || fail "the client: status $?"
}

ask
expect_match "$(answer send $((64 * mib)))" "^$((64 * mib)) whole grown [0-9]+\$"
# Nothing is copied: of 64 MiB that lie there, what the application has looked at, and no more, is in its memory.
grown=$(answer send $((64 * mib)))
[ "${grown##* }" -lt 4096 ] || fail "handling 64 MiB in place took ${grown##* } KiB of memory"
# A type that is to be copied first is: the measure above sees such things.
grown=$(answer copy $((64 * mib)))
[ "${grown##* }" -gt 65000 ] || fail "copying 64 MiB took ${grown##* } KiB of memory"
expect_eq "$(ctl rings large --json | jq -c '[.rings[] | select(.owner == "client").large][0]')" \
	'{"sizes":[67108864],"in_use":0,"fallbacks":3}' "what there is: one, used again;"
expect_match "$(ctl rings large)" 'client +large +67108864 +1 +0 +3'
expect_match "$(answer get $((5 * mib)))" "^$((5 * mib)) whole\$"
expect_match "$(answer borrow $((3 * mib)))" "^$((3 * mib)) whole"
expect_eq "$(answer send 300 | cut -d ' ' -f 1,2)" "300 whole" "one that is a little larger than the largest class;"

# The limit of the client, then that of its user; both are told, and what there is serves on.
expect_eq "$(answer try $((100 * mib)))" EAGAIN "what is asked for;"
until [ "$(answer try $((100 * mib)))" = EMSGSIZE ]; do :; done
expect_eq "$(answer try $((2 * 1024 * mib)))" EMSGSIZE "what nobody can have;"
one=$asker one_to=$to one_from=$from
ask
expect_eq "$(answer send $((60 * mib)))" EMSGSIZE "more than this user may have;"
expect_match "$(answer send $((30 * mib)))" "whole"
ends
asker=$one to=$one_to from=$one_from

# While the supervisor is away.
first=$(answer try $((50 * mib)))
kill_epochd
expect_eq "$(answer try $((50 * mib)))" "$first" "the same one is given again;"
expect_match "$(answer send $((64 * mib)))" "whole"
expect_match "$(answer get $((5 * mib)))" "whole"
expect_eq "$(answer get $((5 * mib)))" "$((5 * mib)) whole" "what the application has;"
expect_eq "$(answer try $((65 * mib)))" EAGAIN "a new one, while nobody can make it;"
start_epochd
await_log 'pid [0-9]+ is back, with 1 clients'
back()
{
	[ "$(ctl clients large --json | jq -r '.clients[0].state')" = connected ] || { answer try 100 >"$dir/out"; false; }
}
await_that "the client to be back" back
expect_match "$(answer send $((8 * mib)))" "whole"
expect_eq "$(ctl rings large --json | jq -c '[.rings[].large.sizes]')" '[[67108864],[8388608]]' \
	"what there is, as the next supervisor knows it;"

# What stood in one is counted with the epoch (I8).
kill -s STOP "$(stat_of large .pid)"
bytes=$(stat_of large .reclaimed.bytes)
echo send $((8 * mib)) >&"$to"
is_under_way()
{
	[ "$(ctl rings large --json | jq '.rings[] | select(.owner == "client") | .in_use')" = 1 ]
}
await_that "the message to be in the ring" is_under_way
kill -s KILL "$(stat_of large .pid)"
await large up 2
read -r -t 100 said <&"$from" || fail "no answer after the end of the epoch"
expect_eq "$said" ESTALE "what the client hears;"
expect_stat large .reclaimed.messages 1
expect_stat large .reclaimed.bytes $((bytes + 8 * mib))
whole_again()
{
	[[ $(answer send $((8 * mib))) = *whole* ]]
}
await_that "the client to be in the next epoch" whole_again
ends
stop_epochd

# ---- killed while it makes one: it is asked for again ----

for point in large_noted large_half_said; do
	EPOCHD_FAULT=$point:1 start_epochd
	await large up
	ask
	echo send $((2 * mib)) >&"$to"
	wait_epochd
	expect_eq "$status" 137 "status of the supervisor, which never passed $point;"
	start_epochd
	read -r -t 100 said <&"$from" || fail "no answer after a death at $point"
	expect_match "$said" "^$((2 * mib)) whole"
	ends
	stop_epochd
done
