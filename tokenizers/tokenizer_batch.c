/* Many texts at once, over threads: see pm_tokenizer_encode_batch in pumice/tokenizer.h.
 *
 * Each thread takes a few texts at a time and writes their tokens, one text after the other, into memory of its
 * own. When all are done the lengths of the rows are known, and the threads copy the rows to where they belong; a
 * single thread's are there already if none is padded.
 * Nothing is allocated per text.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/threads.h"
#include "tokenizer_instance.h"

enum { MOST_TEXTS_A_TURN = 64, TURNS_A_THREAD = 16, BYTES_FOR_A_THREAD = 32768, LONG_TEXT = 1 << 25 };

/* Where the tokens of a text are before they are copied. */
typedef struct batch_row {
    int thread;
    size_t begin, n;
} batch_row;

/* What one thread has written. */
typedef struct batch_store {
    int32_t *ids;
    pm_text_span *spans;
    uint8_t *type_ids, *sequences;
    size_t n, capacity;
    size_t failed_at; /* the text that failed; SIZE_MAX: none */
    pm_status status;
    pm_error err;
} batch_store;

typedef struct batch_work {
    const pm_tokenizer *tokenizer;
    const pm_batch_text *texts;
    size_t n, texts_a_turn;
    const pm_batch_options *options;
    batch_row *rows;
    batch_store *stores; /* one a thread */
    atomic_size_t next;
    atomic_int stop;
    pm_token_batch *out;
    int32_t pad_id;
} batch_work;

/* ---- Encoding ---- */

static int grow_array(void **array, size_t n, size_t size)
{
    void *grown = n <= SIZE_MAX / size ? realloc(*array, n * size) : NULL;
    if (grown)
        *array = grown;
    return grown != NULL;
}

static int reserve(batch_store *store, const pm_batch_options *options, size_t n)
{
    size_t capacity = store->capacity ? store->capacity : 4096;
    if (n > SIZE_MAX / 4 - store->n)
        return 0;
    while (capacity < store->n + n)
        capacity *= 2;
    if (capacity == store->capacity)
        return 1;
    if (!grow_array((void **)&store->ids, capacity, sizeof *store->ids) ||
        (options->with_spans && !grow_array((void **)&store->spans, capacity, sizeof *store->spans)) ||
        (options->with_types && (!grow_array((void **)&store->type_ids, capacity, 1) ||
                                 !grow_array((void **)&store->sequences, capacity, 1))))
        return 0;
    store->capacity = capacity;
    return 1;
}

static pm_encode_call make_call(const batch_work *w, const pm_batch_text *text, const batch_store *store)
{
    const pm_batch_options *o = w->options;
    return (pm_encode_call){
        .size = sizeof(pm_encode_call),
        .text = text->text,
        .n_text = text->size,
        .flags = o->flags,
        .ids = store->ids + store->n,
        .spans = o->with_spans ? store->spans + store->n : NULL,
        .capacity = store->capacity - store->n,
        .pair = text->pair,
        .n_pair = text->pair_size,
        .type_ids = o->with_types ? store->type_ids + store->n : NULL,
        .sequences = o->with_types ? store->sequences + store->n : NULL,
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
        if (!reserve(store, w->options, room))
            return pm_fail_memory(&store->err, room * sizeof *store->ids, "tokens");
        call = make_call(w, text, store);
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
    w->rows[i] = (batch_row){thread, store->n, call.n_ids};
    w->out->n_unknown_bytes[i] = call.n_unknown_bytes;
    w->out->n_truncated[i] = call.n_truncated;
    store->n += call.n_ids;
    return PM_OK;
}

static void encode_texts(void *user, int thread, int n_threads)
{
    (void)n_threads;
    batch_work *w = user;
    batch_store *store = &w->stores[thread];
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
    const batch_row *row = &w->rows[i];
    const batch_store *store = &w->stores[row->thread];
    pm_token_batch *out = w->out;
    size_t n_padding = out->starts[i + 1] - out->starts[i] - row->n;
    size_t to = out->starts[i] + (w->options->pad_left ? n_padding : 0);
    pad_row(w, w->options->pad_left ? out->starts[i] : out->starts[i] + row->n, n_padding);
    if (row->n == 0)
        return;
    memcpy(out->ids + to, store->ids + row->begin, row->n * sizeof *out->ids);
    memset(out->attention_mask + to, 1, row->n);
    if (out->spans)
        memcpy(out->spans + to, store->spans + row->begin, row->n * sizeof *out->spans);
    if (out->type_ids) {
        memcpy(out->type_ids + to, store->type_ids + row->begin, row->n);
        memcpy(out->sequences + to, store->sequences + row->begin, row->n);
    }
}

static void copy_rows(void *user, int thread, int n_threads)
{
    const batch_work *w = user;
    size_t each = w->n / (size_t)n_threads + 1, begin = each * (size_t)thread;
    for (size_t i = begin; i < w->n && i < begin + each; i++)
        copy_row(w, i);
}

/* What one thread has written is what is wanted: its memory becomes the batch's, less what there is too much of.
 */
static void take_store(batch_store *store, pm_token_batch *out)
{
    grow_array((void **)&store->ids, store->n + 1, sizeof *store->ids);
    if (store->spans)
        grow_array((void **)&store->spans, store->n + 1, sizeof *store->spans);
    if (store->type_ids) {
        grow_array((void **)&store->type_ids, store->n + 1, 1);
        grow_array((void **)&store->sequences, store->n + 1, 1);
    }
    out->ids = store->ids;
    out->spans = store->spans;
    out->type_ids = store->type_ids;
    out->sequences = store->sequences;
    memset(out->attention_mask, 1, store->n);
    *store = (batch_store){0};
}

/* How long a row of at least n tokens is. */
static size_t padded_length(const pm_batch_options *options, size_t n)
{
    size_t over = options->pad_multiple > 1 ? n % options->pad_multiple : 0;
    return over > 0 ? n + options->pad_multiple - over : n;
}

static pm_status fill_rows(batch_work *w, pm_threads *threads, pm_error *err)
{
    const pm_batch_options *o = w->options;
    pm_token_batch *out = w->out;
    size_t longest = 0, total = 0;
    for (size_t i = 0; i < w->n; i++)
        longest = w->rows[i].n > longest ? w->rows[i].n : longest;
    size_t least =
        o->padding == PM_PAD_NONE ? 0 : padded_length(o, o->padding == PM_PAD_FIXED ? o->pad_to : longest);
    for (size_t i = 0; i < w->n; i++) {
        size_t length = w->rows[i].n > least ? w->rows[i].n : least;
        if (length > SIZE_MAX / 32 - total)
            return pm_fail_memory(err, SIZE_MAX, "a batch of tokens");
        out->starts[i] = total;
        total += length;
    }
    out->starts[w->n] = total;
    out->attention_mask = malloc(total + 1);
    if (out->attention_mask && !threads && total == w->stores[0].n && w->stores[0].ids) {
        take_store(&w->stores[0], out);
        return PM_OK;
    }
    out->ids = malloc((total + 1) * sizeof *out->ids);
    out->spans = o->with_spans ? malloc((total + 1) * sizeof *out->spans) : NULL;
    out->type_ids = o->with_types ? malloc(total + 1) : NULL;
    out->sequences = o->with_types ? malloc(total + 1) : NULL;
    if (!out->ids || !out->attention_mask || (o->with_spans && !out->spans) ||
        (o->with_types && (!out->type_ids || !out->sequences)))
        return pm_fail_memory(err, total * sizeof *out->ids, "a batch of tokens");
    if (threads)
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
    if (wanted == 0)
        wanted = pm_threads_cores();
    if (most > n)
        most = n ? n : 1;
    return (size_t)wanted < most ? wanted : (int)most;
}

static pm_status first_failure(const batch_work *w, int n_threads, pm_error *err)
{
    const batch_store *first = NULL;
    for (int i = 0; i < n_threads; i++)
        if (w->stores[i].status != PM_OK && (!first || w->stores[i].failed_at < first->failed_at))
            first = &w->stores[i];
    if (!first)
        return PM_OK;
    if (err)
        *err = first->err;
    return first->status;
}

static pm_status run_batch(batch_work *w, int n_threads, pm_error *err)
{
    pm_threads *threads = NULL;
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

static void free_stores(batch_store *stores, int n)
{
    for (int i = 0; stores && i < n; i++) {
        free(stores[i].ids);
        free(stores[i].spans);
        free(stores[i].type_ids);
        free(stores[i].sequences);
    }
    free(stores);
}

pm_status pm_tokenizer_encode_batch(const pm_tokenizer *tokenizer, const pm_batch_text *texts, size_t n,
                                    const pm_batch_options *options, pm_token_batch *out, pm_error *err)
{
    static const pm_batch_options no_options;
    const pm_batch_options *o = options ? options : &no_options;
    PM_TRY(check_options(texts, n, o, err));
    int n_threads = count_threads(texts, n, o->n_threads);
    pm_token_batch batch = {.n = n};
    batch.starts = calloc(n + 1, sizeof *batch.starts);
    batch.n_unknown_bytes = calloc(n + 1, sizeof *batch.n_unknown_bytes);
    batch.n_truncated = calloc(n + 1, sizeof *batch.n_truncated);
    batch_work w = {.tokenizer = tokenizer, .texts = texts, .n = n, .options = o, .out = &batch};
    w.rows = calloc(n + 1, sizeof *w.rows);
    w.stores = calloc((size_t)n_threads, sizeof *w.stores);
    w.texts_a_turn = n / ((size_t)n_threads * TURNS_A_THREAD) + 1;
    if (w.texts_a_turn > MOST_TEXTS_A_TURN)
        w.texts_a_turn = MOST_TEXTS_A_TURN;
    w.pad_id = o->sets_pad_id ? o->pad_id : tokenizer->info.pad >= 0 ? tokenizer->info.pad : 0;
    pm_status status = PM_OK;
    if (!batch.starts || !batch.n_unknown_bytes || !batch.n_truncated || !w.rows || !w.stores)
        status = pm_fail_memory(err, n * sizeof *w.rows, "a batch of tokens");
    if (status == PM_OK)
        status = run_batch(&w, n_threads, err);
    free_stores(w.stores, n_threads);
    free(w.rows);
    if (status == PM_OK)
        *out = batch;
    else
        pm_token_batch_free(&batch);
    return status;
}

void pm_token_batch_free(pm_token_batch *batch)
{
    if (!batch)
        return;
    free(batch->starts);
    free(batch->ids);
    free(batch->spans);
    free(batch->attention_mask);
    free(batch->type_ids);
    free(batch->sequences);
    free(batch->n_unknown_bytes);
    free(batch->n_truncated);
    memset(batch, 0, sizeof *batch);
}

void pm_tokenizer_batch_options(const pm_tokenizer *tokenizer, pm_batch_options *options)
{
    *options = tokenizer->batch_options;
}
