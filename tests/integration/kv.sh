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

# is_amid_calls COUNT: each of so many clients has said one thing that the service has not read, and read all that it said.
is_amid_calls()
{
	ctl rings kv --json | jq -e "(.rings | length) == 2 * $1 and
		all(.rings[]; .in_use == (if .owner == \"client\" then 1 else 0 end))" >"$dir/amid"
}

# sent_by_all, sends_more COUNT: messages of all clients.
sent_by_all()
{
	ctl clients kv --json | jq '[.clients[].sent] | add'
}
sends_more()
{
	[ "$(sent_by_all)" -gt "$1" ]
}

# Somewhere in a turn it stands, with a message in hand perhaps: then it goes on, and is stopped anew.
stopped_amid_calls()
{
	local before

	before=$(sent_by_all)
	kill -s CONT "$1"
	await_that "calls to go on" sends_more "$before"
	kill -s STOP "$1"
	for _ in {1..20}; do
		if is_amid_calls "$2"; then
			return 0
		fi
	done
	return 1
}

# stop_amid_calls PID COUNT: the service stands still, and has not heard the last message of each client.
stop_amid_calls()
{
	await_that "each client to wait for a reply" stopped_amid_calls "$1" "$2"
}
