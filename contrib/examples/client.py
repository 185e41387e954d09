#!/usr/bin/env python3
"""client.py APPLICATION: puts and gets of the key-value service of kv.h, by ctypes, in one epoch after the other."""
import ctypes as c
import errno
import os
import struct
import sys

lib = c.CDLL(os.environ.get("LIBEPOCHD", "libepochd.so.0"))
PUT, GET, VALUE, U32, U64 = 0, 1, 2, 2, 3   # messages in the order below; enum epochd_kind
LAYOUTS = ["=QQ", "=Q", "=QQII"]            # of the messages, as C lays them out

def structure(**fields):
    return type("Structure", (c.Structure,), {"_fields_": list(fields.items())})

Field = structure(name=c.c_char_p, kind=c.c_uint32, count=c.c_uint32)
Type = structure(name=c.c_char_p, size=c.c_uint32, flags=c.c_uint32, fields=c.POINTER(Field), count=c.c_uint32, zero=c.c_uint32)
Message = structure(handle=c.c_uint64, context=c.c_uint64, payload=c.c_void_p, size=c.c_uint32, type=c.c_uint32, inside=c.c_uint64 * 8)

def declare(number, name, **kinds):
    fields = (Field * len(kinds))(*[Field(key.encode(), kind, 0) for key, kind in kinds.items()])
    return Type(name, struct.calcsize(LAYOUTS[number]), 0, fields, len(kinds), 0)

types = (Type * 3)(declare(PUT, b"kv.put", key=U64, value=U64), declare(GET, b"kv.get", key=U64),
                   declare(VALUE, b"kv.value", key=U64, value=U64, found=U32, epoch=U32))
client, reply = c.c_void_p(), Message()
assert lib.epochd_connect(c.byref(client), sys.argv[1].encode(), types, c.c_size_t(3), None) == 0, "cannot connect"

def call(number, *values):
    payload, second = struct.pack(LAYOUTS[number], *values), c.c_int64(10**9)
    while (r := lib.epochd_call(client, number, payload, c.c_size_t(len(payload)), c.byref(reply), second)) == -errno.ESTALE:
        print("the epoch has ended", flush=True)
        lib.epochd_reconnect(client, c.c_int64(-1))
    answer = struct.unpack(LAYOUTS[VALUE], c.string_at(reply.payload, reply.size)) if r == 0 else sys.exit(os.strerror(-r))
    lib.epochd_release(client, c.byref(reply))
    return answer

for key in map(int, sys.stdin):   # each line a key
    call(PUT, key, key + 1)
    print("key %d: value %d, epoch %d" % (call(GET, key)[:2] + call(GET, key)[3:]), flush=True)
