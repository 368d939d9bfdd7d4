/* Converting a model to a GGUF file of another type: see pumice/convert.h.
 *
 * A tensor is one long run of values, cut into pieces of whole blocks: no block crosses the end of a row, so rows
 * do not matter. The threads take the pieces of a batch in turn, each through F32 in memory of its own; then the
 * batch is written. The values are checked on their way, as a single NaN makes a whole model answer nonsense.
 */
#include "pumice/convert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/threads.h"
#include "base/utf8.h"
#include "formats/block_types.h"
#include "models/hf_import.h"

enum {
    PIECE_ELEMS = 1 << 13, /* 32 KiB of F32: stays in the first-level cache with what it becomes */
    BATCH_PIECES = 128,    /* between two calls of progress, and two writes */
    COPY_BYTES = 4 << 20,  /* the same for tensors that are copied */
    MAX_THREADS = 256,
    QUANTIZATION_VERSION = 2 /* of the GGUF specification's block layouts */
};

static const float largest_half = 65504.0f; /* also of the scales of blocks */

typedef struct conversion {
    const pm_convert_options *options;
    const pm_gguf *file;
    pm_hf_stream *stream; /* of a directory */
    pm_gguf_writer *writer;
    pm_threads *threads;
    float *values;         /* PIECE_ELEMS for each thread */
    unsigned char *packed; /* a batch */
    pm_type *types;        /* of the tensors as they will be */
    uint64_t done;
    pm_convert_result result;
} conversion;

static size_t bytes_of(pm_type type, size_t n)
{
    const pm_type_info *info = pm_type_get(type);
    return n / info->block_elems * info->block_bytes;
}

static size_t n_elems(const pm_gguf_tensor *t)
{
    const pm_type_info *info = pm_type_get(t->type);
    return t->n_bytes / info->block_bytes * info->block_elems;
}

/* ---- Types ---- */

static int contains(pm_str text, const char *part)
{
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static int is_called(const pm_gguf_tensor *t, const char *name)
{
    return t->name.size == strlen(name) && memcmp(t->name.data, name, t->name.size) == 0;
}

/* Small tables that are added or multiplied elementwise, or that choose experts: other programs want them in F32.
 */
static int is_small_table(const pm_gguf_tensor *t)
{
    static const char *const parts[] = {"_norm.weight",      "position_embd", "token_types.weight",
                                        "attn_rel_b.weight", "ffn_gate_inp.", "conv1d.weight"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (contains(t->name, parts[i]))
            return 1;
    return 0;
}

static int is_matrix(const pm_gguf_tensor *t)
{
    static const char ending[] = ".weight";
    size_t n = sizeof ending - 1;
    return t->n_dims >= 2 && t->name.size > n && memcmp(t->name.data + t->name.size - n, ending, n) == 0 &&
           !is_small_table(t);
}

static int is_quantised(pm_type type)
{
    return pm_type_get(type)->block_elems > 1;
}

static pm_type that_fits(pm_type type, int64_t row)
{
    pm_type smaller = type == PM_TYPE_Q4_K   ? PM_TYPE_Q5_0
                      : type == PM_TYPE_Q5_K ? PM_TYPE_Q5_1
                      : type == PM_TYPE_Q6_K ? PM_TYPE_Q8_0
                                             : PM_TYPE_F16;
    if (row % pm_type_get(type)->block_elems == 0)
        return type;
    return row % pm_type_get(smaller)->block_elems == 0 ? smaller : PM_TYPE_F16;
}

pm_type pm_convert_type(const pm_gguf_tensor *t, pm_type type, int is_tied)
{
    if (t->type == PM_TYPE_I32)
        return t->type;
    if (!is_matrix(t))
        return is_quantised(t->type) ? t->type : PM_TYPE_F32;
    int is_output = is_called(t, "output.weight") || (is_tied && is_called(t, "token_embd.weight"));
    if (is_output && is_quantised(type) && type != PM_TYPE_Q8_0)
        type = PM_TYPE_Q6_K;
    return that_fits(type, t->dim[0]);
}

static pm_status choose_types(conversion *c, pm_error *err)
{
    size_t n = pm_gguf_n_tensors(c->file);
    int is_tied = pm_gguf_find_tensor(c->file, "output.weight") == NULL;
    c->types = malloc((n + 1) * sizeof *c->types);
    if (!c->types)
        return pm_fail_memory(err, n * sizeof *c->types, "the list of tensors");
    for (size_t i = 0; i < n; i++) {
        const pm_gguf_tensor *t = pm_gguf_tensor_at(c->file, i);
        pm_type wanted = c->options->keeps_types ? t->type : c->options->type;
        c->types[i] = c->options->keeps_types && is_matrix(t) ? t->type : pm_convert_type(t, wanted, is_tied);
        c->result.n_tensors[c->types[i]]++;
        c->result.n_requantised += is_quantised(t->type) && is_quantised(c->types[i]) && c->types[i] != t->type;
        c->result.n_fallbacks += is_matrix(t) && t->dim[0] % pm_type_get(wanted)->block_elems != 0;
        c->result.bytes_before += t->n_bytes;
        c->result.bytes_after += bytes_of(c->types[i], n_elems(t));
    }
    return PM_OK;
}

/* ---- Metadata ---- */

/* Source: the GGUF specification's list. */
uint32_t pm_convert_file_type(pm_type type)
{
    static const uint32_t numbers[PM_TYPE_COUNT] = {
        [PM_TYPE_F32] = 0,   [PM_TYPE_F16] = 1,   [PM_TYPE_BF16] = 32, [PM_TYPE_Q8_0] = 7,
        [PM_TYPE_Q4_0] = 2,  [PM_TYPE_Q4_1] = 3,  [PM_TYPE_Q5_0] = 8,  [PM_TYPE_Q5_1] = 9,
        [PM_TYPE_Q4_K] = 14, [PM_TYPE_Q5_K] = 16, [PM_TYPE_Q6_K] = 18,
    };
    return numbers[type];
}

/* The type of most weights. */
static pm_type main_type(const conversion *c)
{
    double counts[PM_TYPE_COUNT] = {0};
    int most = 0;
    for (size_t i = 0; i < pm_gguf_n_tensors(c->file); i++) {
        counts[c->types[i]] += (double)n_elems(pm_gguf_tensor_at(c->file, i));
    }
    for (int type = 0; type < PM_TYPE_COUNT; type++)
        if (counts[type] > counts[most])
            most = type;
    return (pm_type)most;
}

static int is_key(const pm_gguf_entry *entry, const char *key)
{
    return entry->key.size == strlen(key) && memcmp(entry->key.data, key, entry->key.size) == 0;
}

/* "<architecture>.vocab_size", which the keys of a directory lack: programs that have no use for the vocabulary's
 * kind look here. */
static void write_n_rows(const conversion *c)
{
    char key[128];
    pm_str architecture;
    const pm_gguf_tensor *embeddings = pm_gguf_find_tensor(c->file, "token_embd.weight");
    if (!c->stream || !embeddings ||
        pm_gguf_get_str(c->file, "general.architecture", &architecture, NULL) != PM_OK)
        return;
    snprintf(key, sizeof key, "%.*s.vocab_size", (int)architecture.size, architecture.data);
    if (!pm_gguf_find(c->file, key))
        pm_gguf_writer_u32(c->writer, key, (uint32_t)embeddings->dim[1]);
}

static pm_status write_metadata(const conversion *c, pm_error *err)
{
    int64_t n_parts = 1;
    int has_blocks = 0;
    if (pm_gguf_find(c->file, "split.count"))
        PM_TRY(pm_gguf_get_i64(c->file, "split.count", &n_parts, err));
    if (n_parts != 1)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: this is one of %lld parts of a model; join them first",
                       pm_gguf_path(c->file), (long long)n_parts);
    for (size_t i = 0; i < pm_gguf_n_entries(c->file); i++) {
        const pm_gguf_entry *entry = pm_gguf_entry_at(c->file, i);
        /* What is said anew below, or holds for the input's layout alone. */
        if (!is_key(entry, "general.file_type") && !is_key(entry, "general.quantization_version") &&
            !is_key(entry, "general.alignment"))
            pm_gguf_writer_copy(c->writer, c->file, entry);
    }
    for (int type = 0; type < PM_TYPE_COUNT; type++)
        has_blocks |= c->result.n_tensors[type] > 0 && is_quantised((pm_type)type);
    write_n_rows(c);
    pm_gguf_writer_u32(c->writer, "general.file_type", pm_convert_file_type(main_type(c)));
    if (has_blocks)
        pm_gguf_writer_u32(c->writer, "general.quantization_version", QUANTIZATION_VERSION);
    return c->options->describe ? c->options->describe(c->options->describe_user, c->file, c->writer, err) : PM_OK;
}

static void declare_tensors(conversion *c)
{
    char name[256];
    for (size_t i = 0; i < pm_gguf_n_tensors(c->file); i++) {
        const pm_gguf_tensor *t = pm_gguf_tensor_at(c->file, i);
        size_t n = t->name.size < sizeof name ? t->name.size : sizeof name - 1; /* the reader's limit is less */
        memcpy(name, t->name.data, n);
        name[n] = '\0';
        pm_gguf_writer_tensor(c->writer, name, c->types[i], t->n_dims, t->dim);
    }
}

/* ---- Data ---- */

/* A run of values of one tensor. */
typedef struct batch {
    const unsigned char *from;
    unsigned char *to;
    float *values;
    size_t n;
    pm_type from_type, to_type;
    float largest;                 /* that the type can take */
    int is_bad[MAX_THREADS];       /* by thread: a value that is no number ... */
    int is_too_large[MAX_THREADS]; /* ... or too large */
} batch;

/* The largest magnitude, or infinity where a value is NaN; in a form that compilers turn into vectors. */
static float largest_of(const float *values, size_t n)
{
    float largest = 0.0f;
    int n_nan = 0;
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(values[i]);
        largest = magnitude > largest ? magnitude : largest;
        n_nan += values[i] != values[i];
    }
    return n_nan ? INFINITY : largest;
}

static void convert_pieces(void *user, int thread, int n_threads)
{
    batch *b = user;
    float *values = b->values + (size_t)thread * PIECE_ELEMS;
    for (size_t at = (size_t)thread * PIECE_ELEMS; at < b->n; at += (size_t)n_threads * PIECE_ELEMS) {
        size_t n = b->n - at < PIECE_ELEMS ? b->n - at : PIECE_ELEMS;
        pm_dequantize_row(b->from_type, b->from + bytes_of(b->from_type, at), values, (int64_t)n);
        float largest = largest_of(values, n);
        b->is_bad[thread] |= isinf(largest);
        b->is_too_large[thread] |= largest > b->largest;
        pm_quantize_row(b->to_type, values, b->to + bytes_of(b->to_type, at), (int64_t)n);
    }
}

static pm_status fail_values(const conversion *c, const pm_gguf_tensor *t, const batch *b, pm_error *err)
{
    char quoted[112];
    int is_bad = 0, is_too_large = 0;
    for (int i = 0; i < pm_threads_count(c->threads); i++) {
        is_bad |= b->is_bad[i];
        is_too_large |= b->is_too_large[i];
    }
    if (!is_bad && !is_too_large)
        return PM_OK;
    pm_quote(t->name.data, t->name.size, quoted, sizeof quoted);
    if (is_bad)
        return pm_fail(err, PM_ERR_FORMAT, "%s: tensor %s has values that are infinite or no numbers",
                       pm_gguf_path(c->file), quoted);
    return pm_fail(err, PM_ERR_LIMIT,
                   "%s: tensor %s has values beyond the range of %s; BF16 and F32 can take them",
                   pm_gguf_path(c->file), quoted, pm_type_name(b->to_type));
}

/* Tells of n_bytes more that have been read. */
static pm_status step(conversion *c, size_t n_bytes, pm_error *err)
{
    const pm_convert_options *o = c->options;
    c->done += n_bytes;
    if (o->progress && o->progress(o->user, "converting", c->done, c->result.bytes_before) != 0)
        return pm_fail(err, PM_ERR_CANCELLED, "the conversion was cancelled");
    return PM_OK;
}

static pm_status convert_values(conversion *c, const pm_gguf_tensor *t, pm_type type, pm_error *err)
{
    const size_t whole = (size_t)PIECE_ELEMS * BATCH_PIECES;
    size_t n = n_elems(t);
    for (size_t at = 0; at < n; at += whole) {
        batch b = {.from = (const unsigned char *)t->data + bytes_of(t->type, at),
                   .to = c->packed,
                   .values = c->values,
                   .n = n - at < whole ? n - at : whole,
                   .from_type = t->type,
                   .to_type = type,
                   .largest = type == PM_TYPE_F32 || type == PM_TYPE_BF16 ? INFINITY : largest_half};
        pm_threads_run(c->threads, convert_pieces, &b);
        PM_TRY(fail_values(c, t, &b, err));
        PM_TRY(pm_gguf_writer_data(c->writer, c->packed, bytes_of(type, b.n), err));
        PM_TRY(step(c, bytes_of(t->type, b.n), err));
        if (t->is_mapped)
            pm_mapped_drop(b.from, bytes_of(t->type, b.n));
    }
    return PM_OK;
}

static pm_status copy_values(conversion *c, const pm_gguf_tensor *t, pm_error *err)
{
    for (size_t at = 0; at < t->n_bytes; at += COPY_BYTES) {
        size_t n = t->n_bytes - at < COPY_BYTES ? t->n_bytes - at : COPY_BYTES;
        PM_TRY(pm_gguf_writer_data(c->writer, (const char *)t->data + at, n, err));
        PM_TRY(step(c, n, err));
        if (t->is_mapped)
            pm_mapped_drop((const char *)t->data + at, n);
    }
    return PM_OK;
}

static pm_status write_data(conversion *c, pm_error *err)
{
    size_t packed = (size_t)PIECE_ELEMS * BATCH_PIECES * sizeof(float);
    int wanted = c->options->n_threads > 0 ? c->options->n_threads : pm_threads_cores();
    PM_TRY(pm_threads_create(wanted < MAX_THREADS ? wanted : MAX_THREADS, &c->threads, err));
    c->values = malloc((size_t)pm_threads_count(c->threads) * PIECE_ELEMS * sizeof *c->values);
    c->packed = malloc(packed);
    if (!c->values || !c->packed)
        return pm_fail_memory(err, packed, "converting a model");
    PM_TRY(pm_gguf_writer_begin_data(c->writer, err));
    for (size_t i = 0; i < pm_gguf_n_tensors(c->file); i++) {
        pm_gguf_tensor t = *pm_gguf_tensor_at(c->file, i);
        if (!t.data)
            PM_TRY(pm_hf_stream_read(c->stream, i, &t.data, err));
        PM_TRY(t.type == c->types[i] ? copy_values(c, &t, err) : convert_values(c, &t, c->types[i], err));
    }
    return PM_OK;
}

/* ---- The whole ---- */

static pm_status convert_file(conversion *c, const char *output, pm_error *err)
{
    PM_TRY(choose_types(c, err));
    PM_TRY(pm_gguf_writer_create(output, &c->writer, err));
    PM_TRY(write_metadata(c, err));
    declare_tensors(c);
    PM_TRY(write_data(c, err));
    pm_gguf_writer *writer = c->writer;
    c->writer = NULL;
    return pm_gguf_writer_finish(writer, err);
}

pm_status pm_convert(const char *input, const char *output, const pm_convert_options *options,
                     pm_convert_result *result, pm_error *err)
{
    conversion c = {.options = options};
    pm_gguf *file = NULL;
    if (!options->keeps_types && (!pm_type_get(options->type) || options->type == PM_TYPE_I32))
        return pm_fail(err, PM_ERR_ARGUMENT, "weights cannot be of type %s", pm_type_name(options->type));
    PM_TRY(pm_hf_is_directory(input) ? pm_hf_open_stream(input, &file, &c.stream, err)
                                     : pm_gguf_open(input, &file, err));
    c.file = file;
    pm_status status = convert_file(&c, output, err);
    pm_gguf_writer_destroy(c.writer);
    pm_threads_destroy(c.threads);
    free(c.values);
    free(c.packed);
    free(c.types);
    if (status == PM_OK && result)
        *result = c.result;
    pm_hf_stream_close(c.stream);
    pm_gguf_close(file);
    return status;
}
