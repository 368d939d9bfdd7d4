/* Where a long piece is cut before it is merged, so that the parts are found among tokens and remembered pieces.
 *
 * Vocabularies of characters often come without a pre-tokenizer: the whole document is one piece. But no merge
 * joins two characters that stand next to each other in no token, nor what is on their two sides, so the parts
 * become what the whole would. In vocabularies that write spaces as U+2581 the parts are about words.
 *
 * Which characters do is kept by classes: ASCII and U+2581 are each a class of their own, so that it is exact
 * where words begin and end; of all others many share one, and pairs of such are never cut, nor is one that could
 * be two unknown characters, which fuse.
 */
#include "bpe/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "parts/utf8_read.h"

enum {
    CLASS_SPACE = 128, /* U+2581 */
    CLASS_SHARED = 129,
    N_SHARED = 126,
    CLASS_MALFORMED = 255 /* unknown, and of no token that text may become */
};

static inline unsigned class_of(pm_character c)
{
    if (c.code < 128)
        return c.code;
    if (c.code == 0x2581)
        return CLASS_SPACE;
    return c.malformed ? CLASS_MALFORMED : CLASS_SHARED + (c.code >> 6) % N_SHARED;
}

static void join(bpe_cuts *cuts, unsigned left, unsigned right)
{
    cuts->joined[left][right / 64] |= UINT64_C(1) << right % 64;
}

static inline int are_joined(const bpe_cuts *cuts, unsigned left, unsigned right)
{
    return (int)(cuts->joined[left][right / 64] >> right % 64 & 1);
}

/* Is the class one character, which is a token? */
static int is_one_token(const bpe_model *bpe, unsigned class)
{
    int32_t id = PM_NO_TOKEN;
    if (class < 128)
        id = bpe->ascii_symbols[class];
    else if (class == CLASS_SPACE)
        id = bpe_character_symbol(bpe, "\xE2\x96\x81", 3, 0x2581);
    return id != PM_NO_TOKEN && (size_t)id < bpe->table->n;
}

pm_plugin_code bpe_cuts_create(bpe_model *bpe, const pm_plugin_message *message)
{
    const pm_token_table *table = bpe->table;
    bpe_cuts *cuts = &bpe->cuts;
    (void)message;
    memset(cuts, 0, sizeof *cuts);
    for (unsigned left = 0; left < BPE_CLASSES; left++)
        for (unsigned right = 0; right < BPE_CLASSES; right++)
            if (!is_one_token(bpe, left) && !is_one_token(bpe, right))
                join(cuts, left, right);
    for (size_t i = 0; i < table->n; i++) {
        size_t size;
        const char *bytes = pm_token_bytes(table, (int32_t)i, &size);
        if (!bpe_may_be_merged(table, i) || size < 2)
            continue;
        pm_character c = pm_read_character(bytes, 0, size);
        unsigned left = class_of(c);
        for (size_t at = c.length; at < size; at += c.length) {
            c = pm_read_character(bytes, at, size);
            unsigned right = class_of(c);
            join(cuts, left, right);
            left = right;
        }
    }
    return PM_PLUGIN_OK;
}

size_t bpe_cut(const bpe_cuts *cuts, const char *bytes, size_t n, size_t *at, uint32_t *ends, size_t capacity)
{
    size_t n_ends = 0, next = *at;
    pm_character c = pm_read_character(bytes, next, n);
    unsigned left = class_of(c);
    for (next += c.length; next < n && n_ends < capacity; next += c.length) {
        c = pm_read_character(bytes, next, n);
        unsigned right = class_of(c);
        if (!are_joined(cuts, left, right))
            ends[n_ends++] = (uint32_t)next;
        left = right;
    }
    if (next >= n && n_ends < capacity && *at < n) {
        ends[n_ends++] = (uint32_t)n;
        *at = n;
    } else if (n_ends > 0) {
        *at = ends[n_ends - 1];
    }
    return n_ends;
}
