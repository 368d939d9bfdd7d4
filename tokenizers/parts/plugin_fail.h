/* How the code inside plugins reports failure (see pm_plugin_message in pumice/plugin.h) and allocates memory. */
#ifndef PUMICE_PARTS_PLUGIN_FAIL_H
#define PUMICE_PARTS_PLUGIN_FAIL_H

#include "pumice/plugin.h"

#if defined(__GNUC__)
#define PM_PRINTF_LIKE(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))
#else
#define PM_PRINTF_LIKE(fmt_arg, first_arg)
#endif

/* Writes the sentence where there is room for it and returns code. */
pm_plugin_code pm_plugin_fail(const pm_plugin_message *message, pm_plugin_code code, const char *format, ...)
    PM_PRINTF_LIKE(3, 4);

pm_plugin_code pm_plugin_fail_memory(const pm_plugin_message *message, const char *what);

/* Returns early with the code of `call` when it is not PM_PLUGIN_OK. */
#define PM_PLUGIN_TRY(call)                                                                                       \
    do {                                                                                                          \
        pm_plugin_code pm_try_code_ = (call);                                                                     \
        if (pm_try_code_ != PM_PLUGIN_OK)                                                                         \
            return pm_try_code_;                                                                                  \
    } while (0)

/* Makes room for at least `count` elements of *items, of which there is room for *capacity, doubling it. */
int pm_grow(void **items, size_t *capacity, size_t count, size_t element_size);

/* Says of memory that was allocated just now, and not touched, that most of it will be: large tables are then made
 * of huge pages where the system has them, which saves thousands of page faults. Returns it; NULL is fine. */
void *pm_large_table(void *memory, size_t n_bytes);

#endif
