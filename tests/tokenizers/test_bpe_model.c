/* BPE on its own, against the textbook's version of it (look at all pairs, merge the best one, again) on random
 * vocabularies: from bytes and from characters, ranked by merges and by scores, with and without the ways out for
 * what is unknown. Short pieces, long ones that are cut or searched, and ones that are remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "bpe/bpe.h"
#include "tests/tokenizers/random_vocabulary.h"

enum { MOST_MERGES = 256, MOST_SYMBOLS = 4096 };

typedef struct textbook_bpe {
    const word_model_fixture *f;
    int byte_fallback, fuse_unknown;
    pm_vocab_merge merges[MOST_MERGES];
    size_t n_merges;
    const char *text;
    bpe_symbol
        symbols[MOST_SYMBOLS]; /* id PM_NO_TOKEN: a character that is no token, which may merge all the same */
    size_t n;
} textbook_bpe;

/* ---- The textbook ---- */

/* What a symbol is spelled as: a token's bytes are not those of the text where some were left out. */
static const char *spelling(const textbook_bpe *t, const bpe_symbol *s, size_t *n)
{
    *n = s->id == PM_NO_TOKEN ? s->end - s->begin : t->f->entries[s->id].n_bytes;
    return s->id == PM_NO_TOKEN ? t->text + s->begin : t->f->entries[s->id].bytes;
}

/* The rank of the merge of a symbol with the next one, or INFINITY; what it makes in *result. */
static double rank_at(const textbook_bpe *t, size_t at, int32_t *result)
{
    const bpe_symbol *left = &t->symbols[at], *right = &t->symbols[at + 1];
    int both = left->id != PM_NO_TOKEN && right->id != PM_NO_TOKEN;
    if (t->n_merges == 0 && (both || !t->f->is_bytes)) {
        char bytes[64];
        size_t n_left, n_right;
        const char *left_bytes = spelling(t, left, &n_left), *right_bytes = spelling(t, right, &n_right);
        memcpy(bytes, left_bytes, n_left);
        memcpy(bytes + n_left, right_bytes, n_right);
        *result = find_entry(t->f, bytes, n_left + n_right);
        return *result == PM_NO_TOKEN ? INFINITY : -t->f->entries[*result].score;
    }
    for (size_t i = 0; i < t->n_merges && both; i++)
        if (t->merges[i].left == left->id && t->merges[i].right == right->id) {
            *result = t->merges[i].result;
            return (double)i;
        }
    return INFINITY;
}

static int merge_best(textbook_bpe *t)
{
    double best = INFINITY;
    size_t best_at = 0;
    int32_t result = PM_NO_TOKEN, best_result = PM_NO_TOKEN;
    for (size_t at = 0; at + 1 < t->n; at++) {
        double rank = rank_at(t, at, &result);
        if (rank < best) {
            best = rank;
            best_at = at;
            best_result = result;
        }
    }
    if (best_result == PM_NO_TOKEN)
        return 0;
    t->symbols[best_at].id = best_result;
    t->symbols[best_at].end = t->symbols[best_at + 1].end;
    t->n--;
    memmove(&t->symbols[best_at + 1], &t->symbols[best_at + 2], (t->n - best_at - 1) * sizeof *t->symbols);
    return 1;
}

static void first_symbols(textbook_bpe *t, size_t n)
{
    t->n = 0;
    for (size_t at = 0, length; at < n; at += length) {
        length = t->f->is_bytes ? 1 : pm_read_character(t->text, at, n).length;
        int32_t id = find_entry(t->f, t->text + at, length);
        if (id != PM_NO_TOKEN || !t->f->is_bytes || t->f->spec.unk != PM_NO_TOKEN)
            t->symbols[t->n++] = (bpe_symbol){.id = id, .begin = (uint32_t)at, .end = (uint32_t)(at + length)};
    }
}

/* Writes the ids over the symbols: a character becomes its bytes, or unk, or nothing. */
static size_t textbook_encode(textbook_bpe *t, const char *text, size_t n, bpe_symbol *out)
{
    size_t n_out = 0;
    int was_unknown = 0;
    t->text = text;
    first_symbols(t, n);
    while (merge_best(t))
        ;
    for (size_t i = 0; i < t->n; i++) {
        bpe_symbol s = t->symbols[i];
        int is_unknown = s.id == PM_NO_TOKEN && !t->byte_fallback && t->f->spec.unk != PM_NO_TOKEN;
        if (s.id != PM_NO_TOKEN) {
            out[n_out++] = s;
        } else if (t->byte_fallback) {
            for (uint32_t at = s.begin; at < s.end; at++) {
                s.id = (int32_t)(t->f->n - 256 + (unsigned char)text[at]);
                out[n_out++] = s;
            }
        } else if (is_unknown && was_unknown && t->fuse_unknown) {
            out[n_out - 1].end = s.end;
        } else if (is_unknown) {
            s.id = t->f->spec.unk;
            out[n_out++] = s;
        }
        was_unknown = is_unknown;
    }
    return n_out;
}

/* ---- Random vocabularies ---- */

/* Joins tokens at random, so that most merges can be reached, some tokens can be made in several ways, and many
 * are made of parts that come later than they. */
static void add_random_merges(textbook_bpe *t, word_model_fixture *f, size_t n)
{
    char bytes[64];
    for (size_t tries = 0; tries < 4 * n && t->n_merges < n; tries++) {
        int32_t left = (int32_t)random_below((unsigned)f->n), right = (int32_t)random_below((unsigned)f->n),
                known = 0;
        const pm_vocab_entry *l = &f->entries[left], *r = &f->entries[right];
        if (l->kind != PM_TOKEN_NORMAL || r->kind != PM_TOKEN_NORMAL || l->n_bytes + r->n_bytes > 24)
            continue;
        for (size_t i = 0; i < t->n_merges; i++)
            known |= t->merges[i].left == left && t->merges[i].right == right;
        if (known)
            continue;
        size_t size = l->n_bytes + r->n_bytes;
        memcpy(bytes, l->bytes, l->n_bytes);
        memcpy(bytes + l->n_bytes, r->bytes, r->n_bytes);
        if (find_entry(f, bytes, size) == PM_NO_TOKEN)
            fixture_add(f, bytes, size, PM_TOKEN_NORMAL, 0);
        t->merges[t->n_merges++] = (pm_vocab_merge){left, right, find_entry(f, bytes, size)};
    }
    for (size_t i = t->n_merges; i-- > 1;) {
        size_t other = random_below((unsigned)i + 1);
        pm_vocab_merge merge = t->merges[i];
        if (random_below(3) > 0)
            continue; /* most stay in the order in which they were made */
        t->merges[i] = t->merges[other];
        t->merges[other] = merge;
    }
}

/* Single characters, or bytes; all that there are, or most. */
static void add_first_tokens(word_model_fixture *f, const char *alphabet, int all)
{
    for (unsigned byte = 0; f->is_bytes && byte < 256; byte++) {
        char c = (char)byte;
        if (all || strchr(alphabet, c))
            fixture_add(f, &c, 1, PM_TOKEN_NORMAL, -1000);
    }
    for (size_t at = 0, length; !f->is_bytes && alphabet[at]; at += length) {
        length = pm_read_character(alphabet, at, strlen(alphabet)).length;
        if (all || random_below(4) > 0)
            fixture_add(f, alphabet + at, length, PM_TOKEN_NORMAL, -1000);
    }
}

static void check_like_textbook(textbook_bpe *t, word_model_fixture *f, const char *text, size_t n)
{
    static bpe_symbol expected[4 * MOST_SYMBOLS];
    size_t n_expected = textbook_encode(t, text, n, expected);
    assert_int_equal(fixture_encode(f, text, n, FIXTURE_IDS), PM_PLUGIN_OK);
    assert_int_equal(f->n_ids, n_expected);
    for (size_t i = 0; i < n_expected; i++) {
        assert_int_equal(f->ids[i], expected[i].id);
        assert_int_equal(f->spans[i].begin, 1000 + expected[i].begin);
        assert_int_equal(f->spans[i].end, 1000 + expected[i].end);
    }
}

static void bpe_round(unsigned round)
{
    static textbook_bpe t;
    static const char *const more[] = {"ab\xE2\x96\x81", "a>\xE2\x96\x81\xC3\xA9",
                                       "\xE3\x81\x82\xE3\x81\x84\xE2\x96\x81.a"};
    const char *alphabet = round % 9 < 6 ? alphabets[round % 9] : more[round % 9 - 6];
    char text[2048], options[100];
    word_model_fixture *f = fixture_create();
    int has_merges = random_below(2), all = random_below(2);
    f->is_bytes =
        random_below(2) || pm_read_character(alphabet, 1, strlen(alphabet)).malformed; /* is in no token */
    t = (textbook_bpe){
        .f = f, .byte_fallback = !f->is_bytes && random_below(2), .fuse_unknown = (int)random_below(2)};
    fixture_add_word(f, "<unk>", PM_TOKEN_UNKNOWN, 0);
    f->spec.unk = random_below(2) ? 0 : PM_NO_TOKEN;
    add_first_tokens(f, alphabet, all);
    if (has_merges)
        add_random_merges(&t, f, 4 + random_below(60));
    else
        add_random_tokens(f, alphabet, "", 4 + random_below(40), random_below(3));
    if (t.byte_fallback)
        add_bytes(f);
    f->spec.merges = t.n_merges ? t.merges : NULL;
    f->spec.n_merges = t.n_merges;
    snprintf(options, sizeof options, "{\"unk_token\":\"<unk>\",\"byte_fallback\":%s,\"fuse_unk\":%s}",
             t.byte_fallback ? "true" : "false", t.fuse_unknown ? "true" : "false");
    if (fixture_open(f, &bpe_kind, options) != PM_PLUGIN_OK)
        fail_msg("round %u: %s", round, f->text);
    for (unsigned i = 0; i < 40; i++) {
        size_t n = random_text(alphabet, 1 + random_below(i % 8 == 0 ? 400 : i % 2 ? 60 : 12), i % 3 == 0, text);
        check_like_textbook(&t, f, text, n);
        check_like_textbook(&t, f, text, n); /* now its parts are remembered */
        if (i % 16 == 0)
            fixture_forget(f);
    }
    fixture_destroy(f);
}

static void bpe_like_the_textbook(void **state)
{
    (void)state;
    random_state = 3;
    for (unsigned round = 0; round < 360; round++)
        bpe_round(round);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bpe_like_the_textbook)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
