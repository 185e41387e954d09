# A crash takes along whom the strategy of its group says: all of them, or those after it; and `after`
# is an order of start.
. "${0%/*}/lib.sh"
. "${0%/*}/written.sh"
notifier=$EPOCHD_BUILD/tests/lib/notifier
member()   # NAME GROUP
{
	printf 'application "%s" { command = { "%s", "%s", "never", "any" }  group-of = "%s"  %s }\n' \
		"$1" "$crasher" "$dir/$1" "$2" "$at_once"
}
write_config <<END
group "all" { strategy = one-for-all }
group "rest" { strategy = rest-for-one }
group "one" { strategy = one-for-one }
$(for i in 1 2 3; do member "all$i" all; member "rest$i" rest; member "one$i" one; done)
application "second" { command = { "$notifier", "append", "$dir/order", "second" }  after = { "first" } }
application "first" {
	command = { "$notifier", "append", "$dir/order", "first", "await", "$dir/go", "append",
		"$dir/order", "ready", "send", "READY=1" }
	readiness = notify
}
END
start_epochd
for group in all rest one; do
	for i in 1 2 3; do
		await "$group$i" up 1
		await_starts "$dir/$group$i" 1
	done
done
await first starting 1
expect_stat second .pid null
: >"$dir/go"
await first up 1
await second up 1
order_is()
{
	[ "$(cut -d' ' -f2 "$dir/order" | paste -sd' ')" = "first ready second" ]
}
await_that "the order of start" order_is

for group in all rest one; do
	kill -s KILL "$(stat_of "${group}2" .pid)"
done
# GROUP "EPOCHS OF ITS MEMBERS"
epochs_of()
{
	local epochs

	epochs=$(api /v1/stats | jq -r --arg group "$1" \
		'[.apps[] | select(.name | startswith($group)) | select(.state == "up") | .epoch] | join(" ")')
	[ "$epochs" = "$2" ]
}
await_that "all of one-for-all" epochs_of all "2 2 2"
await_that "the rest of rest-for-one" epochs_of rest "1 2 2"
await_that "the one of one-for-one" epochs_of one "1 2 1"
for app in all1 all3 rest3; do
	expect_stat "$app" .restarts.group 1
	expect_stat "$app" .restarts.total 1
	expect_stat "$app" .last_exit.cause group
done
for app in all2 rest2 one2; do
	expect_stat "$app" .restarts.crashed 1
	expect_stat "$app" .restarts.total 1
done
expect_stat rest1 .restarts.total 0
for app in all1 all2 all3 rest1 rest2 rest3 one1 one2 one3; do
	check_counts "$app" "$dir/$app"
done
