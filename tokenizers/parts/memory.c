/* Arrays that grow and large tables: see memory.h.
 *
 * A huge page begins at a multiple of its size. What malloc gives never does, so that up to a huge page at each
 * end would be of small ones; so large tables are mapped on their own, at such an address and in whole huge pages.
 */
#include "parts/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)1 << 21)

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER
#endif
#ifdef HAS_ADDRESS_SANITIZER
#define WORTH_ONE SIZE_MAX /* never, so that it sees what reads beyond a table */
#else
#define WORTH_ONE (HUGE_PAGE / 8) /* bytes: to clear a whole one takes as long as 64 page faults */
#endif

enum { LEAST = 1024 }; /* elements of a table that grows */

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
    *items = grown;
    *capacity = room;
    return 1;
}

static size_t in_huge_pages(size_t n_bytes)
{
    return (n_bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

void *pm_table_allocate(size_t n_bytes)
{
    if (n_bytes < WORTH_ONE)
        return calloc(1, n_bytes > 0 ? n_bytes : 1);
    if (n_bytes > SIZE_MAX / 2)
        return NULL;
    size_t size = in_huge_pages(n_bytes), mapped = size + HUGE_PAGE;
    char *memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    size_t before = (HUGE_PAGE - (uintptr_t)memory % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0)
        munmap(memory, before);
    munmap(memory + before + size, HUGE_PAGE - before);
#ifdef MADV_HUGEPAGE
    (void)madvise(memory + before, size, MADV_HUGEPAGE); /* where this is refused nothing is lost */
#endif
    return memory + before;
}

void pm_table_free(void *table, size_t n_bytes)
{
    if (n_bytes < WORTH_ONE)
        free(table);
    else if (table)
        munmap(table, in_huge_pages(n_bytes));
}

int pm_table_grow(void **table, size_t *capacity, size_t count, size_t element_size)
{
    if (count <= *capacity)
        return 1;
    size_t room = *capacity < count / 2 ? count : 2 * *capacity;
    room = room < LEAST ? LEAST : room;
    void *grown = room <= SIZE_MAX / element_size ? pm_table_allocate(room * element_size) : NULL;
    if (!grown)
        return 0;
    if (*table)
        memcpy(grown, *table, *capacity * element_size);
    pm_table_free(*table, *capacity * element_size);
    *table = grown;
    *capacity = room;
    return 1;
}
