/* Chat templates under libFuzzer; the corpus is that of the shared data. */
#include <stddef.h>
#include <stdint.h>

#include "jinja_try.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    jinja_try((const char *)data, size);
    return 0;
}
