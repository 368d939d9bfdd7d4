/* A whole file mapped read-only into memory.
 *
 * The bytes stay valid until pm_unmap_file. The mapping is private and follows the file: whoever shortens the file
 * while it is mapped makes reads past the new end fail (SIGBUS); replace model files by renaming, not in place.
 */
#ifndef PUMICE_BASE_MAPPED_FILE_H
#define PUMICE_BASE_MAPPED_FILE_H

#include <stddef.h>

#include "pumice/status.h"

typedef struct pm_mapped_file {
    const void *data; /* NULL where the file is empty */
    size_t size;
} pm_mapped_file;

/* Maps the regular file at `path`. PM_ERR_IO with the system's reason where that fails; *out is then untouched. */
pm_status pm_map_file(const char *path, pm_mapped_file *out, pm_error *err);

/* Gives back the memory of the whole pages within data[0, size), which must lie in a mapped file: reading them again
 * reads the file again. For bytes that have been copied to where they are used. */
void pm_mapped_drop(const void *data, size_t size);

/* Unmaps and clears *file; fine on one that is all zero. */
void pm_unmap_file(pm_mapped_file *file);

#endif
