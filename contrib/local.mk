EXTRA_DIST += .clang-tidy
dist_man_MANS += %D%/man/epochd.conf.5
EXTRA_DIST += \
	%D%/examples/epochd.conf \
	%D%/examples/shortest.conf
dist_man_MANS += %D%/man/epochd-api.7
dist_noinst_DATA += %D%/schema/epochd-v1.schema.json

dist_man_MANS += %D%/man/epochctl.1
bashcompletion_DATA = %D%/completion/epochctl %D%/completion/epochd
EXTRA_DIST += $(bashcompletion_DATA)
