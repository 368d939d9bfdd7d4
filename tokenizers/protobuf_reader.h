/* A reader for messages in the wire format of Protocol Buffers, one field after the other, every byte checked.
 *
 * Source: "Encoding", the Protocol Buffers documentation. Groups (long deprecated) are refused.
 */
#ifndef PUMICE_PROTOBUF_READER_H
#define PUMICE_PROTOBUF_READER_H

#include <stddef.h>
#include <stdint.h>

typedef enum pm_protobuf_type {
    PM_PROTOBUF_VARINT = 0,
    PM_PROTOBUF_FIXED64 = 1,
    PM_PROTOBUF_BYTES = 2,
    PM_PROTOBUF_FIXED32 = 5
} pm_protobuf_type;

typedef struct pm_protobuf {
    const unsigned char *bytes; /* the message */
    size_t n, at;
    const char *error; /* after a failure, static text; `at` says where */
    uint32_t field;
    pm_protobuf_type type;
    uint64_t integer;          /* VARINT, FIXED32, FIXED64 */
    const unsigned char *data; /* BYTES: borrowed from the message */
    size_t n_data;
} pm_protobuf;

void pm_protobuf_start(pm_protobuf *message, const void *bytes, size_t n);

/* Reads the next field; 0 at the end and after a failure. */
int pm_protobuf_next(pm_protobuf *message);

/* FIXED32 as the float that it is. */
float pm_protobuf_float(const pm_protobuf *message);

#endif
