# What an application runs as is what the configuration says: user, groups, umask, limits, directory,
# environment; clean signals, no descriptors but its own.
# needs root
. "${0%/*}/lib.sh"
need_root
chmod 711 "$dir"
mkdir "$dir/home"
chown nobody "$dir/home"
cat >"$dir/report" <<'END'
exec >report.new
echo "uid $(id -u) gid $(id -g) groups $(id -G)"
echo "umask $(umask) nofile $(ulimit -n) core $(ulimit -c)"
grep -E '^(NoNewPrivs|SigBlk|SigIgn):' /proc/self/status | tr '\t' ' '
echo "directory $(pwd) KV_MODE=$KV_MODE HIDDEN=${HIDDEN:-none} HOME=$HOME"
fds=   # without a pipe, of which the shell would have both ends for a moment
for fd in /proc/$$/fd/*; do fds="$fds${fd##*/} "; done
echo "fds ${fds}group"
echo "group $(ps -o pgid= -p $$ | tr -d ' ') of $$"
mv report.new report.txt
exec sleep 3600
END
write_config <<END
application "a" {
	command = { "/bin/sh", "$dir/report" }
	directory = "$dir/home"
	user = "nobody"  group = "daemon"  groups = { "adm", "tty" }  umask = 027
	environment = { "KV_MODE=fast" }  clear-environment = true
	no-new-privileges = true
	limits { nofile = 321  core = 0 }
}
END
export HIDDEN=yes
start_epochd
await a up 1
reported()
{
	[ -e "$dir/home/report.txt" ]
}
await_that "the report" reported
report=$(cat "$dir/home/report.txt")
gid=$(getent group daemon | cut -d: -f3)
expect_match "$report" "uid $(id -u nobody) gid $gid groups [0-9 ]*"
groups=$(sed -n 's/.* groups //p' <<<"$report")
expect_eq "$(tr ' ' '\n' <<<"$groups" | sort -n | paste -sd' ')" \
	"$(printf '%s\n' "$gid" "$(getent group adm | cut -d: -f3)" "$(getent group tty | cut -d: -f3)" |
		sort -n | paste -sd' ')" groups
expect_match "$report" "umask 0?027 nofile 321 core 0"
expect_match "$report" "NoNewPrivs: 1"
expect_match "$report" "SigBlk: 0{16}"
# Not even 32 and 33, libc's own, which who was started by posix_spawn, as make does it, ignores.
expect_match "$report" "SigIgn: 0{16}"
expect_match "$report" "directory $dir/home KV_MODE=fast HIDDEN=none"
# 3, the directory that it reads, and 10 are the shell's own.
expect_match "$report" "fds 0 1 (10 )?2 (3 )?group"
process=$(stat_of a .pid)
expect_match "$report" "group $process of $process"
