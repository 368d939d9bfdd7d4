/* Error records: see error.h. Nothing here allocates, so it also works when memory has run out. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *pm_status_text(pm_status status)
{
    static const char *const texts[PM_STATUS_COUNT] = {
#define PM_STATUS_TEXT(name, text) text,
        PM_STATUS_LIST(PM_STATUS_TEXT)
#undef PM_STATUS_TEXT
    };
    unsigned index = (unsigned)status;
    return index < PM_STATUS_COUNT ? texts[index] : "unknown status";
}

pm_status pm_fail(pm_error *err, pm_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

pm_status pm_fail_within(pm_error *err, pm_status status, const char *format, ...)
{
    if (!err)
        return status;
    char inner[sizeof err->message + 2] = ": ";
    memcpy(inner + 2, err->message, sizeof err->message);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof err->message) {
        size_t room = sizeof err->message - used;
        memcpy(err->message + used, inner, room); /* inner is larger than any room */
        err->message[sizeof err->message - 1] = '\0';
    }
    return err->status;
}

pm_status pm_fail_memory(pm_error *err, size_t size, const char *what)
{
    return pm_fail(err, PM_ERR_MEMORY, "out of memory: %zu bytes for %s could not be allocated", size, what);
}
