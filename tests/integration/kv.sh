# What the tests of kv-server and its clients share. Source it after lib.sh. It sets server, client.
export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
# shellcheck disable=SC2034  # for the tests
server=$EPOCHD_BUILD/contrib/examples/kv-server client=$EPOCHD_BUILD/contrib/examples/kv-client
declare -A process   # of each client, by its name

# has_line NAME PATTERN: that client has said so.
has_line()
{
	grep -qE -e "$2" "$dir/$1"
}

# handle_of NAME: the one it has now.
handle_of()
{
	grep -oE '^epoch [0-9]+: handle 0x[0-9a-f]{16}' "$dir/$1" | tail -n 1 | grep -oE '0x.*'
}

# answers_more NAME COUNT
answers_more()
{
	[ "$(grep -c 'so far' "$dir/$1" || :)" -gt "$2" ]
}

# calls NAME: that it has made so far.
calls()
{
	local before

	before=$(grep -c 'so far' "$dir/$1" || :)
	kill -s USR1 "${process[$1]}"
	await_that "an answer of $1" answers_more "$1" "$before"
	grep 'so far' "$dir/$1" | tail -n 1 | cut -d ' ' -f 1
}

# calls_go_on NAME COUNT: it has made more.
calls_go_on()
{
	[ "$(calls "$1")" -gt "$2" ]
}
