# Debian's redis-server, told to expect systemd and killed 50 times: 50 restarts, 51 epochs, exact in the
# store, and never a second one that tries to listen (it would fail to bind, and be counted as exited).
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
need redis-server redis-cli
kills=50

port_is_free()
{
	port=$((20000 + RANDOM % 12000))
	! (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}
await_that "a free port" port_is_free
write_config <<END
application "redis" {
	command = { "$(command -v redis-server)", "--supervised", "systemd", "--daemonize", "no",
		"--bind", "127.0.0.1", "--port", "$port", "--save", "", "--dir", "$dir",
		"--logfile", "$dir/redis.log" }
	readiness = notify  restart = always
	$at_once
}
END
start_epochd
for ((epoch = 1; epoch <= kills; epoch++)); do
	await redis up "$epoch"
	redis=$(stat_of redis .pid)
	expect_match "$(redis-cli -p "$port" info server)" "process_id:${redis}[^0-9]" "who listens"
	kill -s KILL "$redis"
done
await redis up $((kills + 1))
expect_match "$(redis-cli -p "$port" ping)" PONG
expect_stat redis .restarts.total "$kills"
expect_stat redis .restarts.crashed "$kills"
expect_stat redis .last_exit.signal SIGKILL
! grep -q 'Could not create server' "$dir/redis.log" || fail "a second redis tried to listen"
stop_epochd
expect_eq "$(stored redis .restarts.crashed)" "$kills" "restarts in the store"
epochs=$("$epochctl" --db "$state/$instance/epochd.db" incarnations redis --limit 1000 --json |
	jq -c '[.incarnations[].epoch] | sort')
expect_eq "$epochs" "$(seq $((kills + 1)) | jq -cs .)" "epochs in the store"
