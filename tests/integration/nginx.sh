# Debian's nginx, five kills: its workers, which outlive a killed master, are gone before the next one
# binds the port (I7).
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
need nginx
kills=5

port_is_free()
{
	port=$((20000 + RANDOM % 12000))
	! (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}
serves()
{
	[ "$(curl -s "http://127.0.0.1:$port/")" = "nginx serves" ]
}
await_that "a free port" port_is_free
mkdir "$dir/nginx"
cat >"$dir/nginx.conf" <<END
daemon off;
worker_processes 2;
pid $dir/nginx/pid;
error_log $dir/nginx/error.log;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path $dir/nginx/body;
	proxy_temp_path $dir/nginx/proxy;
	fastcgi_temp_path $dir/nginx/fastcgi;
	uwsgi_temp_path $dir/nginx/uwsgi;
	scgi_temp_path $dir/nginx/scgi;
	server { listen 127.0.0.1:$port; location / { return 200 "nginx serves"; } }
}
END
if [ "$(id -u)" = 0 ]; then
	sed -i '1i user root;' "$dir/nginx.conf"
fi
write_config <<END
application "nginx" {
	command = { "$(command -v nginx)", "-c", "$dir/nginx.conf", "-e", "$dir/nginx/error.log" }
	restart = always
	$at_once
}
END
start_epochd
for ((epoch = 1; epoch <= kills; epoch++)); do
	await nginx up "$epoch"
	await_that "an answer of nginx" serves
	kill -s KILL "$(stat_of nginx .pid)"
done
await nginx up $((kills + 1))
await_that "an answer of nginx" serves
expect_stat nginx .restarts.total "$kills"
expect_stat nginx .restarts.crashed "$kills"
! grep -q 'Address already in use' "$dir/nginx/error.log" || fail "two of nginx at the same time"
