/* Reading sets of characters: see character_set.h.
 *
 *     set  = "\p{" name "}" | "\s" | "\d" | escape | "[" ["^"] item+ "]" | a plain character
 *     item = set without brackets | character "-" character
 */
#include "parts/character_set.h"

#include <stdlib.h>
#include <string.h>

#include "parts/utf8_read.h"

static const struct {
    const char *name;
    uint32_t categories;
} properties[] = {
    {"L", PM_SET_LETTER}, {"Lu", PM_SET(LU)}, {"Ll", PM_SET(LL)},        {"Lt", PM_SET(LT)},
    {"Lm", PM_SET(LM)},   {"Lo", PM_SET(LO)}, {"M", PM_SET_MARK},        {"Mn", PM_SET(MN)},
    {"Mc", PM_SET(MC)},   {"Me", PM_SET(ME)}, {"N", PM_SET_NUMBER},      {"Nd", PM_SET(ND)},
    {"Nl", PM_SET(NL)},   {"No", PM_SET(NO)}, {"P", PM_SET_PUNCTUATION}, {"Pc", PM_SET(PC)},
    {"Pd", PM_SET(PD)},   {"Ps", PM_SET(PS)}, {"Pe", PM_SET(PE)},        {"Pi", PM_SET(PI)},
    {"Pf", PM_SET(PF)},   {"Po", PM_SET(PO)}, {"S", PM_SET_SYMBOL},      {"Sm", PM_SET(SM)},
    {"Sc", PM_SET(SC)},   {"Sk", PM_SET(SK)}, {"So", PM_SET(SO)},        {"Zs", PM_SET(ZS)},
    {"Zl", PM_SET(ZL)},   {"Zp", PM_SET(ZP)}, {"Cc", PM_SET_CONTROL},    {"Cf", PM_SET(CF)},
};

/* A run of the pattern: one character, or (is_class) the categories of a property. */
typedef struct set_item {
    uint32_t code, categories;
    uint8_t entry_bits;
    int is_class, is_escaped;
} set_item;

static int read_property(const char *pattern, size_t n, size_t *at, set_item *out)
{
    size_t begin = *at + 1, end = begin;
    if (begin > n || pattern[*at] != '{')
        return 0;
    while (end < n && pattern[end] != '}')
        end++;
    if (end == n)
        return 0;
    *at = end + 1;
    out->is_class = 1;
    if (end - begin == 3 && memcmp(pattern + begin, "Han", 3) == 0) {
        out->entry_bits = PM_CHARACTER_HAN;
        return 1;
    }
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++)
        if (strlen(properties[i].name) == end - begin &&
            memcmp(properties[i].name, pattern + begin, end - begin) == 0) {
            out->categories = properties[i].categories;
            return 1;
        }
    return 0;
}

/* Behind \u: four hexadecimal digits. */
static int read_hex(const char *pattern, size_t n, size_t *at, set_item *out)
{
    if (n - *at < 4)
        return 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned c = (unsigned char)pattern[*at + i];
        unsigned digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20u) - 'a' + 10u;
        if (digit > 15)
            return 0;
        out->code = out->code << 4 | digit;
    }
    *at += 4;
    return out->code < 0xD800 || out->code > 0xDFFF;
}

/* Behind a backslash. */
static int read_escape(const char *pattern, size_t n, size_t *at, set_item *out)
{
    if (*at >= n)
        return 0;
    char c = pattern[(*at)++];
    out->is_escaped = 1;
    switch (c) {
    case 'p':
        return *at < n && read_property(pattern, n, at, out);
    case 's':
        *out = (set_item){.categories = PM_SET_SPACE, .is_class = 1};
        return 1;
    case 'd':
        *out = (set_item){.categories = PM_SET(ND), .is_class = 1};
        return 1;
    case 'r':
        out->code = '\r';
        return 1;
    case 'n':
        out->code = '\n';
        return 1;
    case 't':
        out->code = '\t';
        return 1;
    case 'u':
        return read_hex(pattern, n, at, out);
    default:
        out->code = (unsigned char)c;
        return out->code < 128 && c > ' ' && c != 127 && !(c >= '0' && c <= '9') &&
               (unsigned)((c | 0x20) - 'a') >= 26;
    }
}

static int read_item(const char *pattern, size_t n, size_t *at, set_item *out)
{
    *out = (set_item){0};
    pm_character c = pm_read_character(pattern, *at, n);
    if (c.length == 0 || c.malformed)
        return 0;
    *at += c.length;
    if (c.code == '\\')
        return read_escape(pattern, n, at, out);
    out->code = c.code;
    return 1;
}

static int is_plain(set_item item, char c)
{
    return !item.is_class && !item.is_escaped && item.code == (unsigned char)c;
}

static int add_range(pm_character_set *set, uint32_t first, uint32_t last)
{
    if (set->n_ranges == PM_CHARACTER_SET_RANGES || first > last)
        return 0;
    set->ranges[set->n_ranges++] = (pm_code_range){first, last};
    return 1;
}

/* Behind "[" or "[^". */
static int read_items(const char *pattern, size_t n, size_t *at, pm_character_set *set)
{
    for (size_t count = 0;; count++) {
        set_item item, last;
        if (!read_item(pattern, n, at, &item))
            return 0;
        if (is_plain(item, ']'))
            return count > 0;
        /* Nested sets, intersections, and a hyphen that is not first and not last mean different things elsewhere.
         */
        if (is_plain(item, '[') || is_plain(item, '&') ||
            (is_plain(item, '-') && count > 0 && !(*at < n && pattern[*at] == ']')))
            return 0;
        if (item.is_class) {
            set->categories |= item.categories;
            set->entry_bits |= item.entry_bits;
            continue;
        }
        last = item;
        if (n - *at >= 2 && pattern[*at] == '-' && pattern[*at + 1] != ']') {
            (*at)++;
            if (!read_item(pattern, n, at, &last) || last.is_class || is_plain(last, '['))
                return 0;
        }
        if (!add_range(set, item.code, last.code))
            return 0;
    }
}

static int by_first(const void *a, const void *b)
{
    const pm_code_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Sorts and joins the ranges and fills in what is asked most. */
static void finish(pm_character_set *set)
{
    qsort(set->ranges, set->n_ranges, sizeof set->ranges[0], by_first);
    size_t kept = 0;
    for (size_t i = 0; i < set->n_ranges; i++) {
        if (kept > 0 && set->ranges[i].first <= set->ranges[kept - 1].last + 1) {
            if (set->ranges[kept - 1].last < set->ranges[i].last)
                set->ranges[kept - 1].last = set->ranges[i].last;
        } else {
            set->ranges[kept++] = set->ranges[i];
        }
    }
    set->n_ranges = kept;
    for (uint32_t c = 0; c < 128; c++)
        set->ascii[c] =
            ((set->categories & pm_category_bit(c)) || pm_character_set_has_range(set, c)) != set->negated;
}

int pm_character_set_read(const char *pattern, size_t n, size_t *at, pm_character_set *out)
{
    set_item item;
    *out = (pm_character_set){0};
    if (!read_item(pattern, n, at, &item))
        return 0;
    if (is_plain(item, '[')) {
        out->negated = *at < n && pattern[*at] == '^';
        *at += out->negated;
        if (!read_items(pattern, n, at, out))
            return 0;
    } else if (item.is_class) {
        out->categories = item.categories;
        out->entry_bits = item.entry_bits;
    } else {
        if (!item.is_escaped && item.code < 128 && strchr(".^$|?*+(){}]", (int)item.code))
            return 0;
        if (!add_range(out, item.code, item.code))
            return 0;
    }
    finish(out);
    return 1;
}

int pm_character_set_has_range(const pm_character_set *set, uint32_t code)
{
    size_t low = 0, high = set->n_ranges;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (code > set->ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->n_ranges && code >= set->ranges[low].first;
}
