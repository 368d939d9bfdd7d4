/* Numbers of JSON: see json_number.h.
 *
 * Scores of Unigram vocabularies are hundreds of thousands of numbers with up to 17 digits. Nearly all of them are
 * a 64-bit integer divided by a power of ten that is exact in the x87's extended precision; the one rounding too
 * much that this makes is harmless unless the extended result lies exactly between two doubles. The rest goes
 * through strtod, in a spelling without a decimal point, which is the part that locales change.
 */
#include "parts/json_number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More digits than decide on which side of the middle between two doubles a number lies (768), and one that says
 * whether anything but zeros follows. */
enum { MOST_DIGITS = 770, MOST_EXPONENT = 100000 };

typedef struct decimal {
    int negative;
    char digits[MOST_DIGITS + 1]; /* without leading zeros; the last stands for all that do not fit */
    int n_digits;
    int64_t exponent;  /* of ten, to be multiplied with the digits as an integer */
    uint64_t mantissa; /* the digits, where there are at most 19 */
} decimal;

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void add_digit(decimal *d, char c, int is_fraction)
{
    d->exponent -= is_fraction;
    if (d->n_digits == 0 && c == '0')
        return;
    if (d->n_digits < 19)
        d->mantissa = d->mantissa * 10 + (uint64_t)(c - '0');
    if (d->n_digits < MOST_DIGITS) {
        d->digits[d->n_digits++] = c;
        return;
    }
    d->exponent++;
    if (c != '0')
        d->digits[MOST_DIGITS - 1] = '1';
}

/* Reads "e-5"; at is behind the e. Returns the index behind it, or 0. */
static size_t read_exponent(const char *text, size_t at, size_t n, int64_t *exponent)
{
    int negative = at < n && text[at] == '-';
    if (at < n && (text[at] == '-' || text[at] == '+'))
        at++;
    if (at == n || !is_digit(text[at]))
        return 0;
    int64_t value = 0;
    for (; at < n && is_digit(text[at]); at++)
        if (value < MOST_EXPONENT)
            value = value * 10 + (text[at] - '0');
    *exponent += negative ? -value : value;
    return at;
}

static int by_division(const decimal *d, double *out)
{
#if LDBL_MANT_DIG == 64
    static const long double tens[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
                                       1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
                                       1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};
    if (d->n_digits > 19 || d->exponent < -27 || d->exponent > 27)
        return 0;
    long double value = (long double)d->mantissa;
    value = d->exponent < 0 ? value / tens[-d->exponent] : value * tens[d->exponent];
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits); /* the 64 bits of the fraction come first */
    if ((bits & 0x7FF) == 0x400)
        return 0;
    *out = (double)value;
    return 1;
#else
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (d->n_digits > 19 || d->mantissa >> 53 != 0 || d->exponent < -22 || d->exponent > 22)
        return 0;
    *out = d->exponent < 0 ? (double)d->mantissa / tens[-d->exponent] : (double)d->mantissa * tens[d->exponent];
    return 1;
#endif
}

static double nearest_double(decimal *d)
{
    double value;
    if (d->n_digits == 0)
        value = 0;
    else if (!by_division(d, &value)) {
        char spelled[MOST_DIGITS + 32];
        d->digits[d->n_digits] = '\0';
        snprintf(spelled, sizeof spelled, "%se%lld", d->digits, (long long)d->exponent);
        value = strtod(spelled, NULL);
    }
    return d->negative ? -value : value;
}

size_t pm_json_number_read(const char *text, size_t n, pm_json_number_value *out)
{
    uint32_t small;
    size_t length = pm_json_small_integer(text, n, &small);
    if (length > 0) {
        *out = (pm_json_number_value){.number = small, .integer = small, .is_integer = 1};
        return length;
    }
    decimal d;
    d.n_digits = 0;
    d.exponent = 0;
    d.mantissa = 0;
    d.negative = n > 0 && text[0] == '-';
    size_t at = (size_t)d.negative, first = at;
    while (at < n && is_digit(text[at]))
        add_digit(&d, text[at++], 0);
    if (at == first || (text[first] == '0' && at - first > 1))
        return 0;
    out->is_integer = 1;
    if (at < n && text[at] == '.') {
        out->is_integer = 0;
        first = ++at;
        while (at < n && is_digit(text[at]))
            add_digit(&d, text[at++], 1);
        if (at == first)
            return 0;
    }
    if (at < n && (text[at] == 'e' || text[at] == 'E')) {
        out->is_integer = 0;
        at = read_exponent(text, at + 1, n, &d.exponent);
        if (at == 0)
            return 0;
    }
    uint64_t most = (uint64_t)INT64_MAX + (uint64_t)d.negative;
    if (out->is_integer && (d.n_digits > 19 || d.mantissa > most))
        out->is_integer = 0;
    out->integer = out->is_integer ? (int64_t)(d.negative ? 0 - d.mantissa : d.mantissa) : 0;
    if (out->is_integer && (d.mantissa >> 53) == 0)
        out->number = d.negative ? -(double)d.mantissa : (double)d.mantissa;
    else
        out->number = nearest_double(&d);
    return isfinite(out->number) ? at : 0;
}
