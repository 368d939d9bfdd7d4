/* Many texts at once, over threads: see pm_tokenizer_encode_batch in pumice/tokenizer.h.
 *
 * Each thread takes a few texts at a time and writes their tokens, one text after the other, into memory of its
 * own. When all are done the lengths of the rows are known, and the threads copy the rows to where they belong; a
 * single thread's are there already if none is padded.
 * Nothing is allocated per text, and nothing at all for a batch that goes where one of its size was before: that
 * memory has its pages, which are a tenth of the time of the fastest tokenizers.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/threads.h"
#include "parts/memory.h"
#include "tokenizer_instance.h"

enum { MOST_TEXTS_A_TURN = 64, TURNS_A_THREAD = 16, BYTES_FOR_A_THREAD = 32768, LONG_TEXT = 1 << 25 };

/* Where the tokens of a text are before they are copied. */
typedef struct batch_row {
    int thread;
    size_t begin, n;
} batch_row;

/* Tokens, and what is said of each where that is wanted. */
typedef struct batch_tokens {
    int32_t *ids;
    pm_text_span *spans;
    uint8_t *type_ids, *sequences;
    size_t capacity, spans_capacity, types_capacity, sequences_capacity;
} batch_tokens;

/* What one thread has written. */
typedef struct batch_store {
    batch_tokens tokens;
    size_t n;
    size_t failed_at; /* the text that failed, if one did */
    pm_status status;
    pm_error err;
} batch_store;

/* All that a batch points to, and what the next one is made with. */
struct pm_batch_memory {
    batch_tokens result;
    uint8_t *mask;
    size_t mask_capacity;
    size_t *starts, *n_unknown_bytes, *n_truncated;
    batch_row *rows;
    size_t starts_capacity, unknown_capacity, truncated_capacity, rows_capacity;
    batch_store *stores; /* one a thread */
    size_t n_stores;
};

typedef struct batch_work {
    const pm_tokenizer *tokenizer;
    const pm_batch_text *texts;
    size_t n, texts_a_turn;
    uint32_t threads_a_text;
    const pm_batch_options *options;
    struct pm_batch_memory *memory;
    atomic_size_t next;
    atomic_int stop;
    pm_token_batch *out;
    int32_t pad_id;
} batch_work;

/* ---- Memory ---- */

static int reserve_tokens(batch_tokens *t, const pm_batch_options *options, size_t n)
{
    return pm_grow((void **)&t->ids, &t->capacity, n, sizeof *t->ids) &&
           (!options->with_spans || pm_grow((void **)&t->spans, &t->spans_capacity, n, sizeof *t->spans)) &&
           (!options->with_types || (pm_grow((void **)&t->type_ids, &t->types_capacity, n, 1) &&
                                     pm_grow((void **)&t->sequences, &t->sequences_capacity, n, 1)));
}

static void exchange(batch_tokens *a, batch_tokens *b)
{
    batch_tokens was_a = *a;
    *a = *b;
    *b = was_a;
}

static void free_tokens(batch_tokens *t)
{
    free(t->ids);
    free(t->spans);
    free(t->type_ids);
    free(t->sequences);
}

static void free_memory(struct pm_batch_memory *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_stores; i++)
        free_tokens(&m->stores[i].tokens);
    free_tokens(&m->result);
    free(m->stores);
    free(m->mask);
    free(m->starts);
    free(m->n_unknown_bytes);
    free(m->n_truncated);
    free(m->rows);
    free(m);
}

/* Memory for n texts and so many threads; 0 when there is none. */
static int prepare(struct pm_batch_memory *m, size_t n, size_t n_threads)
{
    size_t n_before = m->n_stores;
    if (n == SIZE_MAX || !pm_grow((void **)&m->starts, &m->starts_capacity, n + 1, sizeof *m->starts) ||
        !pm_grow((void **)&m->n_unknown_bytes, &m->unknown_capacity, n + 1, sizeof *m->n_unknown_bytes) ||
        !pm_grow((void **)&m->n_truncated, &m->truncated_capacity, n + 1, sizeof *m->n_truncated) ||
        !pm_grow((void **)&m->rows, &m->rows_capacity, n + 1, sizeof *m->rows))
        return 0;
    if (n_threads > n_before) {
        batch_store *grown = realloc(m->stores, n_threads * sizeof *grown);
        if (!grown)
            return 0;
        m->stores = grown;
        m->n_stores = n_threads;
        memset(m->stores + n_before, 0, (n_threads - n_before) * sizeof *m->stores);
    }
    for (size_t i = 0; i < n_threads; i++) {
        m->stores[i].n = 0;
        m->stores[i].status = PM_OK;
    }
    if (n_threads == 1) /* which most likely writes what will be the result again */
        exchange(&m->result, &m->stores[0].tokens);
    return 1;
}

/* ---- Encoding ---- */

static pm_encode_call make_call(const batch_work *w, const pm_batch_text *text, const batch_store *store,
                                size_t room)
{
    const pm_batch_options *o = w->options;
    const batch_tokens *t = &store->tokens;
    return (pm_encode_call){
        .size = sizeof(pm_encode_call),
        .text = text->text,
        .n_text = text->size,
        .flags = o->flags,
        .n_threads = w->threads_a_text,
        .ids = t->ids + store->n,
        .spans = o->with_spans ? t->spans + store->n : NULL,
        .capacity = room,
        .pair = text->pair,
        .n_pair = text->pair_size,
        .type_ids = o->with_types ? t->type_ids + store->n : NULL,
        .sequences = o->with_types ? t->sequences + store->n : NULL,
        .max_tokens = o->max_tokens,
        .truncation = o->truncation,
        .truncate_left = o->truncate_left != 0,
    };
}

static pm_status encode_text(batch_work *w, batch_store *store, size_t i, int thread)
{
    const pm_batch_text *text = &w->texts[i];
    char sentence[400] = "";
    pm_plugin_message message = {sentence, sizeof sentence};
    /* Nearly always enough; else the plugin says how much is, and everything is done again: so there is plenty, as
     * memory that is not written to costs nothing, but for texts so long that it might be refused. */
    size_t bytes = text->size / 2 + text->pair_size / 2;
    size_t room = bytes < LONG_TEXT ? 2 * bytes + 32 : bytes;
    pm_plugin_code code = PM_PLUGIN_TOO_SMALL;
    pm_encode_call call = {0};
    for (int attempt = 0; attempt < 2 && code == PM_PLUGIN_TOO_SMALL; attempt++) {
        if (room > SIZE_MAX / 4 - store->n || !reserve_tokens(&store->tokens, w->options, store->n + room))
            return pm_fail_memory(&store->err, room * sizeof(int32_t), "tokens");
        call = make_call(w, text, store, room);
        code = w->tokenizer->api->encode(w->tokenizer->instance, &call, &message);
        if (code == PM_PLUGIN_OK && call.n_ids > call.capacity)
            code = PM_PLUGIN_INTERNAL;
        room = call.n_ids;
    }
    if (code != PM_PLUGIN_OK) {
        char context[200];
        snprintf(context, sizeof context, "%.150s, text %zu", w->tokenizer->plugin.plugin->name, i);
        return pm_plugin_error(&store->err, code, context, sentence);
    }
    w->memory->rows[i] = (batch_row){thread, store->n, call.n_ids};
    w->memory->n_unknown_bytes[i] = call.n_unknown_bytes;
    w->memory->n_truncated[i] = call.n_truncated;
    store->n += call.n_ids;
    return PM_OK;
}

static void encode_texts(void *user, int thread, int n_threads)
{
    (void)n_threads;
    batch_work *w = user;
    batch_store *store = &w->memory->stores[thread];
    while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
        size_t begin = atomic_fetch_add_explicit(&w->next, w->texts_a_turn, memory_order_relaxed);
        if (begin >= w->n)
            return;
        size_t end = w->n - begin < w->texts_a_turn ? w->n : begin + w->texts_a_turn;
        for (size_t i = begin; i < end; i++) {
            store->status = encode_text(w, store, i, thread);
            if (store->status != PM_OK) {
                store->failed_at = i;
                atomic_store_explicit(&w->stop, 1, memory_order_relaxed);
                return;
            }
        }
    }
}

/* ---- Rows ---- */

static void pad_row(const batch_work *w, size_t from, size_t n)
{
    pm_token_batch *out = w->out;
    for (size_t i = from; i < from + n; i++)
        out->ids[i] = w->pad_id;
    memset(out->attention_mask + from, 0, n);
    if (out->spans)
        memset(out->spans + from, 0, n * sizeof *out->spans);
    if (out->type_ids) {
        memset(out->type_ids + from, w->options->pad_type_id, n);
        memset(out->sequences + from, PM_SEQUENCE_NONE, n);
    }
}

static void copy_row(const batch_work *w, size_t i)
{
    const batch_row *row = &w->memory->rows[i];
    const batch_tokens *from = &w->memory->stores[row->thread].tokens;
    pm_token_batch *out = w->out;
    size_t n_padding = out->starts[i + 1] - out->starts[i] - row->n;
    size_t to = out->starts[i] + (w->options->pad_left ? n_padding : 0);
    pad_row(w, w->options->pad_left ? out->starts[i] : out->starts[i] + row->n, n_padding);
    if (row->n == 0)
        return;
    memcpy(out->ids + to, from->ids + row->begin, row->n * sizeof *out->ids);
    memset(out->attention_mask + to, 1, row->n);
    if (out->spans)
        memcpy(out->spans + to, from->spans + row->begin, row->n * sizeof *out->spans);
    if (out->type_ids) {
        memcpy(out->type_ids + to, from->type_ids + row->begin, row->n);
        memcpy(out->sequences + to, from->sequences + row->begin, row->n);
    }
}

static void copy_rows(void *user, int thread, int n_threads)
{
    const batch_work *w = user;
    size_t each = w->n / (size_t)n_threads + 1, begin = each * (size_t)thread;
    for (size_t i = begin; i < w->n && i < begin + each; i++)
        copy_row(w, i);
}

/* How long a row of at least n tokens is. */
static size_t padded_length(const pm_batch_options *options, size_t n)
{
    size_t over = options->pad_multiple > 1 ? n % options->pad_multiple : 0;
    return over > 0 ? n + options->pad_multiple - over : n;
}

/* The lengths of the rows; they are so long together. */
static pm_status place_rows(const batch_work *w, size_t *total, pm_error *err)
{
    const pm_batch_options *o = w->options;
    const struct pm_batch_memory *m = w->memory;
    size_t longest = 0, at = 0;
    for (size_t i = 0; i < w->n; i++)
        longest = m->rows[i].n > longest ? m->rows[i].n : longest;
    size_t least =
        o->padding == PM_PAD_NONE ? 0 : padded_length(o, o->padding == PM_PAD_FIXED ? o->pad_to : longest);
    for (size_t i = 0; i < w->n; i++) {
        size_t length = m->rows[i].n > least ? m->rows[i].n : least;
        if (length > SIZE_MAX / 32 - at)
            return pm_fail_memory(err, SIZE_MAX, "a batch of tokens");
        m->starts[i] = at;
        at += length;
    }
    m->starts[w->n] = at;
    *total = at;
    return PM_OK;
}

/* What the caller gets to see of the memory. */
static void show(batch_work *w)
{
    const struct pm_batch_memory *m = w->memory;
    const pm_batch_options *o = w->options;
    *w->out = (pm_token_batch){
        .n = w->n,
        .starts = m->starts,
        .ids = m->result.ids,
        .attention_mask = m->mask,
        .spans = o->with_spans ? m->result.spans : NULL,
        .type_ids = o->with_types ? m->result.type_ids : NULL,
        .sequences = o->with_types ? m->result.sequences : NULL,
        .n_unknown_bytes = m->n_unknown_bytes,
        .n_truncated = m->n_truncated,
        .memory = w->memory,
    };
}

static pm_status fill_rows(batch_work *w, pm_threads *threads, pm_error *err)
{
    struct pm_batch_memory *m = w->memory;
    size_t total = 0;
    PM_TRY(place_rows(w, &total, err));
    if (!pm_grow((void **)&m->mask, &m->mask_capacity, total + 1, 1))
        return pm_fail_memory(err, total, "a batch of tokens");
    int is_there = !threads && total == m->stores[0].n; /* what the one thread has written is what is wanted */
    if (is_there)
        exchange(&m->result, &m->stores[0].tokens);
    if (!reserve_tokens(&m->result, w->options, total + 1))
        return pm_fail_memory(err, total * sizeof(int32_t), "a batch of tokens");
    show(w);
    if (is_there)
        memset(m->mask, 1, total);
    else if (threads)
        pm_threads_run(threads, copy_rows, w);
    else
        copy_rows(w, 0, 1);
    return PM_OK;
}

/* ---- The call ---- */

static pm_status check_options(const pm_batch_text *texts, size_t n, const pm_batch_options *o, pm_error *err)
{
    if (!texts && n > 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "encode_batch: there are %zu texts, but no pointer to them", n);
    if (o->padding < PM_PAD_NONE || o->padding > PM_PAD_FIXED || o->truncation > PM_TRUNCATE_ONLY_SECOND ||
        o->n_threads < 0 || (o->sets_pad_id && o->pad_id < 0))
        return pm_fail(err, PM_ERR_ARGUMENT, "encode_batch: an option is out of range");
    return PM_OK;
}

/* So many threads that each has something to do. */
static int count_threads(const pm_batch_text *texts, size_t n, int wanted)
{
    size_t bytes = 0, most;
    for (size_t i = 0; i < n && bytes < SIZE_MAX / 4; i++)
        bytes += texts[i].size / 2 + texts[i].pair_size / 2 + 64;
    most = bytes / (BYTES_FOR_A_THREAD / 2) + 1;
    return (size_t)wanted < most ? wanted : (int)most;
}

static pm_status first_failure(const batch_work *w, int n_threads, pm_error *err)
{
    const batch_store *first = NULL, *stores = w->memory->stores;
    for (int i = 0; i < n_threads; i++)
        if (stores[i].status != PM_OK && (!first || stores[i].failed_at < first->failed_at))
            first = &stores[i];
    if (!first)
        return PM_OK;
    if (err)
        *err = first->err;
    return first->status;
}

static pm_status run_batch(batch_work *w, pm_error *err)
{
    pm_threads *threads = NULL;
    int wanted = w->options->n_threads ? w->options->n_threads : pm_threads_cores();
    int useful = count_threads(w->texts, w->n, wanted), n_threads = useful;
    if (w->n < (size_t)useful) { /* then the texts share what is left over */
        n_threads = w->n > 0 ? (int)w->n : 1;
        w->threads_a_text = (uint32_t)(useful / n_threads);
    }
    w->texts_a_turn = w->n / ((size_t)n_threads * TURNS_A_THREAD) + 1;
    if (w->texts_a_turn > MOST_TEXTS_A_TURN)
        w->texts_a_turn = MOST_TEXTS_A_TURN;
    if (!w->memory || !prepare(w->memory, w->n, (size_t)n_threads))
        return pm_fail_memory(err, w->n * sizeof(batch_row), "a batch of tokens");
    if (n_threads > 1)
        PM_TRY(pm_threads_create(n_threads, &threads, err));
    if (threads)
        pm_threads_run(threads, encode_texts, w);
    else
        encode_texts(w, 0, 1);
    pm_status status = first_failure(w, n_threads, err);
    if (status == PM_OK)
        status = fill_rows(w, threads, err);
    pm_threads_destroy(threads);
    return status;
}

pm_status pm_tokenizer_encode_batch(const pm_tokenizer *tokenizer, const pm_batch_text *texts, size_t n,
                                    const pm_batch_options *options, pm_token_batch *out, pm_error *err)
{
    static const pm_batch_options no_options;
    const pm_batch_options *o = options ? options : &no_options;
    if (!out->memory)
        out->memory = calloc(1, sizeof *out->memory);
    batch_work w = {
        .tokenizer = tokenizer, .texts = texts, .n = n, .options = o, .out = out, .memory = out->memory};
    w.pad_id = o->sets_pad_id ? o->pad_id : tokenizer->info.pad >= 0 ? tokenizer->info.pad : 0;
    pm_status status = check_options(texts, n, o, err);
    if (status == PM_OK)
        status = run_batch(&w, err);
    if (status != PM_OK)
        pm_token_batch_free(out);
    return status;
}

void pm_token_batch_free(pm_token_batch *batch)
{
    if (!batch)
        return;
    free_memory(batch->memory);
    memset(batch, 0, sizeof *batch);
}

void pm_tokenizer_batch_options(const pm_tokenizer *tokenizer, pm_batch_options *options)
{
    *options = tokenizer->batch_options;
}
