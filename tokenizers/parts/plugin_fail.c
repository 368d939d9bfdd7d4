/* Error sentences of the code inside plugins: see plugin_fail.h. */
#include "parts/plugin_fail.h"

#include <stdarg.h>
#include <stdio.h>

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
