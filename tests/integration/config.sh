# The configuration in force, each value with where it came from: file and line, command line, environment, or the default; and
# owner, group and mode of sockets and segments are what it says.
. "${0%/*}/lib.sh"
cat >"$config" <<END
segment-directory = "$segments"
api { mode = 0660 }
segments { mode = 0644 }
application "kv" {
	command = { "sleep", "3600" }
	clients { max = 7
		large = 1M }
}
END
group=$(id -gn)
sed -i "s/api { mode/api { group = $group mode/" "$config"
start_epochd
await kv up 1

# from KEY [APP]: its value and origin
from()
{
	api "/v1/${2:+apps/$2/}config" | jq -c --arg key "$1" '.values[] | select(.key == $key) | [.value, .from]'
}
expect_eq "$(from api.mode)" "[\"0660\",\"$config:2\"]" "mode of api.sock;"
expect_eq "$(from api.group)" "[\"$group\",\"$config:2\"]" "its group;"
expect_eq "$(from api.owner)" "[\"$(id -un)\",\"the user that epochd runs as\"]" "its owner;"
expect_eq "$(from segments.mode)" "[\"0644\",\"$config:3\"]" "mode of the segments;"
expect_eq "$(from instance)" "[\"$instance\",\"command line\"]" "the instance;"
expect_eq "$(from runtime-directory)" "[\"$runtime/$instance\",\"command line\"]" "the runtime directory;"
expect_eq "$(from events.keep)" '[100000,"default"]' "what nobody said;"
expect_eq "$(from clients.large kv)" "[\"1M\",\"$config:7\"]" "a limit of the application;"
expect_eq "$(from clients.max kv)" "[7,\"$config:6\"]" "another;"
expect_eq "$(from channel.ring kv)" '[128,"default"]' "its geometry;"
expect_eq "$(from command kv)" "[[\"sleep\",\"3600\"],\"$config:5\"]" "its command;"
expect_match "$(ctl config kv)" "clients.large +1M +$config:7"
expect_match "$(ctl config)" 'instance +[^ ]+ +command line'
expect_eq "$(stat -c '%a %G' "$runtime/$instance/api.sock")" "660 $group" "api.sock;"
expect_eq "$(stat -c %a "$segments/epochd-$(id -u)-$instance/kv")" 644 "the registry;"

# A reload that changes a value changes where it came from.
sed -i 's/max = 7/max = 8/; s/^segment-directory/\n&/' "$config"
ctl reload --wait >"$dir/out"
expect_eq "$(from clients.max kv)" "[8,\"$config:7\"]" "after a reload;"
echo 'segments { mode = 0666 }' >"$dir/bad.conf"
"$epochd" check "$dir/bad.conf" >"$dir/err" 2>&1 && fail "segments that others may write to"
expect_match "$(cat "$dir/err")" 'segments mode: expected 0600, 0640 or 0644'
