/* The libFuzzer targets for the readers of vocabularies, one a kind (FUZZ_KIND): any bytes are refused with a
 * message or read in full. */
#include <stdlib.h>

#include "tests/fuzz/vocabulary_read_all.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (vocabulary_read_all(FUZZ_KIND, data, size, "fuzzed") == READ_BROKEN)
        abort();
    return 0;
}
