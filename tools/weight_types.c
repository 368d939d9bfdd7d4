#include "weight_types.h"

#include <stdio.h>
#include <strings.h>

int cli_weight_type(const char *name, pm_type *type)
{
    for (int t = 0; t < PM_TYPE_COUNT; t++)
        if (t != PM_TYPE_I32 && strcasecmp(pm_type_name((pm_type)t), name) == 0) {
            *type = (pm_type)t;
            return 1;
        }
    return 0;
}

const char *cli_weight_type_names(char *dst, size_t capacity)
{
    size_t used = 0;
    for (int t = 0; t < PM_TYPE_COUNT; t++)
        if (t != PM_TYPE_I32 && used < capacity)
            used +=
                (size_t)snprintf(dst + used, capacity - used, "%s%s", used ? ", " : "", pm_type_name((pm_type)t));
    return dst;
}
