# An application of the tests' own, and nothing else, is up. Source it after lib.sh.
# serve NAME COMMAND WORDS: words of its section besides; a string for libconfuse each.
serve()
{
	export EPOCHD_RUNTIME_DIR=$runtime EPOCHD_INSTANCE=$instance
	configure_served "$@"
	start_epochd
	await "$1" up 1
}
# configure_served NAME COMMAND WORDS: its configuration, which a running supervisor may be told to read.
configure_served()
{
	write_config <<END
application "$1" {
	command = { $2 }
	readiness = attach
	$3
}
END
}
