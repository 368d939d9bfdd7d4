/* Protocol Buffers' wire format: see protobuf_reader.h. */
#include "protobuf_reader.h"

#include <string.h>

void pm_protobuf_start(pm_protobuf *message, const void *bytes, size_t n)
{
    memset(message, 0, sizeof *message);
    message->bytes = bytes;
    message->n = n;
}

static int fail(pm_protobuf *message, const char *error)
{
    message->error = error;
    return 0;
}

static int read_varint(pm_protobuf *message, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (message->at == message->n)
            return fail(message, "a number is cut off");
        unsigned char byte = message->bytes[message->at++];
        if (shift == 63 && byte > 1)
            break;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return 1;
    }
    return fail(message, "a number has more than 64 bits");
}

static int read_fixed(pm_protobuf *message, size_t size)
{
    if (message->n - message->at < size)
        return fail(message, "a number is cut off");
    message->integer = 0;
    for (size_t i = size; i-- > 0;)
        message->integer = message->integer << 8 | message->bytes[message->at + i];
    message->at += size;
    return 1;
}

static int read_bytes(pm_protobuf *message)
{
    uint64_t n;
    if (!read_varint(message, &n))
        return 0;
    if (n > message->n - message->at)
        return fail(message, "a field is longer than what contains it");
    message->data = message->bytes + message->at;
    message->n_data = (size_t)n;
    message->at += (size_t)n;
    return 1;
}

int pm_protobuf_next(pm_protobuf *message)
{
    uint64_t tag;
    if (message->error || message->at == message->n || !read_varint(message, &tag))
        return 0;
    if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF)
        return fail(message, "a field has no valid number");
    message->field = (uint32_t)(tag >> 3);
    message->type = (pm_protobuf_type)(tag & 7);
    switch (tag & 7) {
    case PM_PROTOBUF_VARINT:
        return read_varint(message, &message->integer);
    case PM_PROTOBUF_FIXED64:
        return read_fixed(message, 8);
    case PM_PROTOBUF_BYTES:
        return read_bytes(message);
    case PM_PROTOBUF_FIXED32:
        return read_fixed(message, 4);
    default:
        return fail(message, "a field has an unknown type");
    }
}

float pm_protobuf_float(const pm_protobuf *message)
{
    uint32_t bits = (uint32_t)message->integer;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
