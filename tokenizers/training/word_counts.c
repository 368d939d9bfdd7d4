/* Counting the words of texts: lines, normalised and cut as the tokenizer will do it, on all threads.
 *
 * Files are cut at line ends into chunks that threads take in turn; each thread counts into a table of its own,
 * and the tables are put together at the end.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapped_file.h"
#include "parts/byte_alphabet.h"
#include "parts/bytes_hash.h"
#include "parts/json_tree.h"
#include "parts/normalizer.h"
#include "parts/pre_tokenizer.h"
#include "parts/utf8_read.h"
#include "training/train.h"

enum { CHUNK_BYTES = 1 << 18, MOST_LINE_BYTES = 1 << 28, FIRST_SLOTS = 1 << 12 };

/* ---- A table of words ---- */

typedef struct counted_word {
    uint64_t count, hash;
    size_t at; /* in the table's bytes */
    uint32_t n;
} counted_word;

typedef struct word_table {
    counted_word *words;
    size_t n, capacity;
    char *bytes;
    size_t n_bytes, bytes_capacity;
    uint32_t *slots; /* index of the word + 1; 0: free */
    size_t mask;
} word_table;

static void table_free(word_table *t)
{
    free(t->words);
    free(t->bytes);
    free(t->slots);
    memset(t, 0, sizeof *t);
}

static int table_rehash(word_table *t)
{
    size_t n_slots = t->slots ? 2 * (t->mask + 1) : FIRST_SLOTS;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    if (!slots)
        return 0;
    free(t->slots);
    t->slots = slots;
    t->mask = n_slots - 1;
    for (size_t i = 0; i < t->n; i++) {
        size_t at = t->words[i].hash & t->mask;
        while (slots[at])
            at = (at + 1) & t->mask;
        slots[at] = (uint32_t)(i + 1);
    }
    return 1;
}

/* 0 when out of memory. */
static int table_count(word_table *t, const char *bytes, size_t n, uint64_t count)
{
    if ((!t->slots || t->n >= t->mask / 2) && (t->n >= UINT32_MAX / 2 || !table_rehash(t)))
        return 0;
    uint64_t hash = pm_hash_bytes(bytes, n, n).hash >> 20;
    size_t at = hash & t->mask;
    for (; t->slots[at]; at = (at + 1) & t->mask) {
        counted_word *word = &t->words[t->slots[at] - 1];
        if (word->hash == hash && word->n == n && memcmp(t->bytes + word->at, bytes, n) == 0) {
            word->count += count;
            return 1;
        }
    }
    if (!pm_grow((void **)&t->words, &t->capacity, t->n + 1, sizeof *t->words) ||
        !pm_grow((void **)&t->bytes, &t->bytes_capacity, t->n_bytes + n, 1))
        return 0;
    memcpy(t->bytes + t->n_bytes, bytes, n);
    t->words[t->n++] = (counted_word){count, hash, t->n_bytes, (uint32_t)n};
    t->n_bytes += n;
    t->slots[at] = (uint32_t)t->n;
    return 1;
}

/* ---- One thread's work ---- */

typedef struct text_chunk {
    const char *bytes;
    size_t n;
} text_chunk;

typedef struct counting counting;

typedef struct counting_thread {
    counting *all;
    word_table table;
    pm_normalizer_scratch scratch;
    pm_pre_tokenizer_run *run;
    char *spelled;
    size_t spelled_capacity;
    pm_plugin_code code;
    char text[160];
} counting_thread;

struct counting {
    const train_run *run;
    pm_normalizer *normalizer;
    pm_pre_tokenizer *pre_tokenizer;
    int is_bytes;
    int line_ends_apart; /* Unigram: they are characters, but no part of a longer piece */
    text_chunk *chunks;
    size_t n_chunks, chunks_capacity;
    _Atomic(size_t) next;
    _Atomic(int) stop;
    counting_thread *threads;
    uint64_t n_bytes;
    pm_status progress_status;
};

/* The word as the vocabulary spells it: bytes in their alphabet, or UTF-8 made valid. */
static const char *spell(counting_thread *t, const pm_piece *piece, size_t *n)
{
    size_t bad;
    *n = piece->n;
    if (!t->all->is_bytes) {
        for (bad = 0; bad < piece->n;) {
            pm_character c = pm_read_character(piece->bytes, bad, piece->n);
            if (c.malformed)
                break;
            bad += c.length;
        }
        if (bad == piece->n)
            return piece->bytes;
    }
    if (!pm_grow((void **)&t->spelled, &t->spelled_capacity, 3 * piece->n, 1))
        return NULL;
    if (t->all->is_bytes) {
        *n = pm_byte_alphabet_encode(piece->bytes, piece->n, t->spelled);
        return t->spelled;
    }
    *n = 0;
    for (size_t at = 0; at < piece->n;) {
        pm_character c = pm_read_character(piece->bytes, at, piece->n);
        memcpy(t->spelled + *n, c.malformed ? "\xEF\xBF\xBD" : piece->bytes + at, c.malformed ? 3 : c.length);
        *n += c.malformed ? 3 : c.length;
        at += c.length;
    }
    return t->spelled;
}

static pm_plugin_code take_word(void *context, const pm_piece *piece)
{
    counting_thread *t = context;
    size_t n;
    const char *word = spell(t, piece, &n);
    if (!word || n > UINT32_MAX)
        return PM_PLUGIN_MEMORY;
    size_t end = n; /* behind the word; in front of its line end */
    while (t->all->line_ends_apart && end > 0 && (word[end - 1] == '\n' || word[end - 1] == '\r'))
        end--;
    if ((end > 0 && !table_count(&t->table, word, end, 1)) ||
        (end < n && !table_count(&t->table, word + end, n - end, 1)))
        return PM_PLUGIN_MEMORY;
    return PM_PLUGIN_OK;
}

static pm_plugin_code count_line(counting_thread *t, const char *line, size_t n, const pm_plugin_message *message)
{
    const counting *all = t->all;
    pm_piece whole = {.bytes = line, .n = n, .starts_text = 1}, normal = whole;
    int with_origins = pm_pre_tokenizer_needs_origins(all->pre_tokenizer);
    if (all->normalizer)
        PM_PLUGIN_TRY(pm_normalize(all->normalizer, &t->scratch, &whole, with_origins, &normal, message));
    if (normal.n == 0)
        return PM_PLUGIN_OK;
    if (!all->pre_tokenizer)
        return take_word(t, &normal);
    return pm_pre_tokenize(all->pre_tokenizer, t->run, &normal, with_origins,
                           &(pm_piece_sink){.take = take_word, .context = t}, message);
}

static pm_plugin_code count_chunk(counting_thread *t, const text_chunk *chunk, const pm_plugin_message *message)
{
    for (size_t at = 0; at < chunk->n;) {
        const char *newline = memchr(chunk->bytes + at, '\n', chunk->n - at);
        size_t end = newline ? (size_t)(newline - chunk->bytes) + 1 : chunk->n;
        if (end - at > MOST_LINE_BYTES)
            end = at + MOST_LINE_BYTES;
        PM_PLUGIN_TRY(count_line(t, chunk->bytes + at, end - at, message));
        at = end;
    }
    return PM_PLUGIN_OK;
}

static void count_on_thread(void *user, int index, int n_threads)
{
    (void)n_threads;
    counting *all = user;
    counting_thread *t = &all->threads[index];
    const pm_plugin_message message = {t->text, sizeof t->text};
    if (all->pre_tokenizer)
        t->code = pm_pre_tokenizer_run_create(all->pre_tokenizer, &t->run, &message);
    while (t->code == PM_PLUGIN_OK && !atomic_load(&all->stop)) {
        size_t next = atomic_fetch_add(&all->next, 1);
        if (next >= all->n_chunks)
            break;
        t->code = count_chunk(t, &all->chunks[next], &message);
        if (index == 0) { /* the caller's own thread */
            all->progress_status = train_progress(all->run, "counting words", next + 1, all->n_chunks);
            if (all->progress_status != PM_OK)
                atomic_store(&all->stop, 1);
        }
    }
    if (t->code != PM_PLUGIN_OK)
        atomic_store(&all->stop, 1);
}

/* ---- The whole ---- */

static int add_chunks(counting *all, const pm_mapped_file *file)
{
    const char *bytes = file->data;
    for (size_t at = 0; at < file->size;) {
        size_t end = file->size;
        if (end - at > CHUNK_BYTES) {
            const char *newline = memchr(bytes + at + CHUNK_BYTES, '\n', file->size - at - CHUNK_BYTES);
            end = newline ? (size_t)(newline - bytes) + 1 : file->size;
        }
        if (!pm_grow((void **)&all->chunks, &all->chunks_capacity, all->n_chunks + 1, sizeof *all->chunks))
            return 0;
        all->chunks[all->n_chunks++] = (text_chunk){bytes + at, end - at};
        at = end;
    }
    all->n_bytes += file->size;
    return 1;
}

static int by_bytes(const void *a, const void *b)
{
    const train_word *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* All tables into the first one, and from there into a sorted list. */
static pm_status gather(counting *all, int n_threads, train_words *out)
{
    word_table *whole = &all->threads[0].table;
    for (int i = 1; i < n_threads; i++) {
        word_table *t = &all->threads[i].table;
        for (size_t k = 0; k < t->n; k++)
            if (!table_count(whole, t->bytes + t->words[k].at, t->words[k].n, t->words[k].count))
                return pm_fail_memory(all->run->err, whole->n_bytes, "the words of the texts");
        table_free(t);
    }
    if (whole->n == 0)
        return pm_fail(all->run->err, PM_ERR_ARGUMENT, "there are no words in the texts");
    out->list = malloc(whole->n * sizeof *out->list);
    if (!out->list)
        return pm_fail_memory(all->run->err, whole->n * sizeof *out->list, "the words of the texts");
    for (size_t i = 0; i < whole->n; i++)
        out->list[i] = (train_word){whole->bytes + whole->words[i].at, whole->words[i].n, whole->words[i].count};
    out->n = whole->n;
    out->bytes = whole->bytes;
    whole->bytes = NULL;
    out->n_text_bytes = all->n_bytes;
    out->is_bytes = all->is_bytes;
    qsort(out->list, out->n, sizeof *out->list, by_bytes);
    return PM_OK;
}

static pm_status run_threads(counting *all, train_words *out)
{
    int n_threads = pm_threads_count(all->run->threads);
    all->threads = calloc((size_t)n_threads, sizeof *all->threads);
    if (!all->threads)
        return pm_fail_memory(all->run->err, (size_t)n_threads * sizeof *all->threads, "counting words");
    for (int i = 0; i < n_threads; i++)
        all->threads[i].all = all;
    pm_threads_run(all->run->threads, count_on_thread, all);
    pm_status status = all->progress_status;
    for (int i = 0; i < n_threads && status == PM_OK; i++)
        if (all->threads[i].code == PM_PLUGIN_MEMORY)
            status = pm_fail_memory(all->run->err, all->threads[i].table.n_bytes, "the words of the texts");
        else if (all->threads[i].code != PM_PLUGIN_OK)
            status = pm_fail(all->run->err, PM_ERR_FORMAT, "%s", all->threads[i].text);
    if (status == PM_OK)
        status = gather(all, n_threads, out);
    for (int i = 0; i < n_threads; i++) {
        table_free(&all->threads[i].table);
        pm_normalizer_scratch_destroy(&all->threads[i].scratch);
        pm_pre_tokenizer_run_destroy(all->threads[i].run);
        free(all->threads[i].spelled);
    }
    free(all->threads);
    return status;
}

static pm_status make_parts(counting *all)
{
    char text[200] = "";
    const pm_plugin_message message = {text, sizeof text};
    pm_json_tree *tree = NULL;
    pm_plugin_code code = pm_json_tree_parse(all->run->description, all->run->n_description, &tree, &message);
    const pm_json *root = code == PM_PLUGIN_OK ? pm_json_root(tree) : NULL;
    if (code == PM_PLUGIN_OK)
        code = pm_normalizer_create(pm_json_member(root, "normalizer"), &all->normalizer, &message);
    if (code == PM_PLUGIN_OK)
        code = pm_pre_tokenizer_create(pm_json_member(root, "pre_tokenizer"), &all->pre_tokenizer, &message);
    pm_json_tree_destroy(tree);
    if (code == PM_PLUGIN_MEMORY)
        return pm_fail_memory(all->run->err, all->run->n_description, "the parts of the tokenizer");
    if (code != PM_PLUGIN_OK)
        return pm_fail(all->run->err, PM_ERR_FORMAT, "%s", text);
    all->is_bytes = all->pre_tokenizer && pm_pre_tokenizer_gives_bytes(all->pre_tokenizer);
    return PM_OK;
}

pm_status train_count_words(const train_run *run, const char *const *files, size_t n_files, train_words *out)
{
    counting all = {.run = run, .line_ends_apart = run->options->type == PM_TRAIN_UNIGRAM};
    pm_mapped_file *maps = calloc(n_files + 1, sizeof *maps);
    pm_status status =
        maps ? make_parts(&all) : pm_fail_memory(run->err, n_files * sizeof *maps, "the list of files");
    for (size_t i = 0; i < n_files && status == PM_OK; i++) {
        status = pm_map_file(files[i], &maps[i], run->err);
        if (status == PM_OK && !add_chunks(&all, &maps[i]))
            status = pm_fail_memory(run->err, all.n_chunks * sizeof *all.chunks, "the list of lines");
    }
    if (status == PM_OK)
        status = run_threads(&all, out);
    for (size_t i = 0; maps && i < n_files; i++)
        pm_unmap_file(&maps[i]);
    free(maps);
    free(all.chunks);
    pm_normalizer_destroy(all.normalizer);
    pm_pre_tokenizer_destroy(all.pre_tokenizer);
    return status;
}

void train_words_free(train_words *words)
{
    free(words->list);
    free(words->bytes);
    memset(words, 0, sizeof *words);
}
