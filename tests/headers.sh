# Each header compiles alone: it includes or declares what it needs.
set -eu -o pipefail
cd "$EPOCHD_SOURCE"
out=$(mktemp -d "${TMPDIR:-/tmp}/epd.XXXXXX")
trap 'rm -rf "$out"' EXIT
status=0
count=0
while IFS= read -r header; do
	count=$((count + 1))
	# config.h is first in every file that includes it. A second time: its guard holds.
	printf '#include <config.h>\n#include "%s"\n#include "%s"\n' "$header" "$header" >"$out/alone.c"
	# shellcheck disable=SC2086  # the flags are words
	${CC:-cc} $HEADER_CFLAGS -I"$EPOCHD_BUILD" -I. -Werror -fsyntax-only "$out/alone.c" || {
		echo "FAILED: $header does not compile alone"
		status=1
	}
done < <(find apilib store supervisor tests -name '*.h' | sort)
echo "$count headers"
[ "$count" -gt 0 ] || status=1
exit "$status"
