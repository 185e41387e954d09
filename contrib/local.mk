EXTRA_DIST += \
	.ci/run \
	.clang-tidy \
	.cppcheck \
	%D%/build.sh \
	%D%/check \
	%D%/cppcheck.h \
	%D%/demo \
	%D%/install-packages \
	%D%/packages

AM_DISTCHECK_CONFIGURE_FLAGS = --with-systemdsystemunitdir
