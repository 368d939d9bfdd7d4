/* Files of the data folder that lies beside the project (../shared/data), which a plain clone does not have.
 *
 * A test that needs one calls shared_data_find and skips where it returns 0; the call has then said so loudly.
 * With PUMICE_REQUIRE_SHARED_DATA in the environment, as in CI, a missing file ends the test program with a
 * failure.
 */
#ifndef PUMICE_TESTS_SHARED_DATA_H
#define PUMICE_TESTS_SHARED_DATA_H

#include <stddef.h>

/* Writes the path of `relative` ("tokenizers/x.gguf") to path. Returns 1 where the file can be read, else 0. */
int shared_data_find(const char *relative, char *path, size_t capacity);

/* The GGUF files of the folder, relative to it, ended by NULL. */
extern const char *const shared_gguf_files[];

#endif
