# epochd-memory-api(7): each command of its table works as it stands there, and each row has a test of its name.
. "${0%/*}/lib.sh"
need jq
page=$EPOCHD_SOURCE/contrib/man/epochd-memory-api.7
mkdir "$dir/bin" "$dir/here"
ln -s "$EPOCHD_BUILD/epochctl" "$EPOCHD_BUILD/epochd" "$dir/bin/"
ln -s "$EPOCHD_BUILD/contrib/examples/kv-server" "$EPOCHD_BUILD/contrib/examples/self" "$dir/here/"
export PATH=$dir/bin:$PATH EPOCHD_RUNTIME_DIR=$runtime EPOCHD_STATE_DIR=$state
cd "$dir/here" || exit
write_config <<END
application "kv" { command = { "$dir/here/kv-server" }  readiness = attach }
END
start_epochd
await kv up 1

rows=0
while IFS= read -r line; do
	case $line in
	".It Sy "*)
		row=${line#.It Sy }
		tests=${row#* Pq Pa }
		row=${row%% *}
		[[ " ${tests//,/} " = *" $row.sh "* ]] || fail "the row $row has no test of its name: $tests"
		for test in ${tests//,/}; do
			grep -qE "tests/integration/$test( |\$)" "$EPOCHD_SOURCE/tests/local.mk" || fail "$test is not run"
		done
		;;
	".Dl "*)
		command=${line#.Dl }
		(eval "$command") >"$dir/out" 2>"$dir/err" || fail "$command: status $?: $(cat "$dir/out" "$dir/err")"
		[ -s "$dir/out" ] || fail "$command says nothing"
		[[ $command != *./self* ]] || expect_match "$(cat "$dir/out")" "^$row: "
		rows=$((rows + 1))
		;;
	esac
done <"$page"
expect_eq "$rows" 13 "rows of the table;"
