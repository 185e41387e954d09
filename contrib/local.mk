EXTRA_DIST += .clang-tidy
dist_man_MANS += %D%/man/epochd.conf.5
EXTRA_DIST += \
	%D%/examples/epochd.conf \
	%D%/examples/shortest.conf
