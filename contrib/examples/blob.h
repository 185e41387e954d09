/* The messages of in_place.c and push.c: some bytes after a head. */
#ifndef BLOB_H
#define BLOB_H

#include <epochd.h>

#define BLOB_SUM(FIELD, ARRAY) FIELD(u64, sum)
#define BLOB_BYTES(FIELD, ARRAY) FIELD(u64, length)
#define BLOB_LIST(MESSAGE) \
	MESSAGE(blob_bytes, "blob.bytes", BLOB_BYTES, EPOCHD_TAIL | EPOCHD_IN_PLACE) \
	MESSAGE(blob_sum, "blob.sum", BLOB_SUM, 0)
EPOCHD_MESSAGES(blob, BLOB_LIST)
#endif
