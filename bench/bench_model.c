/* A model with random weights that no file system has to hold. See bench.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "pumice/synth.h"
#include "text.h"

/* Bytes of memory that programs may take; 0: unknown. */
static double available_bytes(void)
{
    char line[128];
    double kib = 0;
    FILE *info = fopen("/proc/meminfo", "r");
    while (info && fgets(line, sizeof line, info))
        if (sscanf(line, "MemAvailable: %lf", &kib) == 1)
            break;
    if (info)
        fclose(info);
    return kib * 1024;
}

/* A file that nothing but its descriptor leads to. */
static int unnamed_file(const char *folder, double bytes)
{
    /* Half of the memory at most: devices need as much again, and the page cache would hold a file anyway. */
    int fd = bytes * 2 < available_bytes() ? memfd_create("pumice-synth", 0) : -1;
    if (fd >= 0)
        return fd;
    char path[4096];
    snprintf(path, sizeof path, "%s/synth-XXXXXX", folder);
    fd = mkstemp(path);
    if (fd >= 0)
        unlink(path);
    return fd;
}

pm_status bench_synthesize(const char *shape, pm_type type, const char *folder,
                           int (*progress)(void *user, const char *what, uint64_t done, uint64_t total),
                           void *user, int *fd, pm_error *err)
{
    uint64_t bytes;
    char path[32];
    pm_status status = pm_synth_size(shape, type, &bytes, err);
    if (status != PM_OK)
        return status;
    *fd = unnamed_file(folder, (double)bytes);
    if (*fd < 0)
        return cli_fail(err, PM_ERR_IO, "%s: no file can be made there for %.1f GB of weights", folder,
                        (double)bytes * 1e-9);
    snprintf(path, sizeof path, "/dev/fd/%d", *fd);
    status = pm_synth_write(shape, type, 1, path, progress, user, err);
    if (status != PM_OK)
        close(*fd);
    return status;
}
