/* Opens bytes as a GGUF file and, where the reader takes them, reads all there is: what both fuzzers drive. */
#ifndef PUMICE_TESTS_GGUF_READ_ALL_H
#define PUMICE_TESTS_GGUF_READ_ALL_H

#include <stddef.h>
#include <stdint.h>

typedef enum read_verdict {
    READ_REJECTED, /* with a message that names the file and the byte */
    READ_ACCEPTED, /* and everything in it could be read and kept what pumice/gguf.h promises */
    READ_BROKEN    /* a promise was broken; said on standard error */
} read_verdict;

/* Reads every entry, element, string byte and tensor byte. Memory errors are for the sanitizers to find. */
read_verdict gguf_read_all(const uint8_t *bytes, size_t size, const char *name);

#endif
