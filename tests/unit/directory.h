/* A private directory for a unit test, which goes with it. */
#ifndef EPOCHD_TESTS_DIRECTORY_H
#define EPOCHD_TESTS_DIRECTORY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

#include <check.h>

static inline void directory_new(char path[static 64])
{
	snprintf(path, 64, "/tmp/epochd-check-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
}

static inline int directory_remove_one(const char *path, const struct stat *st, int kind,
				       struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static inline void directory_remove(const char *path)
{
	ck_assert_int_eq(nftw(path, directory_remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), 0);
}

/* A tmpfs of so many bytes over it, which this process alone sees and which goes with it. False: we may
 * not. */
static inline bool directory_make_tiny(const char *path, unsigned size)
{
	char options[32];

	snprintf(options, sizeof options, "size=%u", size);
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", path, "tmpfs", 0, options) == 0;
}
#endif
