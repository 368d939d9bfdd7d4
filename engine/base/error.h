/* Filling in a pm_error. The only way the engine reports failure. */
#ifndef PUMICE_BASE_ERROR_H
#define PUMICE_BASE_ERROR_H

#include <stddef.h>

#include "pumice/status.h"

#if defined(__GNUC__)
#define PM_PRINTF(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))
#else
#define PM_PRINTF(fmt_arg, first_arg)
#endif

/* Sets err (if not NULL) to status and the formatted sentence, and returns status, so that a failing function
 * ends in `return pm_fail(err, PM_ERR_FORMAT, "...", ...)`. */
pm_status pm_fail(pm_error *err, pm_status status, const char *format, ...) PM_PRINTF(3, 4);

/* Puts "context: " before the message that err already holds and returns its status; for callers that know which
 * file or tensor the callee was working on. Does nothing to a NULL err, and then returns status. */
pm_status pm_fail_within(pm_error *err, pm_status status, const char *format, ...) PM_PRINTF(3, 4);

/* The one wording for a failed allocation of `size` bytes for `what`. */
pm_status pm_fail_memory(pm_error *err, size_t size, const char *what);

/* Returns early with the status of `call` when it is not PM_OK. */
#define PM_TRY(call)                                                                                              \
    do {                                                                                                          \
        pm_status pm_try_status_ = (call);                                                                        \
        if (pm_try_status_ != PM_OK)                                                                              \
            return pm_try_status_;                                                                                \
    } while (0)

#endif
