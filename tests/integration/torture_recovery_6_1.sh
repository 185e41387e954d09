# torture_recovery.sh on a kernel that answers as 6.1: no inode of a pidfd, no pidfd of a peer, no exit status of an adopted
# process.
export EPOCHD_KERNEL=6.1
. "${0%/*}/torture_recovery.sh"
