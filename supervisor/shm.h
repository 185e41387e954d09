/* Files of programs that are not ours in /dev/shm: an application's `shm` patterns name those that a run of it leaves
 * behind. One that nobody holds open or maps is removed; whether anybody does, the kernel tells. */
#ifndef EPOCHD_SHM_H
#define EPOCHD_SHM_H

#include <stdint.h>
#include <sys/types.h>

/* NULL, or what was expected instead of that pattern; static. */
const char *shm_pattern_is_wrong(const char *pattern);

enum shm_outcome {
	SHM_REMOVED,
	SHM_HELD,       /* open or mapped by somebody: left */
	SHM_NOT_A_FILE, /* a directory, a symbolic link, a FIFO...: left */
	SHM_OTHERS,     /* of another user: left */
	SHM_FAILED,     /* could not be looked at or removed: left */
};

struct shm_found {
	const char *name;          /* in /dev/shm */
	enum shm_outcome outcome;
	uint64_t bytes;            /* as the file was long */
	uint64_t blocks;           /* bytes that it really took */
	pid_t holder;              /* of one that is held, where /proc tells; 0 */
	int error;                 /* of SHM_FAILED: negative errno */
};
typedef void shm_found_fn(const struct shm_found *found, void *user);

/* Each file in the directory (/dev/shm, but for tests) that a pattern of the list matches, and that `owner` owns, is
 * removed unless somebody holds it; `fn` is told of each that matches. What came to be since the look began may be missed.
 * How many there were, or a negative errno: the directory cannot be read. Blocks as tmpfs does. */
int shm_clean(const char *directory, char *const *patterns, uid_t owner, shm_found_fn *fn, void *user);
#endif
