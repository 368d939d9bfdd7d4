/* The libFuzzer target for encoding and decoding: see encode_check.h. */
#include <stdlib.h>

#include "tests/fuzz/encode_check.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return atexit(encode_check_end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!encode_check(data, size))
        abort();
    return 0;
}
