/* The messages of the key-value example: declared once, for both sides. */
#ifndef KV_H
#define KV_H

#include <epochd.h>

#define KV_GET(FIELD, ARRAY) FIELD(u64, key)
#define KV_PUT(FIELD, ARRAY) FIELD(u64, key) FIELD(u64, value)
#define KV_VALUE(FIELD, ARRAY) FIELD(u64, key) FIELD(u64, value) FIELD(u32, found) FIELD(u32, epoch)
#define KV_LIST(MESSAGE) \
	MESSAGE(kv_get, "kv.get", KV_GET, EPOCHD_CALLABLE) \
	MESSAGE(kv_put, "kv.put", KV_PUT, EPOCHD_CALLABLE) \
	MESSAGE(kv_value, "kv.value", KV_VALUE, 0)
EPOCHD_MESSAGES(kv, KV_LIST)

enum { KV_KEYS = 4096 };
#endif
