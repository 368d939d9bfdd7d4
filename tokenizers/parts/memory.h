/* Arrays that grow, and large tables, of the code inside plugins and around them. */
#ifndef PUMICE_PARTS_MEMORY_H
#define PUMICE_PARTS_MEMORY_H

#include <stddef.h>

/* Makes room for at least `count` elements of *items, of which there is room for *capacity, doubling it; 0 when
 * memory has run out. Free with free(). */
int pm_grow(void **items, size_t *capacity, size_t count, size_t element_size);

/* n zero bytes for a table most of which will be used at once: of huge pages where the system has them and there
 * are enough bytes, which saves a page fault for each 4 KiB. NULL when memory has run out. */
void *pm_table_allocate(size_t n_bytes);
void pm_table_free(void *table, size_t n_bytes); /* as many as were asked for; NULL is fine */

/* pm_grow for a table: to exactly `count` elements where that more than doubles it. Free with pm_table_free. */
int pm_table_grow(void **table, size_t *capacity, size_t count, size_t element_size);

#endif
