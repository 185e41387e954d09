#include <config.h>

#include "supervisor/paths.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Check forks for each test: what is done to the environment and to our uid goes with the child. */
enum { SOMEBODY = 54321 };

static void nothing_said(void)
{
	static const char *const names[] = {
		"EPOCHD_RUNTIME_DIR", "EPOCHD_STATE_DIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
		"XDG_CONFIG_HOME",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	setenv("HOME", "/home/somebody", 1);
}

static bool be_ordinary(void)
{
	return geteuid() != 0 || seteuid(SOMEBODY) == 0;
}

/* Who looks for leaks when the process ends, has to be allowed to look. */
static void be_myself_again(void)
{
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	prctl(PR_SET_DUMPABLE, 1);
}

static void expect_runtime(int r, const char *path, const char *option, const char *configured,
			   const char *segments)
{
	char *out = NULL;

	ck_assert_int_eq(paths_runtime_base(&out, option, configured, segments), r);
	ck_assert_str_eq(out, path);
	free(out);
}

static void expect_state(const char *path, const char *option, const char *configured)
{
	char *out = NULL;

	ck_assert_int_eq(paths_state_base(&out, option, configured), 0);
	ck_assert_str_eq(out, path);
	free(out);
}

static void expect_config(const char *path)
{
	char *out = NULL;

	ck_assert_int_eq(paths_default_config(&out), 0);
	ck_assert_str_eq(out, path);
	free(out);
}

START_TEST(the_option_beats_the_environment_beats_the_configuration)
{
	nothing_said();
	expect_runtime(0, "/c", NULL, "/c", NULL);
	expect_state("/c", NULL, "/c");
	setenv("EPOCHD_RUNTIME_DIR", "/e", 1);
	setenv("EPOCHD_STATE_DIR", "/f", 1);
	expect_runtime(0, "/e", NULL, "/c", NULL);
	expect_state("/f", NULL, "/c");
	expect_runtime(0, "/o", "/o", "/c", NULL);
	expect_state("/p", "/p", "/c");
	setenv("EPOCHD_RUNTIME_DIR", "", 1);   /* empty is unset */
	expect_runtime(0, "/c", NULL, "/c", NULL);
}
END_TEST

START_TEST(root_has_the_systems_directories)
{
	nothing_said();
	if (geteuid() != 0)
		return;
	setenv("XDG_RUNTIME_DIR", "/run/user/0", 1);
	setenv("XDG_STATE_HOME", "/x", 1);
	setenv("XDG_CONFIG_HOME", "/x", 1);
	expect_runtime(0, "/run/epochd", NULL, NULL, NULL);
	expect_state("/var/lib/epochd", NULL, NULL);
	expect_config("/etc/epochd/epochd.conf");
}
END_TEST

START_TEST(an_ordinary_user_has_their_own)
{
	char private[64];

	nothing_said();
	if (!be_ordinary())
		return;
	snprintf(private, sizeof private, "/dev/shm/epochd-run-%u", (unsigned)geteuid());
	expect_runtime(1, private, NULL, NULL, NULL);
	snprintf(private, sizeof private, "/seg/epochd-run-%u", (unsigned)geteuid());
	expect_runtime(1, private, NULL, NULL, "/seg");
	expect_state("/home/somebody/.local/state/epochd", NULL, NULL);
	expect_config("/home/somebody/.config/epochd/epochd.conf");

	setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
	setenv("XDG_STATE_HOME", "/s", 1);
	setenv("XDG_CONFIG_HOME", "/k", 1);
	expect_runtime(0, "/run/user/1/epochd", NULL, NULL, "/seg");
	expect_state("/s/epochd", NULL, NULL);
	expect_config("/k/epochd/epochd.conf");
	setenv("XDG_STATE_HOME", "s", 1);      /* not absolute is unset */
	expect_state("/home/somebody/.local/state/epochd", NULL, NULL);
	be_myself_again();
}
END_TEST

START_TEST(without_a_home_nothing_is_made_up)
{
	char *out = NULL;

	nothing_said();
	unsetenv("HOME");
	if (!be_ordinary())
		return;
	ck_assert_int_eq(paths_state_base(&out, NULL, NULL), -ENOENT);
	ck_assert_int_eq(paths_default_config(&out), -ENOENT);
	ck_assert_ptr_null(out);
	be_myself_again();
}
END_TEST

START_TEST(what_was_said_relative_becomes_absolute)
{
	nothing_said();
	ck_assert_int_eq(chdir("/tmp"), 0);
	expect_runtime(0, "/tmp/a/b", "a/b", NULL, NULL);
	expect_state("/tmp/s", NULL, "s");
}
END_TEST

START_TEST(a_private_directory_is_ours_alone)
{
	char directory[] = "/tmp/check_paths-XXXXXX", path[64];

	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(paths_check_private(directory), 0);
	ck_assert_int_eq(chmod(directory, 0750), 0);
	ck_assert_int_eq(paths_check_private(directory), -EPERM);
	ck_assert_int_eq(chmod(directory, 0700), 0);
	snprintf(path, sizeof path, "%s/link", directory);
	ck_assert_int_eq(paths_check_private(path), -ENOENT);
	ck_assert_int_eq(symlink(directory, path), 0);
	ck_assert_int_eq(paths_check_private(path), -ELOOP);
	unlink(path);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(directory, SOMEBODY, (gid_t)-1), 0);
		ck_assert_int_eq(paths_check_private(directory), -EPERM);
	}
	rmdir(directory);
}
END_TEST

START_TEST(an_instance_has_a_folder_of_its_name)
{
	char *path = paths_of_instance("/run/epochd", "default", "control.sock");

	ck_assert_str_eq(path, "/run/epochd/default/control.sock");
	free(path);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, the_option_beats_the_environment_beats_the_configuration);
	tcase_add_test(tcase, root_has_the_systems_directories);
	tcase_add_test(tcase, an_ordinary_user_has_their_own);
	tcase_add_test(tcase, without_a_home_nothing_is_made_up);
	tcase_add_test(tcase, what_was_said_relative_becomes_absolute);
	tcase_add_test(tcase, a_private_directory_is_ours_alone);
	tcase_add_test(tcase, an_instance_has_a_folder_of_its_name);
}

int main(void)
{
	return unit_run("paths", fill);
}
