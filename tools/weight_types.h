/* Names of weight types on the command line. */
#ifndef PUMICE_TOOLS_WEIGHT_TYPES_H
#define PUMICE_TOOLS_WEIGHT_TYPES_H

#include <stddef.h>

#include "pumice/types.h"

/* "q4_0" or "Q4_0" -> PM_TYPE_Q4_0. Returns 1, or 0 where there is no such type of weights. */
int cli_weight_type(const char *name, pm_type *type);

/* "F32, F16, ...", for messages. Returns dst. */
const char *cli_weight_type_names(char *dst, size_t capacity);

#endif
