/* Special tokens in text: see special_finder.h.
 *
 * The tokens lie sorted by their bytes; walking along the text narrows the range of those that still agree with
 * it, one byte at a time. No position looks further than the longest token.
 */
#include "parts/special_finder.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>

#include "parts/character_class.h"
#include "parts/utf8_read.h"

#define FOUND_IN_TEXT (1u << PM_TOKEN_UNKNOWN | 1u << PM_TOKEN_CONTROL | 1u << PM_TOKEN_USER_DEFINED)

typedef struct sort_key {
    const char *bytes;
    size_t size;
    int32_t id;
} sort_key;

static int compare_keys(const void *a, const void *b)
{
    const sort_key *x = a;
    const sort_key *y = b;
    int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    if (order == 0)
        order = (x->size > y->size) - (x->size < y->size);
    return order;
}

static pm_plugin_code fill_sorted(pm_special_finder *finder, sort_key *keys, const pm_plugin_message *message)
{
    qsort(keys, finder->n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < finder->n; i++) {
        if (i > 0 && compare_keys(&keys[i - 1], &keys[i]) == 0)
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the special tokens %d and %d are the same",
                                  (int)keys[i - 1].id, (int)keys[i].id);
        finder->sorted[i] = keys[i].id;
        finder->first[(unsigned char)keys[i].bytes[0] + 1] = i + 1;
    }
    for (size_t b = 1; b < 257; b++)
        if (finder->first[b] < finder->first[b - 1])
            finder->first[b] = finder->first[b - 1];
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_special_finder_create(const pm_token_table *table, pm_special_finder *finder,
                                        const pm_plugin_message *message)
{
    memset(finder, 0, sizeof *finder);
    finder->table = table;
    for (size_t i = 0; i < table->n; i++)
        finder->n += FOUND_IN_TEXT >> table->kinds[i] & 1 && table->offsets[i + 1] > table->offsets[i];
    sort_key *keys = calloc(finder->n + 1, sizeof *keys);
    finder->sorted = calloc(finder->n + 1, sizeof *finder->sorted);
    if (!keys || !finder->sorted) {
        free(keys);
        pm_special_finder_destroy(finder);
        return pm_plugin_fail_memory(message, "the special tokens");
    }
    size_t n = 0;
    for (size_t i = 0; i < table->n; i++)
        if (FOUND_IN_TEXT >> table->kinds[i] & 1 && table->offsets[i + 1] > table->offsets[i]) {
            keys[n].id = (int32_t)i;
            keys[n].bytes = pm_token_bytes(table, (int32_t)i, &keys[n].size);
            n++;
        }
    pm_plugin_code code = fill_sorted(finder, keys, message);
    free(keys);
    if (code != PM_PLUGIN_OK)
        pm_special_finder_destroy(finder);
    return code;
}

void pm_special_finder_destroy(pm_special_finder *finder)
{
    free(finder->sorted);
    memset(finder, 0, sizeof *finder);
}

/* May this token be found at text[begin, end)? */
static int is_honoured(const pm_special_finder *finder, const pm_encode_call *call, int32_t id, size_t begin,
                       size_t end, size_t span)
{
    if (finder->table->kinds[id] == PM_TOKEN_USER_DEFINED || call->flags & PM_ENCODE_PARSE_SPECIAL)
        return 1;
    return span < call->n_special_spans && call->special_spans[span].begin <= begin &&
           end <= call->special_spans[span].end;
}

static int is_word_character(uint32_t code)
{
    return code == '_' || u_isalnum((UChar32)code) || (U_MASK(u_charType((UChar32)code)) & U_GC_M_MASK) != 0;
}

/* The first byte of the character that ends before `at`, not before `from`. */
static size_t previous_character(const char *text, size_t from, size_t at)
{
    size_t back = at - 1;
    while (back > from && at - back < 4 && pm_is_continuation((unsigned char)text[back]))
        back--;
    return back + pm_read_character(text, back, at).length == at ? back : at - 1;
}

/* Does a letter, digit or underscore touch text[begin, end)? */
static int is_inside_word(const char *text, size_t begin, size_t end, size_t n)
{
    if (begin > 0 && is_word_character(pm_read_character(text, previous_character(text, 0, begin), begin).code))
        return 1;
    return end < n && is_word_character(pm_read_character(text, end, n).code);
}

/* The first of sorted[low, high), all longer than depth and equal before it, whose byte at depth is `byte` or
 * more. */
static size_t first_with_byte(const pm_special_finder *finder, size_t low, size_t high, size_t depth,
                              unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        size_t size;
        const char *bytes = pm_token_bytes(finder->table, finder->sorted[middle], &size);
        if ((unsigned char)bytes[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest honoured token at text[at]. */
static pm_special_match match_at(const pm_special_finder *finder, const pm_encode_call *call, size_t at,
                                 size_t span)
{
    pm_special_match best = {PM_NO_TOKEN, at, at};
    unsigned byte = (unsigned char)call->text[at];
    size_t low = finder->first[byte];
    size_t high = finder->first[byte + 1];
    for (size_t depth = 1; low < high; depth++) {
        size_t size;
        pm_token_bytes(finder->table, finder->sorted[low], &size);
        if (size == depth) { /* the shortest of the range comes first */
            int32_t id = finder->sorted[low++];
            int single = finder->table->flags[id] & PM_TOKEN_SINGLE_WORD;
            if (is_honoured(finder, call, id, at, at + depth, span) &&
                !(single && is_inside_word(call->text, at, at + depth, call->n_text)))
                best = (pm_special_match){id, at, at + depth};
        }
        if (at + depth >= call->n_text)
            break;
        byte = (unsigned char)call->text[at + depth];
        low = first_with_byte(finder, low, high, depth, byte);
        high = first_with_byte(finder, low, high, depth, byte + 1);
    }
    return best;
}

static void take_white_space(const pm_special_finder *finder, const pm_encode_call *call, size_t from,
                             pm_special_match *match)
{
    unsigned flags = finder->table->flags[match->id];
    while (flags & PM_TOKEN_LSTRIP && match->begin > from) {
        size_t back = previous_character(call->text, from, match->begin);
        if (pm_class_of(pm_read_character(call->text, back, match->begin).code) != PM_CLASS_SPACE)
            break;
        match->begin = back;
    }
    while (flags & PM_TOKEN_RSTRIP && match->end < call->n_text) {
        pm_character c = pm_read_character(call->text, match->end, call->n_text);
        if (pm_class_of(c.code) != PM_CLASS_SPACE)
            break;
        match->end += c.length;
    }
}

pm_special_match pm_special_find(const pm_special_finder *finder, const pm_encode_call *call, size_t at,
                                 size_t *span)
{
    if (finder->n > 0)
        for (size_t p = at; p < call->n_text; p++) {
            unsigned char byte = (unsigned char)call->text[p];
            if (finder->first[byte] == finder->first[byte + 1])
                continue;
            while (*span < call->n_special_spans && call->special_spans[*span].end <= p)
                ++*span;
            pm_special_match match = match_at(finder, call, p, *span);
            if (match.id != PM_NO_TOKEN) {
                take_white_space(finder, call, at, &match);
                return match;
            }
        }
    return (pm_special_match){PM_NO_TOKEN, call->n_text, call->n_text};
}
