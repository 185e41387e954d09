# disk_full.sh on a disk that cannot be written at all (EROFS).
export DISK_ERRNO=30 DISK_TEXT="Read-only file system"
. "${0%/*}/disk_full.sh"
