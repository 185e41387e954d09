/* What cppcheck reads in place of config.h, and of the libraries' macros that it has to see through.
 * Not part of any build. */
#define CLEANUP(function)
#define STEAL(pointer) cppcheck_steal(&(pointer))
#define container_of(pointer, type, member) ((type *)cppcheck_container(pointer))
#define PRINTF_LIKE(argument, first)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define json_auto_t json_t
#define json_array_foreach(array, index, value) \
	for (index = 0; \
	     index < json_array_size(array) && (value = json_array_get(array, index)); \
	     index++)
#define json_object_foreach(object, key, value) \
	for (key = cppcheck_first(object); \
	     key && (value = json_object_get(object, key)); \
	     key = cppcheck_next(object, key))
