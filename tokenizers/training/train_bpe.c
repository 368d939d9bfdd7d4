/* BPE's trainer, and WordPiece's, which is the same with "##" in front of what continues a word.
 *
 * Every word is a list of symbols. The pair of neighbours that occurs most often, of several the one with the
 * smallest ids, becomes a new token and is joined wherever it stands; only the counts of the pairs around those
 * places change. Pairs wait in a heap with the count that they had when they were put in; one whose count has
 * changed since goes back. In all of this, what happens to ties and to a token that comes about in two ways is as
 * in Hugging Face's BpeTrainer.
 */
#include <stdlib.h>
#include <string.h>

#include "parts/plugin_fail.h"
#include "parts/utf8_read.h"
#include "training/train.h"

typedef struct bpe_symbol_in_word {
    uint32_t id;
    uint32_t n_chars;
} symbol;

typedef struct word_symbols {
    size_t begin; /* in the trainer's symbols */
    uint32_t n;
} word_symbols;

typedef struct word_list {
    uint32_t *words;
    size_t n, capacity;
} word_list;

/* A pair that has been seen, with its occurrences in all texts now. */
typedef struct known_pair {
    uint64_t pair; /* left << 32 | right */
    int64_t count;
    word_list grown_in; /* words that have had more of it in this round */
    int is_grown;
} known_pair;

typedef struct waiting_pair {
    int64_t count; /* when it was put in */
    uint64_t pair;
    word_list words;
} waiting_pair;

typedef struct bpe_trainer {
    const train_run *run;
    const train_words *words;
    train_vocabulary *v;
    const char *prefix;
    size_t n_prefix, max_chars;
    symbol *symbols;
    word_symbols *in_words;
    known_pair *pairs;
    size_t n_pairs, pairs_capacity;
    uint32_t *slots; /* of pairs, open addressing: index + 1 */
    size_t mask;
    uint32_t *grown; /* pairs of this round */
    size_t n_grown, grown_capacity;
    waiting_pair *heap;
    size_t n_heap, heap_capacity;
    char *text; /* of a new token */
    size_t text_capacity;
} bpe_trainer;

static pm_status no_memory(const bpe_trainer *t)
{
    return pm_fail_memory(t->run->err, t->n_pairs * sizeof *t->pairs, "the pairs of a BPE trainer");
}

/* ---- Pairs ---- */

static size_t slot_of(uint64_t pair, size_t mask)
{
    uint64_t hash = (pair ^ pair >> 29) * 0xBF58476D1CE4E5B9u;
    return (size_t)(hash ^ hash >> 32) & mask;
}

static int rehash(bpe_trainer *t)
{
    size_t n_slots = t->slots ? 2 * (t->mask + 1) : 1 << 12;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    if (!slots)
        return 0;
    free(t->slots);
    t->slots = slots;
    t->mask = n_slots - 1;
    for (size_t i = 0; i < t->n_pairs; i++) {
        size_t at = slot_of(t->pairs[i].pair, t->mask);
        while (slots[at])
            at = (at + 1) & t->mask;
        slots[at] = (uint32_t)(i + 1);
    }
    return 1;
}

/* The slot that has the pair, or the free one where it would go. */
static size_t find_slot(const bpe_trainer *t, uint64_t pair)
{
    size_t at = slot_of(pair, t->mask);
    while (t->slots[at] && t->pairs[t->slots[at] - 1].pair != pair)
        at = (at + 1) & t->mask;
    return at;
}

/* The pair's index, which stays; UINT32_MAX when out of memory. */
static uint32_t add_pair(bpe_trainer *t, uint32_t left, uint32_t right)
{
    uint64_t pair = (uint64_t)left << 32 | right;
    if ((!t->slots || t->n_pairs >= t->mask / 2) && (t->n_pairs >= UINT32_MAX / 2 || !rehash(t)))
        return UINT32_MAX;
    size_t at = find_slot(t, pair);
    if (t->slots[at])
        return t->slots[at] - 1;
    if (!pm_grow((void **)&t->pairs, &t->pairs_capacity, t->n_pairs + 1, sizeof *t->pairs))
        return UINT32_MAX;
    t->pairs[t->n_pairs] = (known_pair){.pair = pair};
    t->slots[at] = (uint32_t)++t->n_pairs;
    return (uint32_t)(t->n_pairs - 1);
}

/* The pair occurs `times` times more (or less) in this word. 0 when out of memory. */
static int change_pair(bpe_trainer *t, uint32_t left, uint32_t right, int64_t times, uint32_t word)
{
    uint32_t at = add_pair(t, left, right);
    if (at == UINT32_MAX)
        return 0;
    known_pair *pair = &t->pairs[at];
    pair->count += times * (int64_t)t->words->list[word].count;
    if (times < 0)
        return 1;
    if (!pair->is_grown) {
        if (!pm_grow((void **)&t->grown, &t->grown_capacity, t->n_grown + 1, sizeof *t->grown))
            return 0;
        t->grown[t->n_grown++] = at;
        pair->is_grown = 1;
    }
    word_list *in = &pair->grown_in;
    if (in->n > 0 && in->words[in->n - 1] == word)
        return 1;
    if (!pm_grow((void **)&in->words, &in->capacity, in->n + 1, sizeof *in->words))
        return 0;
    in->words[in->n++] = word;
    return 1;
}

/* ---- The heap: the highest count first, then the smallest pair ---- */

static int is_before(const waiting_pair *a, const waiting_pair *b)
{
    return a->count != b->count ? a->count > b->count : a->pair < b->pair;
}

static int push(bpe_trainer *t, const waiting_pair *pair)
{
    if (!pm_grow((void **)&t->heap, &t->heap_capacity, t->n_heap + 1, sizeof *t->heap))
        return 0;
    size_t at = t->n_heap++;
    for (; at > 0 && is_before(pair, &t->heap[(at - 1) / 2]); at = (at - 1) / 2)
        t->heap[at] = t->heap[(at - 1) / 2];
    t->heap[at] = *pair;
    return 1;
}

static waiting_pair pop(bpe_trainer *t)
{
    waiting_pair top = t->heap[0], last = t->heap[--t->n_heap];
    size_t at = 0;
    for (size_t child = 1; child < t->n_heap; child = 2 * at + 1) {
        if (child + 1 < t->n_heap && is_before(&t->heap[child + 1], &t->heap[child]))
            child++;
        if (!is_before(&t->heap[child], &last))
            break;
        t->heap[at] = t->heap[child];
        at = child;
    }
    if (t->n_heap > 0)
        t->heap[at] = last;
    return top;
}

/* The pairs that have grown begin to wait, with the words that they have grown in. */
static int push_grown(bpe_trainer *t)
{
    int good = 1;
    for (size_t i = 0; i < t->n_grown; i++) {
        known_pair *pair = &t->pairs[t->grown[i]];
        const waiting_pair waiting = {pair->count, pair->pair, pair->grown_in};
        if (pair->count > 0 && good && push(t, &waiting))
            pair->grown_in = (word_list){0};
        else
            good = good && pair->count <= 0;
        pair->grown_in.n = 0;
        pair->is_grown = 0;
    }
    t->n_grown = 0;
    return good;
}

/* ---- Symbols ---- */

typedef struct counted_char {
    uint32_t code;
    uint64_t count;
} counted_char;

static int by_count(const void *a, const void *b)
{
    const counted_char *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->code > y->code) - (x->code < y->code);
}

static size_t put_character(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00 >> n & 0xFF) | code);
    return n;
}

/* How often each character occurs; all bytes' spellings count as often as anything can. */
static void count_characters(const bpe_trainer *t, uint64_t *counts)
{
    for (size_t i = 0; i < t->words->n; i++) {
        const train_word *word = &t->words->list[i];
        for (size_t at = 0; at < word->n;) {
            pm_character c = pm_read_character(word->bytes, at, word->n);
            counts[c.code] += word->count;
            at += c.length;
        }
    }
    if (t->words->is_bytes)
        for (uint32_t c = 0; c < 0x144; c++)
            if ((c >= 33 && c <= 126) || (c >= 161 && c <= 172) || c >= 174)
                counts[c] = UINT64_MAX;
}

/* The characters that are kept become tokens, in the order of their code points. */
static pm_status add_alphabet(bpe_trainer *t)
{
    enum { N_CODES = 0x110000 };
    uint64_t *counts = calloc(N_CODES, sizeof *counts);
    counted_char *chars = NULL;
    size_t n = 0, limit = t->run->options->alphabet_limit;
    pm_status status = counts ? PM_OK : no_memory(t);
    if (counts)
        count_characters(t, counts);
    for (uint32_t c = 0; status == PM_OK && c < N_CODES; c++)
        n += counts[c] > 0;
    if (status == PM_OK && limit > 0 && n > limit) {
        chars = malloc(n * sizeof *chars);
        status = chars ? PM_OK : no_memory(t);
        n = 0;
        for (uint32_t c = 0; status == PM_OK && c < N_CODES; c++)
            if (counts[c] > 0)
                chars[n++] = (counted_char){c, counts[c]};
        if (status == PM_OK)
            qsort(chars, n, sizeof *chars, by_count);
        for (size_t i = limit; status == PM_OK && i < n; i++)
            counts[chars[i].code] = 0;
    }
    for (uint32_t c = 0; status == PM_OK && c < N_CODES; c++) {
        char bytes[4];
        if (counts[c] > 0 && train_add(t->v, bytes, put_character(c, bytes)) == TRAIN_NO_TOKEN)
            status = no_memory(t);
    }
    free(chars);
    free(counts);
    return status;
}

/* The token of a word's character; TRAIN_NO_TOKEN with *left_out where the character is not in the alphabet. */
static uint32_t symbol_of(bpe_trainer *t, const char *bytes, size_t n, int is_first, int *left_out)
{
    char name[16];
    uint32_t id = train_find(t->v, bytes, n);
    *left_out = id == TRAIN_NO_TOKEN;
    if (*left_out || is_first || t->n_prefix == 0)
        return id;
    memcpy(name, t->prefix, t->n_prefix);
    memcpy(name + t->n_prefix, bytes, n);
    return train_add(t->v, name, t->n_prefix + n);
}

static pm_status split_words(bpe_trainer *t)
{
    size_t n_symbols = 0;
    for (size_t i = 0; i < t->words->n; i++)
        n_symbols += t->words->list[i].n;
    t->symbols = malloc((n_symbols + 1) * sizeof *t->symbols);
    t->in_words = malloc(t->words->n * sizeof *t->in_words);
    if (!t->symbols || !t->in_words)
        return pm_fail_memory(t->run->err, n_symbols * sizeof *t->symbols, "the symbols of all words");
    n_symbols = 0;
    for (size_t i = 0; i < t->words->n; i++) {
        const train_word *word = &t->words->list[i];
        size_t begin = n_symbols;
        for (size_t at = 0; at < word->n;) {
            size_t length = pm_read_character(word->bytes, at, word->n).length;
            int left_out;
            uint32_t id = symbol_of(t, word->bytes + at, length, at == 0, &left_out);
            if (id != TRAIN_NO_TOKEN)
                t->symbols[n_symbols++] = (symbol){id, 1};
            else if (!left_out)
                return no_memory(t);
            at += length;
        }
        t->in_words[i] = (word_symbols){begin, (uint32_t)(n_symbols - begin)};
    }
    return PM_OK;
}

/* ---- Merging ---- */

static pm_status count_pairs(bpe_trainer *t)
{
    for (size_t i = 0; i < t->words->n; i++) {
        const symbol *s = t->symbols + t->in_words[i].begin;
        for (uint32_t k = 0; k + 1 < t->in_words[i].n; k++)
            if (!change_pair(t, s[k].id, s[k + 1].id, 1, (uint32_t)i))
                return no_memory(t);
        if (i % 65536 == 0)
            PM_TRY(train_progress(t->run, "counting pairs", i, t->words->n));
    }
    return push_grown(t) ? PM_OK : no_memory(t);
}

/* Joins the pair wherever it stands in one word. 0 when out of memory. */
static int merge_in_word(bpe_trainer *t, uint32_t word, uint32_t left, uint32_t right, uint32_t merged)
{
    symbol *s = t->symbols + t->in_words[word].begin;
    uint32_t n = t->in_words[word].n, to = 0;
    int good = 1;
    for (uint32_t from = 0; from < n && good; from++, to++) {
        s[to] = s[from];
        if (s[from].id != left || from + 1 >= n || s[from + 1].id != right)
            continue;
        s[to] = (symbol){merged, s[from].n_chars + s[from + 1].n_chars};
        from++;
        if (to > 0) {
            good = change_pair(t, s[to - 1].id, left, -1, word);
            if (good && s[to - 1].n_chars + s[to].n_chars < t->max_chars)
                good = change_pair(t, s[to - 1].id, merged, 1, word);
        }
        if (good && from + 1 < n) {
            good = change_pair(t, right, s[from + 1].id, -1, word);
            if (good && s[from + 1].n_chars + s[to].n_chars < t->max_chars)
                good = change_pair(t, merged, s[from + 1].id, 1, word);
        }
    }
    t->in_words[word].n = to;
    return good;
}

/* The token that the pair makes: the left text and the right one, without what says that it continues a word. */
static uint32_t make_token(bpe_trainer *t, uint32_t left, uint32_t right)
{
    const train_token a = t->v->tokens[left];
    train_token b = t->v->tokens[right];
    if (t->n_prefix > 0 && b.n >= t->n_prefix && memcmp(b.bytes, t->prefix, t->n_prefix) == 0) {
        b.bytes += t->n_prefix;
        b.n -= t->n_prefix;
    }
    if (!pm_grow((void **)&t->text, &t->text_capacity, a.n + b.n, 1))
        return TRAIN_NO_TOKEN;
    memcpy(t->text, a.bytes, a.n);
    memcpy(t->text + a.n, b.bytes, b.n);
    return train_add(t->v, t->text, a.n + b.n);
}

static pm_status merge_pair(bpe_trainer *t, const waiting_pair *top)
{
    uint32_t left = (uint32_t)(top->pair >> 32), right = (uint32_t)top->pair;
    uint32_t merged = make_token(t, left, right);
    if (merged == TRAIN_NO_TOKEN ||
        !pm_grow((void **)&t->v->merges, &t->v->merges_capacity, t->v->n_merges + 1, sizeof *t->v->merges))
        return no_memory(t);
    t->v->merges[t->v->n_merges++] = (train_merge){left, right};
    for (size_t i = 0; i < top->words.n; i++)
        if (!merge_in_word(t, top->words.words[i], left, right, merged))
            return no_memory(t);
    return push_grown(t) ? PM_OK : no_memory(t);
}

static pm_status merge_all(bpe_trainer *t, size_t wanted, int64_t least)
{
    while (t->v->n < wanted && t->n_heap > 0) {
        waiting_pair top = pop(t);
        int64_t now = t->pairs[t->slots[find_slot(t, top.pair)] - 1].count;
        if (top.count != now) {
            top.count = now;
            push(t, &top); /* there is room: it was there before */
            continue;
        }
        if (now < 1 || now < least) {
            free(top.words.words);
            break;
        }
        pm_status status = merge_pair(t, &top);
        free(top.words.words);
        if (status == PM_OK && t->v->n_merges % 256 == 0)
            status = train_progress(t->run, "merging pairs", t->v->n, wanted);
        if (status != PM_OK)
            return status;
    }
    return PM_OK;
}

static void free_trainer(bpe_trainer *t)
{
    for (size_t i = 0; i < t->n_heap; i++)
        free(t->heap[i].words.words);
    for (size_t i = 0; i < t->n_pairs; i++)
        free(t->pairs[i].grown_in.words);
    free(t->heap);
    free(t->pairs);
    free(t->slots);
    free(t->grown);
    free(t->symbols);
    free(t->in_words);
    free(t->text);
}

pm_status train_bpe(const train_run *run, const train_words *words, train_vocabulary *v)
{
    const pm_train_options *o = run->options;
    bpe_trainer t = {
        .run = run, .words = words, .v = v, .max_chars = o->max_token_chars ? o->max_token_chars : SIZE_MAX};
    if (o->type == PM_TRAIN_WORDPIECE) {
        t.prefix = "##";
        t.n_prefix = 2;
    }
    if (words->n > UINT32_MAX)
        return pm_fail(run->err, PM_ERR_LIMIT, "there are %zu different words, too many for one vocabulary",
                       words->n);
    pm_status status = add_alphabet(&t);
    if (status == PM_OK)
        status = split_words(&t);
    if (status == PM_OK && v->n > o->n_tokens)
        status = pm_fail(run->err, PM_ERR_ARGUMENT,
                         "the special tokens and the characters of the texts are %zu tokens "
                         "already, and %zu are wanted: ask for more, or limit the alphabet",
                         v->n, o->n_tokens);
    if (status == PM_OK)
        status = count_pairs(&t);
    if (status == PM_OK)
        status = merge_all(&t, o->n_tokens, (int64_t)o->min_frequency);
    free_trainer(&t);
    return status;
}
