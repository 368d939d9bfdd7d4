/* The processor's name and memory, from /proc where there is one. See host_info.h. */
#include "backends/host_info.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/threads.h"

void pm_host_processor(char *name, size_t capacity)
{
    struct utsname system;
    snprintf(name, capacity, "%s", uname(&system) == 0 ? system.machine : "processor");
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, capacity, "%s", colon + 1 + strspn(colon + 1, " \t"));
        break;
    }
    if (file)
        fclose(file);
}

void pm_host_memory(uint64_t *total, uint64_t *available)
{
    *total = *available = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    char line[256];
    unsigned long long kib;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "MemTotal: %llu kB", &kib) == 1)
            *total = kib * 1024;
        else if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            *available = kib * 1024;
    }
    if (file)
        fclose(file);
}

int pm_host_threads(int n)
{
    if (n > 0)
        return n;
    int cores = pm_threads_cores();
    return cores < 64 ? cores : 64;
}
