/* Normaliser steps that look at strings: Strip, ByteLevel, Precompiled. */
#include <string.h>
#include <unicode/uchar.h>

#include "parts/byte_alphabet.h"
#include "parts/normalizer_steps.h"

/* ---- Strip ---- */

static int is_space(const pm_character *c)
{
    return !c->malformed && u_isUWhiteSpace((UChar32)c->code);
}

int step_strip(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
{
    (void)same;
    size_t begin = 0, end = 0;
    while (step->left && begin < in->n) {
        pm_character c = pm_read_character(in->bytes, begin, in->n);
        if (!is_space(&c))
            break;
        begin += c.length;
    }
    for (size_t at = begin; at < in->n;) {
        pm_character c = pm_read_character(in->bytes, at, in->n);
        at += c.length;
        if (!step->right || !is_space(&c))
            end = at;
    }
    pm_text_buffer_clear(out, with_origins);
    return begin >= end || pm_text_buffer_append_part(out, in, begin, end);
}

/* ---- ByteLevel: each byte spelled as a character ---- */

int step_byte_level(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                    int *same)
{
    (void)step;
    (void)same;
    pm_text_buffer_clear(out, with_origins);
    int good = 1;
    for (size_t at = 0; good && at < in->n;) {
        pm_character c = pm_read_character(in->bytes, at, in->n);
        pm_origin origin = {0, 0};
        if (with_origins)
            origin = pm_piece_origin(in, at, at + c.length);
        for (uint32_t i = 0; good && i < c.length; i++) {
            char spelled[4];
            size_t n = pm_byte_alphabet_encode(in->bytes + at + i, 1, spelled);
            good = pm_text_buffer_append(out, spelled, n, origin);
        }
        at += c.length;
    }
    return good;
}

/* ---- Precompiled, as Hugging Face applies it ---- */

/* Grapheme clusters (UAX #29) without state beyond a character or two. Indic conjuncts (GB9c) are left out: they
 * are longer than what is looked up whole. */
typedef struct grapheme_state {
    int previous;   /* U_GCB_* of the character before; -1 at the start */
    int regional;   /* odd number of regional indicators before */
    int pictograph; /* \p{ExtPict} Extend* before; 2: and then a ZWJ */
} grapheme_state;

static int breaks_before(grapheme_state *s, uint32_t code)
{
    int now = u_getIntPropertyValue((UChar32)code, UCHAR_GRAPHEME_CLUSTER_BREAK), before = s->previous;
    int pictograph = u_hasBinaryProperty((UChar32)code, UCHAR_EXTENDED_PICTOGRAPHIC);
    int breaks = 1;
    if (before == U_GCB_CR && now == U_GCB_LF)
        breaks = 0;
    else if (before == U_GCB_CONTROL || before == U_GCB_CR || before == U_GCB_LF || now == U_GCB_CONTROL ||
             now == U_GCB_CR || now == U_GCB_LF)
        breaks = 1;
    else if ((before == U_GCB_L && (now == U_GCB_L || now == U_GCB_V || now == U_GCB_LV || now == U_GCB_LVT)) ||
             ((before == U_GCB_LV || before == U_GCB_V) && (now == U_GCB_V || now == U_GCB_T)) ||
             ((before == U_GCB_LVT || before == U_GCB_T) && now == U_GCB_T))
        breaks = 0;
    else if (now == U_GCB_EXTEND || now == U_GCB_ZWJ || now == U_GCB_SPACING_MARK || before == U_GCB_PREPEND)
        breaks = 0;
    else if ((s->pictograph == 2 && pictograph) || (s->regional && now == U_GCB_REGIONAL_INDICATOR))
        breaks = 0;
    s->regional = now == U_GCB_REGIONAL_INDICATOR && !(s->regional && !breaks);
    s->pictograph = pictograph                             ? 1
                    : s->pictograph && now == U_GCB_EXTEND ? 1
                    : s->pictograph && now == U_GCB_ZWJ    ? 2
                                                           : 0;
    s->previous = now;
    return breaks || before < 0;
}

static size_t grapheme_end(const pm_piece *in, size_t at)
{
    grapheme_state state = {.previous = -1};
    for (;;) {
        pm_character c = pm_read_character(in->bytes, at, in->n);
        if (c.length == 0)
            return at;
        int first = state.previous < 0;
        if (c.malformed)
            return first ? at + 1 : at;
        if (breaks_before(&state, c.code) && !first)
            return at;
        at += c.length;
    }
}

static size_t count_characters(const char *bytes, size_t n)
{
    size_t count = 0;
    for (size_t at = 0; at < n; count++)
        at += pm_read_character(bytes, at, n).length;
    return count;
}

/* `to` in place of the next n_old bytes: character for character, what is left over inserted behind the last one
 * or removed after it. */
static int put_mapped(pm_transform *t, size_t n_old, const char *to)
{
    size_t n = strlen(to), stop = t->at + n_old;
    size_t before = count_characters(t->in->bytes + t->at, n_old), i = 0;
    for (size_t at = 0; at < n; i++) {
        size_t length = pm_read_character(to, at, n).length;
        if (!pm_transform_put(t, to + at, length, i < before ? 0 : 1))
            return 0;
        at += length;
    }
    while (t->at < stop)
        pm_transform_drop(t);
    return 1;
}

int step_precompiled(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                     int *same)
{
    (void)same;
    enum { MOST_WHOLE = 6 }; /* clusters as long as this are looked up by the character only */
    pm_transform t;
    pm_transform_start(&t, in, out, with_origins);
    int good = 1;
    while (good && t.at < in->n) {
        size_t plain = t.at;
        /* The last of a run of ASCII may be the start of a cluster. */
        while (plain + 1 < in->n && !((in->bytes[plain] | in->bytes[plain + 1]) & 0x80) &&
               in->bytes[plain] != '\r' && pm_charsmap_leaves(step->charsmap, (unsigned char)in->bytes[plain]))
            plain++;
        good = pm_transform_keep_until(&t, plain);
        const char *to;
        size_t end = grapheme_end(in, t.at);
        if (good && end - t.at < MOST_WHOLE &&
            pm_charsmap_shortest(step->charsmap, in->bytes + t.at, end - t.at, &to)) {
            good = put_mapped(&t, end - t.at, to);
            continue;
        }
        while (good && t.at < end) {
            size_t n = pm_read_character(in->bytes, t.at, end).length;
            good = pm_charsmap_shortest(step->charsmap, in->bytes + t.at, n, &to) ? put_mapped(&t, n, to)
                                                                                  : pm_transform_keep(&t);
        }
    }
    return good;
}
