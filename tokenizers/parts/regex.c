/* See regex.h.
 *
 * What means something else to the two engines is translated: ^ and $ are ends of lines to Oniguruma (its Ruby
 * syntax, which is what tokenizer.json is read with), \h and \H are hexadecimal digits.
 */
#include "parts/regex.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/ustring.h>

enum { TIME_LIMIT = 100000 /* steps of ICU's own unit, some seconds */, STACK_LIMIT = 64 << 20 };

/* Appends to out, which has room. */
static size_t put(char *out, size_t n, const char *text)
{
    size_t length = strlen(text);
    memcpy(out + n, text, length);
    return n + length;
}

/* The pattern with the differences undone; room for 16 bytes a character. */
static size_t translate(const char *pattern, size_t n, char *out)
{
    size_t n_out = 0;
    int in_set = 0;
    for (size_t i = 0; i < n; i++) {
        if (pattern[i] == '\\' && i + 1 < n) {
            i++;
            if (pattern[i] == 'h')
                n_out = put(out, n_out, in_set ? "0-9a-fA-F" : "[0-9a-fA-F]");
            else if (pattern[i] == 'H' && !in_set)
                n_out = put(out, n_out, "[^0-9a-fA-F]");
            else {
                out[n_out++] = '\\';
                out[n_out++] = pattern[i];
            }
            continue;
        }
        if (pattern[i] == '[')
            in_set++;
        else if (pattern[i] == ']' && in_set > 0)
            in_set--;
        if (pattern[i] == '$' && !in_set)
            n_out = put(out, n_out, "(?=\\n|\\z)");
        else if (pattern[i] == '^' && !in_set)
            n_out = put(out, n_out, "(?:\\A|(?<=\\n))");
        else
            out[n_out++] = pattern[i];
    }
    return n_out;
}

pm_plugin_code pm_regex_open(const char *pattern, size_t n, URegularExpression **out,
                             const pm_plugin_message *message)
{
    if (n > 1 << 20)
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "a regular expression of %zu bytes is too long", n);
    char *ours = malloc(16 * n + 16);
    UChar *wide = malloc((16 * n + 16) * sizeof *wide);
    UErrorCode status = U_ZERO_ERROR;
    UParseError where = {0};
    int32_t n_wide = 0;
    *out = NULL;
    if (ours && wide) {
        size_t n_ours = translate(pattern, n, ours);
        u_strFromUTF8(wide, (int32_t)(16 * n + 16), &n_wide, ours, (int32_t)n_ours, &status);
        if (U_SUCCESS(status))
            *out = uregex_open(wide, n_wide, 0, &where, &status);
        if (U_SUCCESS(status)) {
            uregex_setTimeLimit(*out, TIME_LIMIT, &status);
            uregex_setStackLimit(*out, STACK_LIMIT, &status);
        }
    }
    int have_memory = ours && wide;
    free(ours);
    free(wide);
    if (!have_memory)
        return pm_plugin_fail_memory(message, "a regular expression");
    if (U_FAILURE(status)) {
        uregex_close(*out);
        *out = NULL;
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "ICU does not take the regular expression '%.*s': %s",
                              n < 100 ? (int)n : 100, pattern, u_errorName(status));
    }
    return PM_PLUGIN_OK;
}
