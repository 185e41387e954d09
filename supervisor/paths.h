/* Where things are, by the same rules for epochd and epochctl: the runtime directory and the state
 * directory, in each of which an instance has a folder of its name, and the default configuration.
 *
 * Nothing here touches the disk, but for paths_check_private(). An environment variable that is empty
 * counts as unset, and so does an XDG one that is not absolute (as their specification wants it).
 * Every path that is returned is absolute and the caller's to free. "As root" is geteuid() == 0. */
#ifndef EPOCHD_PATHS_H
#define EPOCHD_PATHS_H

/* option (--runtime-dir), else EPOCHD_RUNTIME_DIR, else configured, else as root /run/epochd, else
 * $XDG_RUNTIME_DIR/epochd, else epochd-run-<uid> in the segment directory, which others can write: it
 * must be made with mode 0700, and paths_check_private() must find it good before it is used.
 * Any may be NULL (segment_directory: /dev/shm). 1: it is that private one; 0: any other;
 * -ENOMEM, or what getcwd() says where the answer was relative. */
int paths_runtime_base(char **out, const char *option, const char *configured,
		       const char *segment_directory);

/* option (--state-dir), else EPOCHD_STATE_DIR, else configured, else as root /var/lib/epochd, else
 * $XDG_STATE_HOME/epochd, else $HOME/.local/state/epochd. 0; -ENOENT: there is not even a HOME. */
int paths_state_base(char **out, const char *option, const char *configured);

/* As root /etc/epochd/epochd.conf, else $XDG_CONFIG_HOME/epochd/epochd.conf, else
 * $HOME/.config/epochd/epochd.conf. 0; -ENOENT: there is not even a HOME. */
int paths_default_config(char **out);

/* 0: a directory, ours, not to be entered by anyone else, and no symbolic link. -ENOENT; -EPERM: it is
 * somebody else's or open to others; -ENOTDIR, -ELOOP: it is something else. */
int paths_check_private(const char *path);

/* BASE/INSTANCE/NAME, of an instance's folder; NULL when memory is out. */
char *paths_of_instance(const char *base, const char *instance, const char *name);
#endif
