/* How the code inside plugins reports failure: see pm_plugin_message in pumice/plugin.h. */
#ifndef PUMICE_PARTS_PLUGIN_FAIL_H
#define PUMICE_PARTS_PLUGIN_FAIL_H

#include "parts/memory.h"
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

#endif
