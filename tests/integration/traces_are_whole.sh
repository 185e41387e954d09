# What was traced of an application that was killed at every step is whole, each file that was saved. Source it at the end of a
# torture.
files=("$state/$instance"/traces/*.trace)
[ -f "${files[0]}" ] || fail "no trace was saved"
shown=0
for file in "${files[@]}"; do
	"$epochctl" trace show "$file" >"$dir/shown" || fail "$file: status $?, after $(wc -l <"$dir/shown") lines"
	shown=$((shown + $(wc -l <"$dir/shown") - 1))
done
[ "$shown" -gt 0 ] || fail "${#files[@]} traces, and no message in them"
echo "${#files[@]} traces, $shown messages: whole"
