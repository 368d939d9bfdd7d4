/* The libFuzzer target for the GGUF reader: any bytes are refused with a message or read to the last byte. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/gguf_read_all.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy: the fuzzer promises no alignment, and only malloc's end is guarded to the byte. */
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    if (!bytes)
        return 0;
    memcpy(bytes, data, size);
    read_verdict verdict = gguf_read_all(bytes, size, "fuzzed.gguf");
    free(bytes);
    if (verdict == READ_BROKEN)
        abort();
    return 0;
}
