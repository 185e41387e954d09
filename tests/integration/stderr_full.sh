# I9: a stderr that nobody reads stops no restart and no end; what was logged meanwhile is there once it is
# read again.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
write_config <<END
application "a" {
	command = { "$crasher", "$dir/a", "0", "exit:3" }
	$at_once
}
END
stuff()
{
	yes "not of epochd" | dd of="$dir/stderr" bs=4096 iflag=fullblock oflag=nonblock 2>"$dir/dd" || :
	grep -q "Resource temporarily unavailable" "$dir/dd" || fail "the pipe is not full"
}
mkfifo "$dir/stderr"
exec 9<>"$dir/stderr"
stuff
"$epochd" -c "$config" --instance "$instance" --runtime-dir "$runtime" --state-dir "$state" \
	</dev/null >>"$log" 2>"$dir/stderr" 9<&- &
pid=$!
await_that "100 starts" has_starts "$dir/a" 100
answers

background cat "$dir/stderr" >>"$log"
await_log "app a epoch 100: "
{ kill "$!"; wait "$!"; } 2>/dev/null || :
stuff
stop_epochd
