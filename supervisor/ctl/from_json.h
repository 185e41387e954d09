/* A message from JSON, by its declaration alone: the way back from epochd_json(); and to it, of any length. */
#ifndef EPOCHD_CTL_FROM_JSON_H
#define EPOCHD_CTL_FROM_JSON_H

#include <stddef.h>

#include <jansson.h>

struct epochd_type;

/* What epochd_json() says, and what people write: fields that are missing are 0, a text or bytes may be shorter than
 * their field. *payload: free(); *size bytes.
 *   -EINVAL   why names the field and what is wrong with it     -ENOMEM */
int message_from_json(unsigned char **payload, size_t *size, const struct epochd_type *type, const json_t *object,
		      char *why, size_t why_size);
/* free() it. NULL: it does not fit the type, or memory is out. */
char *message_to_json(const struct epochd_type *type, const void *payload, size_t size);
#endif
