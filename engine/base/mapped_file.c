/* Mapping files with POSIX mmap: see mapped_file.h. The only place that opens model files. */
#include "base/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* Of files of up to so many bytes every page is read, mostly: all at once costs less than a page fault each. */
enum { READ_WHOLE = 1 << 26 };

static pm_status map_descriptor(int fd, const char *path, pm_mapped_file *out, pm_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return pm_fail(err, PM_ERR_IO, "%s: cannot be examined: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return pm_fail(err, PM_ERR_IO, "%s: is %s, not a regular file that can be mapped into memory", path,
                       S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
    if ((uintmax_t)info.st_size > SIZE_MAX)
        return pm_fail(err, PM_ERR_IO, "%s: %jd bytes do not fit this machine's address space", path,
                       (intmax_t)info.st_size);
    size_t size = (size_t)info.st_size;
    void *data = NULL;
    if (size > 0) {
        int flags = MAP_PRIVATE;
#ifdef MAP_POPULATE
        if (size <= READ_WHOLE)
            flags |= MAP_POPULATE;
#endif
        data = mmap(NULL, size, PROT_READ, flags, fd, 0);
        if (data == MAP_FAILED)
            return pm_fail(err, PM_ERR_IO, "%s: cannot be mapped into memory: %s", path, strerror(errno));
    }
    out->data = data;
    out->size = size;
    return PM_OK;
}

pm_status pm_map_file(const char *path, pm_mapped_file *out, pm_error *err)
{
    /* O_NONBLOCK: opening a pipe by mistake must not hang before it is seen to be one. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return pm_fail(err, PM_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    pm_status status = map_descriptor(fd, path, out, err);
    close(fd); /* the mapping keeps the file alive */
    return status;
}

void pm_mapped_drop(const void *data, size_t size)
{
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0)
        return;
    uintptr_t mask = (uintptr_t)page - 1;
    uintptr_t begin = ((uintptr_t)data + mask) & ~mask, end = ((uintptr_t)data + size) & ~mask;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED); /* only advice: no matter where it fails */
}

void pm_unmap_file(pm_mapped_file *file)
{
    if (file->data)
        munmap((void *)(uintptr_t)file->data, file->size);
    file->data = NULL;
    file->size = 0;
}
