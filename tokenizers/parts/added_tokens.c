/* Added tokens in text: see added_tokens.h.
 *
 * The patterns lie sorted by their bytes; walking along the text narrows the range of those that still agree with
 * it, one byte at a time. No position looks further than the longest pattern.
 */
#include "parts/added_tokens.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>

#include "parts/utf8_read.h"

#define LOOKED_FOR (1u << PM_TOKEN_UNKNOWN | 1u << PM_TOKEN_CONTROL | 1u << PM_TOKEN_USER_DEFINED)

/* ---- Making the sets ---- */

static int compare_patterns(const void *a, const void *b)
{
    const pm_added_pattern *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    if (order == 0)
        order = (x->n > y->n) - (x->n < y->n);
    return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

static int is_of_set(const pm_token_table *table, size_t id, int normalized)
{
    return LOOKED_FOR >> table->kinds[id] & 1 && table->offsets[id + 1] > table->offsets[id] &&
           !(table->flags[id] & PM_TOKEN_NORMALIZED) == !normalized;
}

/* Appends the pattern of a token to *bytes; its place goes into pattern->bytes as an offset. */
static pm_plugin_code add_pattern(pm_added_tokens *tokens, size_t id, const pm_normalizer *normalizer,
                                  pm_normalizer_scratch *scratch, size_t *n_bytes, size_t *capacity,
                                  const pm_plugin_message *message)
{
    size_t n;
    const char *bytes = pm_token_bytes(tokens->table, (int32_t)id, &n);
    pm_piece piece = {.bytes = bytes, .n = n};
    if (normalizer && !(tokens->table->flags[id] & PM_TOKEN_VERBATIM))
        PM_PLUGIN_TRY(pm_normalize(normalizer, scratch, &piece, 0, &piece, message));
    if (piece.n == 0)
        return PM_PLUGIN_OK;
    if (!pm_grow((void **)&tokens->bytes, capacity, *n_bytes + piece.n, 1))
        return pm_plugin_fail_memory(message, "the added tokens");
    memcpy(tokens->bytes + *n_bytes, piece.bytes, piece.n);
    tokens->patterns[tokens->n++] = (pm_added_pattern){(const char *)(uintptr_t)*n_bytes, piece.n, (int32_t)id};
    *n_bytes += piece.n;
    return PM_PLUGIN_OK;
}

/* Sorts the patterns. Two that are written alike are an error; of those that normalisation makes equal the first
 * token's stays. */
static pm_plugin_code sort_patterns(pm_added_tokens *tokens, int normalized, const pm_plugin_message *message)
{
    size_t kept = 0, distinct = 0;
    for (size_t i = 0; i < tokens->n; i++)
        tokens->patterns[i].bytes = tokens->bytes + (uintptr_t)tokens->patterns[i].bytes;
    qsort(tokens->patterns, tokens->n, sizeof *tokens->patterns, compare_patterns);
    for (size_t i = 0; i < tokens->n; i++) {
        const pm_added_pattern *p = &tokens->patterns[i], *last = kept ? &tokens->patterns[kept - 1] : NULL;
        if (!last || last->n != p->n || memcmp(last->bytes, p->bytes, p->n) != 0)
            tokens->patterns[kept++] = *p;
        else if (!normalized)
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the special tokens %d and %d are the same",
                                  (int)last->id, (int)p->id);
    }
    tokens->n = kept;
    for (size_t i = 0; i < kept; i++)
        tokens->first[(unsigned char)tokens->patterns[i].bytes[0] + 1] = i + 1;
    tokens->only_byte = -1;
    for (size_t b = 1; b < 257; b++) {
        if (tokens->first[b] < tokens->first[b - 1])
            tokens->first[b] = tokens->first[b - 1];
        if (tokens->first[b] > tokens->first[b - 1]) {
            tokens->only_byte = (int)b - 1;
            distinct++;
        }
    }
    if (distinct > 1)
        tokens->only_byte = -1;
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_added_tokens_create(const pm_token_table *table, int normalized, const pm_normalizer *normalizer,
                                      pm_added_tokens *out, const pm_plugin_message *message)
{
    pm_normalizer_scratch scratch = {0};
    size_t n = 0, n_bytes = 0, capacity = 0;
    memset(out, 0, sizeof *out);
    out->table = table;
    for (size_t i = 0; i < table->n; i++)
        n += (size_t)is_of_set(table, i, normalized);
    out->patterns = calloc(n + 1, sizeof *out->patterns);
    pm_plugin_code code = out->patterns ? PM_PLUGIN_OK : pm_plugin_fail_memory(message, "the added tokens");
    for (size_t i = 0; i < table->n && code == PM_PLUGIN_OK && n > 0; i++)
        if (is_of_set(table, i, normalized))
            code = add_pattern(out, i, normalizer, &scratch, &n_bytes, &capacity, message);
    pm_normalizer_scratch_destroy(&scratch);
    if (code == PM_PLUGIN_OK)
        code = sort_patterns(out, normalized, message);
    if (code != PM_PLUGIN_OK)
        pm_added_tokens_destroy(out);
    return code;
}

void pm_added_tokens_destroy(pm_added_tokens *tokens)
{
    free(tokens->patterns);
    free(tokens->bytes);
    memset(tokens, 0, sizeof *tokens);
}

/* ---- Finding ---- */

/* May this token be found where it is? */
static int is_honoured(const pm_added_tokens *tokens, const pm_piece *piece, const pm_special_choice *choice,
                       int32_t id, size_t begin, size_t end)
{
    if (tokens->table->kinds[id] == PM_TOKEN_USER_DEFINED || choice->everywhere)
        return 1;
    if (choice->n_spans == 0)
        return 0;
    pm_text_span at = pm_piece_span(piece, begin, end);
    size_t low = 0, high = choice->n_spans; /* the first span that ends behind the token's beginning */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (choice->spans[middle].end <= at.begin)
            low = middle + 1;
        else
            high = middle;
    }
    return low < choice->n_spans && choice->spans[low].begin <= at.begin && at.end <= choice->spans[low].end;
}

/* As \w of Unicode's regular expressions (UTS #18, annex C). */
static int is_word_character(uint32_t code)
{
    return u_isUAlphabetic((UChar32)code) ||
           (U_GET_GC_MASK((UChar32)code) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 ||
           u_hasBinaryProperty((UChar32)code, UCHAR_JOIN_CONTROL);
}

/* The first byte of the character that ends before `at`, not before `from`. */
static size_t previous_character(const char *text, size_t from, size_t at)
{
    size_t back = at - 1;
    while (back > from && at - back < 4 && pm_is_continuation((unsigned char)text[back]))
        back--;
    return back + pm_read_character(text, back, at).length == at ? back : at - 1;
}

/* Does a letter, digit or underscore touch bytes[begin, end)? */
static int is_inside_word(const pm_piece *piece, size_t begin, size_t end)
{
    const char *text = piece->bytes;
    if (begin > 0) {
        pm_character c = pm_read_character(text, previous_character(text, 0, begin), begin);
        if (!c.malformed && is_word_character(c.code))
            return 1;
    }
    pm_character c = pm_read_character(text, end, piece->n);
    return end < piece->n && !c.malformed && is_word_character(c.code);
}

/* The first of patterns[low, high), all longer than depth and equal before it, whose byte at depth is `byte` or
 * more. */
static size_t first_with_byte(const pm_added_tokens *tokens, size_t low, size_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)tokens->patterns[middle].bytes[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest pattern at bytes[at]; NULL where there is none. */
static const pm_added_pattern *longest_at(const pm_added_tokens *tokens, const pm_piece *piece, size_t at)
{
    const pm_added_pattern *best = NULL;
    unsigned byte = (unsigned char)piece->bytes[at];
    size_t low = tokens->first[byte], high = tokens->first[byte + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (tokens->patterns[low].n == depth) /* the shortest of the range comes first */
            best = &tokens->patterns[low++];
        if (at + depth >= piece->n)
            break;
        byte = (unsigned char)piece->bytes[at + depth];
        low = first_with_byte(tokens, low, high, depth, byte);
        high = first_with_byte(tokens, low, high, depth, byte + 1);
    }
    return best;
}

static int is_space_at(const pm_piece *piece, size_t at, size_t end)
{
    pm_character c = pm_read_character(piece->bytes, at, end);
    return !c.malformed && c.length > 0 && u_isUWhiteSpace((UChar32)c.code);
}

static void take_white_space(const pm_added_tokens *tokens, const pm_piece *piece, size_t from,
                             pm_added_match *match)
{
    unsigned flags = tokens->table->flags[match->id];
    if (flags & PM_TOKEN_LSTRIP && match->begin < from)
        match->begin = from; /* the match before took its beginning along */
    while (flags & PM_TOKEN_LSTRIP && match->begin > from) {
        size_t back = previous_character(piece->bytes, from, match->begin);
        if (!is_space_at(piece, back, match->begin))
            break;
        match->begin = back;
    }
    if (flags & PM_TOKEN_RSTRIP && match->end < from)
        match->end = from; /* the match before took that white space along: it need not be walked again */
    while (flags & PM_TOKEN_RSTRIP && match->end < piece->n && is_space_at(piece, match->end, piece->n))
        match->end += pm_read_character(piece->bytes, match->end, piece->n).length;
}

/* The next byte that a pattern starts with. */
static size_t next_start(const pm_added_tokens *tokens, const pm_piece *piece, size_t at)
{
    if (tokens->only_byte >= 0) {
        const char *found = at < piece->n ? memchr(piece->bytes + at, tokens->only_byte, piece->n - at) : NULL;
        return found ? (size_t)(found - piece->bytes) : piece->n;
    }
    while (at < piece->n) {
        unsigned char byte = (unsigned char)piece->bytes[at];
        if (tokens->first[byte] != tokens->first[byte + 1])
            break;
        at++;
    }
    return at;
}

pm_added_match pm_added_tokens_find(const pm_added_tokens *tokens, const pm_piece *piece,
                                    const pm_special_choice *choice, size_t from, size_t *search)
{
    size_t at = *search;
    while (tokens->n > 0 && (at = next_start(tokens, piece, at)) < piece->n) {
        const pm_added_pattern *pattern = longest_at(tokens, piece, at);
        if (!pattern) {
            at++;
            continue;
        }
        size_t end = at + pattern->n;
        int single = tokens->table->flags[pattern->id] & PM_TOKEN_SINGLE_WORD;
        if (is_honoured(tokens, piece, choice, pattern->id, at, end) &&
            !(single && is_inside_word(piece, at, end))) {
            pm_added_match match = {pattern->id, at, end};
            take_white_space(tokens, piece, from, &match);
            *search = end;
            return match;
        }
        at = end; /* what is not honoured is passed over whole */
    }
    *search = piece->n;
    return (pm_added_match){PM_NO_TOKEN, piece->n, piece->n};
}
