# The systemd unit names the settings that the design needs, and `systemd-analyze verify` is content.
set -eu
unit=$EPOCHD_BUILD/contrib/epochd.service
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for setting in Type=notify NotifyAccess=main KillMode=process Delegate=yes OOMPolicy=continue \
	Restart=always WatchdogSec=30s RuntimeDirectory=epochd RuntimeDirectoryPreserve=yes \
	StateDirectory=epochd; do
	grep -qx "$setting" "$unit" || { echo "missing in $unit: $setting"; exit 1; }
done
if grep -n '@' "$unit"; then
	echo "not filled in: $unit"
	exit 1
fi
command -v systemd-analyze > /dev/null || { echo 'no systemd-analyze here'; exit 77; }

# The programs are not installed where the unit says: it is looked at with others in their place, and
# with manual pages that nobody has to have.
sed -e 's|^\(Exec[A-Za-z]*=\)[^ ]*|\1/bin/true|' -e '/^Documentation=/d' "$unit" > "$work/epochd.service"
# Only what is said about ours: the machine's own units are not our matter.
said=$(SYSTEMD_LOG_COLOR=0 systemd-analyze verify --recursive-errors=no "$work/epochd.service" 2>&1) || {
	echo "$said"
	exit 1
}
if printf '%s\n' "$said" | grep -F epochd; then
	exit 1
fi
