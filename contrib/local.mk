EXTRA_DIST += .clang-tidy
