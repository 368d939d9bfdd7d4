/* Regular expressions of tokenizer.json, which are written for Oniguruma, in terms of ICU's. */
#ifndef PUMICE_PARTS_REGEX_H
#define PUMICE_PARTS_REGEX_H

#include <unicode/uregex.h>

#include "parts/plugin_fail.h"

/* Compiles `pattern` (UTF-8, n bytes). The time that a search may take is limited, so that no pattern hangs.
 * Errors: PM_PLUGIN_FORMAT where ICU does not take it. */
pm_plugin_code pm_regex_open(const char *pattern, size_t n, URegularExpression **out,
                             const pm_plugin_message *message);

#endif
