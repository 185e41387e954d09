/* What every unit test program needs: one suite, run and reported; a private directory that goes with
 * the test. */
#ifndef EPOCHD_TESTS_UNIT_H
#define EPOCHD_TESTS_UNIT_H

#include <stdlib.h>

#include <check.h>

/* Runs what `fill` adds to the one case of the suite; the exit status for main(). */
static inline int unit_run(const char *name, void (*fill)(TCase *))
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);   /* only stops a hang */
	fill(tcase);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
