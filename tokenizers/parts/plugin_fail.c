/* Error sentences, growing arrays and large tables of the code inside plugins: see plugin_fail.h. */
#include "parts/plugin_fail.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

pm_plugin_code pm_plugin_fail(const pm_plugin_message *message, pm_plugin_code code, const char *format, ...)
{
    if (message && message->text && message->capacity > 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(message->text, message->capacity, format, args);
        va_end(args);
    }
    return code;
}

pm_plugin_code pm_plugin_fail_memory(const pm_plugin_message *message, const char *what)
{
    return pm_plugin_fail(message, PM_PLUGIN_MEMORY, "out of memory for %s", what);
}

enum { LARGE = 1 << 21, PAGE = 4096 };

void *pm_large_table(void *memory, size_t n_bytes)
{
#ifdef MADV_HUGEPAGE
    if (memory && n_bytes >= LARGE) {
        char *begin = (char *)(((uintptr_t)memory + PAGE - 1) / PAGE * PAGE);
        /* The parts of a page at both ends stay as they are. Where this is refused nothing is lost. */
        (void)madvise(begin, ((uintptr_t)memory + n_bytes - (uintptr_t)begin) / PAGE * PAGE, MADV_HUGEPAGE);
    }
#endif
    return memory;
}

int pm_grow(void **items, size_t *capacity, size_t count, size_t element_size)
{
    if (count <= *capacity)
        return 1;
    size_t room = *capacity < 16 ? 16 : *capacity;
    while (room < count) {
        if (room > SIZE_MAX / 2)
            return 0;
        room *= 2;
    }
    if (room > SIZE_MAX / element_size)
        return 0;
    void *grown = realloc(*items, room * element_size);
    if (!grown)
        return 0;
    *items = pm_large_table(grown, room * element_size);
    *capacity = room;
    return 1;
}
