# torture_supervisor.sh on a kernel that answers as 6.1: no inode of a pidfd, no exit status of an adopted
# process.
export EPOCHD_KERNEL=6.1 EPOCHD=$EPOCHD_BUILD/tests/epochd-faulty
. "${0%/*}/torture_supervisor.sh"
