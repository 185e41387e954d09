# What runs in a child that shares our memory calls no function of anybody else: the object of
# spawn_child.c has no undefined symbol, whatever the compiler's flags.
set -u
case $(uname -m) in
x86_64|aarch64) ;;
*) exit 77 ;;   # there it is a fork, and libc may be called
esac
found=0
for object in "$EPOCHD_BUILD"/supervisor/libchild_la-spawn_child.o \
	      "$EPOCHD_BUILD"/supervisor/.libs/libchild_la-spawn_child.o; do
	[ -f "$object" ] || continue
	found=1
	# The linker's own table is a place, not a function.
	undefined=$(nm -u "$object" | grep -v ' _GLOBAL_OFFSET_TABLE_$')
	if [ -n "$undefined" ]; then
		echo "$object needs: $undefined" >&2
		exit 1
	fi
done
[ "$found" = 1 ] || { echo "no object of spawn_child.c in $EPOCHD_BUILD" >&2; exit 1; }
