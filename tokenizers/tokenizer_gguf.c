/* Writing a tokenizer into a GGUF file: see pumice/tokenizer_gguf.h.
 *
 * The keys are first written into a header in memory, which is opened as any GGUF file is; the tokenizer that
 * comes out of it and the original then encode the same texts. That proves nothing of all other texts, but the
 * texts hold what tokenizers are known to differ in, and much of the vocabulary.
 */
#include "pumice/tokenizer_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "vocabulary_to_gguf.h"

enum { MAX_PROBE_BYTES = 1 << 17, MAX_SPECIAL_PROBES = 64 };

/* clang-format off */
static const char *const probes[] = {
    "", " ", "  ", "   a", "a   ", "\n", "\n\n", " \n ", "\t", "a\tb  c\n\n\nd\r\ne", "Hello world", " Hello  world ", "Hello, world! Don't we'll I'VE it'S",
    "1 12 123 1234 12345 1234567890 3.14159 1,000,000 2026-11-24 0x7fff", "x=1;if(a<b){c++;}//!?...'''\"\"\"###$$$%%%@@@~~~^^^",
    "CamelCaseWORDSAndMore HTMLParser snake_case_name kebab-case", "caf\xC3\xA9 na\xC3\xAFve cafe\xCC\x81 \xC3\x85ngstr\xC3\xB6m \xE2\x84\xAB \xEF\xAC\x81ne \xC2\xBD",
    "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82, \xD0\xBC\xD0\xB8\xD1\x80! \xCE\x93\xCE\xB5\xCE\xB9\xCE\xAC \xCF\x83\xCE\xBF\xCF\x85",
    "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C\xE3\x80\x82 \xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81\xA1\xE3\x81\xAF\xE4\xB8\x96\xE7\x95\x8C \xEC\x95\x88\xEB\x85\x95\xED\x95\x98\xEC\x84\xB8\xEC\x9A\x94",
    "\xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7 \xE0\xA4\xA8\xE0\xA4\xAE\xE0\xA4\xB8\xE0\xA5\x8D\xE0\xA4\xA4\xE0\xA5\x87 \xE0\xB8\xAA\xE0\xB8\xA7\xE0\xB8\xB1\xE0\xB8\xAA\xE0\xB8\x94\xE0\xB8\xB5 \xD9\xA1\xD9\xA2\xD9\xA3\xD9\xA4",
    "\xF0\x9F\x98\x80\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD \xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 \xE2\x82\xAC\xC2\xA3 \xE2\x80\x94\xE2\x80\xA6\xE2\x80\x9Cquoted\xE2\x80\x9D \xC2\xA0nbsp\xE3\x80\x80wide x\xE2\x96\x81low",
    "def f(x):\n    return x ** 2  # square\n\n\nclass A:\n\tpass\n", "https://example.com/a?b=c&d=%20e#f user@example.org C:\\dir\\file.txt",
};
/* clang-format on */

/* ---- Texts to compare on ---- */

typedef struct probe_text {
    char *bytes;
    size_t n, capacity;
} probe_text;

static void add_probe(probe_text *text, const char *bytes, size_t n)
{
    if (n > text->capacity - text->n)
        return;
    if (n > 0)
        memcpy(text->bytes + text->n, bytes, n);
    text->n += n;
}

/* A token as text would have it, with spaces for U+2581: the two are told apart by few tokenizers, and not by all
 * alike. */
static void add_token(probe_text *text, const pm_vocab_entry *e)
{
    static const char mark[] = "\xE2\x96\x81";
    size_t n_mark = sizeof mark - 1;
    for (size_t i = 0; i < e->n_bytes;) {
        int is_mark = e->n_bytes - i >= n_mark && memcmp(e->bytes + i, mark, n_mark) == 0;
        add_probe(text, is_mark ? " " : e->bytes + i, 1);
        i += is_mark ? n_mark : 1;
    }
}

/* The tokens as text, from all over the vocabulary, now with a space between them and now without. */
static void add_vocabulary(probe_text *text, const pm_vocabulary *v, size_t n_rows)
{
    size_t n = v->spec.n_entries < n_rows ? v->spec.n_entries : n_rows, bad;
    size_t every = n * 6 / text->capacity + 1;
    for (size_t i = 0; i < n; i += every) {
        const pm_vocab_entry *e = &v->spec.entries[i];
        if (e->kind != PM_TOKEN_NORMAL || !pm_utf8_check(e->bytes, e->n_bytes, &bad))
            continue;
        add_token(text, e);
        if (i / every % 3 == 0)
            add_probe(text, " ", 1);
    }
}

/* Special tokens within words and beside spaces. */
static void add_specials(probe_text *text, const pm_vocabulary *v, size_t n_rows)
{
    size_t n = v->spec.n_entries < n_rows ? v->spec.n_entries : n_rows, n_specials = 0, bad;
    for (size_t i = 0; i < n && n_specials < MAX_SPECIAL_PROBES; i++) {
        const pm_vocab_entry *e = &v->spec.entries[i];
        int is_added = e->kind == PM_TOKEN_CONTROL || e->kind == PM_TOKEN_USER_DEFINED;
        if (!is_added || !pm_utf8_check(e->bytes, e->n_bytes, &bad))
            continue;
        add_probe(text, n_specials % 2 ? "a word" : "a word ", n_specials % 2 ? 6 : 7);
        add_probe(text, e->bytes, e->n_bytes);
        add_probe(text, n_specials % 3 ? " b" : "b", n_specials % 3 ? 2 : 1);
        n_specials++;
    }
}

/* ---- Comparing ---- */

typedef struct comparison {
    const pm_tokenizer *original, *written;
    pm_tokenizer_gguf *out;
    int decodes_alike;
} comparison;

static void say_difference(comparison *c, const char *text, size_t n)
{
    char quoted[100];
    if (!c->out->is_exact)
        return;
    c->out->is_exact = 0;
    snprintf(c->out->difference, sizeof c->out->difference, "as in %s", pm_quote(text, n, quoted, sizeof quoted));
}

static pm_status decodes_alike(comparison *c, const pm_tokens *tokens, pm_error *err)
{
    char *texts[2] = {NULL, NULL};
    size_t sizes[2];
    pm_status status = pm_tokenizer_decode(c->original, tokens->ids, tokens->n, 0, &texts[0], &sizes[0], err);
    if (status == PM_OK)
        status = pm_tokenizer_decode(c->written, tokens->ids, tokens->n, 0, &texts[1], &sizes[1], err);
    if (status == PM_OK && (sizes[0] != sizes[1] || memcmp(texts[0], texts[1], sizes[0]) != 0))
        c->decodes_alike = 0;
    pm_text_free(texts[0]);
    pm_text_free(texts[1]);
    return status;
}

static pm_status compare_text(comparison *c, const char *text, size_t n, uint32_t flags, pm_error *err)
{
    pm_tokens original = {0}, written = {0};
    pm_status status = pm_tokenizer_encode(c->original, text, n, flags, &original, err);
    if (status == PM_OK)
        status = pm_tokenizer_encode(c->written, text, n, flags, &written, err);
    int is_same = status == PM_OK && original.n == written.n &&
                  (original.n == 0 || memcmp(original.ids, written.ids, original.n * sizeof *original.ids) == 0);
    if (status == PM_OK && !is_same)
        say_difference(c, text, n);
    if (is_same)
        status = decodes_alike(c, &original, err);
    pm_tokens_free(&original);
    pm_tokens_free(&written);
    return status;
}

static pm_status compare_all(comparison *c, const pm_vocabulary *v, size_t n_rows, pm_error *err)
{
    const uint32_t special = PM_ENCODE_ADD_SPECIAL | PM_ENCODE_PARSE_SPECIAL;
    probe_text text = {.bytes = malloc(MAX_PROBE_BYTES), .capacity = MAX_PROBE_BYTES};
    pm_status status = text.bytes ? PM_OK : pm_fail_memory(err, MAX_PROBE_BYTES, "a text");
    for (size_t i = 0; i < sizeof probes / sizeof probes[0] && status == PM_OK; i++)
        status = compare_text(c, probes[i], strlen(probes[i]), PM_ENCODE_ADD_SPECIAL, err);
    if (status == PM_OK) {
        add_specials(&text, v, n_rows);
        status = compare_text(c, text.bytes, text.n, special, err);
    }
    if (status == PM_OK) {
        text.n = 0;
        add_vocabulary(&text, v, n_rows);
        status = compare_text(c, text.bytes, text.n, 0, err);
    }
    free(text.bytes);
    return status;
}

/* Compares the tokenizer at the path with that of a header. */
static pm_status compare(const char *path, const pm_vocabulary *v, const pm_gguf *header, size_t n_rows,
                         const pm_tokenizer_options *options, pm_tokenizer_gguf *out, int *needs_json,
                         pm_error *err)
{
    pm_tokenizer *original = NULL, *written = NULL;
    out->is_exact = 1;
    PM_TRY(pm_tokenizer_open_file(path, options, &original, err));
    pm_error refused = {0};
    pm_status status = pm_tokenizer_open_gguf(header, options, &written, &refused);
    comparison c = {original, written, out, 1};
    if (status == PM_OK) {
        status = compare_all(&c, v, n_rows, err);
    } else if (status == PM_ERR_FORMAT || status == PM_ERR_UNSUPPORTED) {
        out->is_exact = 0;
        snprintf(out->difference, sizeof out->difference, "as they are refused: %.120s", refused.message);
        status = PM_OK;
    } else {
        status = pm_fail(err, status, "%s", refused.message);
    }
    *needs_json = !out->is_exact || !c.decodes_alike;
    pm_tokenizer_close(original);
    pm_tokenizer_close(written);
    return status;
}

/* ---- Writing ---- */

static int is_json(const pm_vocabulary *v)
{
    const char *text = v->file.data;
    size_t at = 0;
    while (at < v->file.size && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    return at < v->file.size && text[at] == '{';
}

/* GGUF's scores are floats; a trainer's that are doubles decide some ties otherwise. */
static int has_exact_scores(const pm_vocabulary *v)
{
    for (size_t i = 0; i < v->spec.n_entries; i++)
        if ((double)(float)v->spec.entries[i].score != v->spec.entries[i].score)
            return 0;
    return 1;
}

static pm_status open_header(pm_gguf_writer *keys, const char *name, void **bytes, pm_gguf **out, pm_error *err)
{
    size_t n;
    PM_TRY(pm_gguf_writer_header(keys, bytes, &n, err));
    return pm_gguf_open_memory(*bytes, n, name, out, err);
}

/* The keys of `keys` go to the file, after they have been tried. */
static pm_status try_and_copy(const char *path, const pm_vocabulary *v, const pm_gguf_settings *settings,
                              size_t n_rows, const pm_tokenizer_options *options, pm_gguf_writer *keys,
                              pm_gguf_writer *writer, pm_tokenizer_gguf *out, pm_error *err)
{
    void *bytes = NULL;
    pm_gguf *header = NULL;
    int needs_json = 1;
    PM_TRY(pm_vocabulary_to_gguf(v, settings, n_rows, keys, err));
    pm_status status = open_header(keys, path, &bytes, &header, err);
    if (status == PM_OK && settings->has_kind)
        status = compare(path, v, header, n_rows, options, out, &needs_json, err);
    if (status == PM_OK && !settings->has_kind)
        snprintf(out->difference, sizeof out->difference, "as GGUF has no tokenizers of its kind");
    for (size_t i = 0; status == PM_OK && i < pm_gguf_n_entries(header); i++)
        pm_gguf_writer_copy(writer, header, pm_gguf_entry_at(header, i));
    needs_json |= !has_exact_scores(v);
    out->has_json = status == PM_OK && needs_json && is_json(v);
    if (out->has_json)
        pm_gguf_writer_bytes(writer, GGUF_JSON_KEY, (pm_str){v->file.data, v->file.size});
    pm_gguf_close(header);
    free(bytes);
    return status;
}

static void describe(const pm_vocabulary *v, const pm_gguf_settings *settings, size_t n_rows,
                     pm_tokenizer_gguf *out)
{
    static const char *const names[] = {"gpt2", "llama", "t5", "bert"}; /* as gguf_kind */
    size_t n = v->spec.n_entries;
    *out = (pm_tokenizer_gguf){
        .n_tokens = n_rows, .n_padding = n_rows > n ? n_rows - n : 0, .n_cut = n > n_rows ? n - n_rows : 0};
    snprintf(out->model, sizeof out->model, "%s", settings->has_kind ? names[settings->kind] : "none");
    if (settings->pre)
        snprintf(out->pre, sizeof out->pre, "%.*s", (int)settings->n_pre, settings->pre);
}

static pm_status write_vocabulary(const char *path, const pm_vocabulary *v, size_t n_rows,
                                  const pm_tokenizer_options *options, pm_gguf_writer *writer,
                                  pm_tokenizer_gguf *out, pm_error *err)
{
    char text[300] = "";
    pm_plugin_message message = {text, sizeof text};
    pm_json_tree *tree = NULL;
    pm_gguf_writer *keys = NULL;
    pm_gguf_settings settings;
    if (pm_json_tree_parse(v->spec.pipeline, v->spec.n_pipeline, &tree, &message) != PM_PLUGIN_OK)
        return pm_fail(err, PM_ERR_FORMAT, "%s: %s", v->spec.source, text);
    pm_gguf_settings_find(v, pm_json_root(tree), &settings);
    describe(v, &settings, n_rows, out);
    pm_status status = pm_gguf_writer_create(NULL, &keys, err);
    if (status == PM_OK)
        status = try_and_copy(path, v, &settings, n_rows, options, keys, writer, out, err);
    pm_gguf_writer_destroy(keys);
    pm_json_tree_destroy(tree);
    return status;
}

pm_status pm_tokenizer_write_gguf(const char *path, size_t n_rows, const pm_tokenizer_options *options,
                                  pm_gguf_writer *writer, pm_tokenizer_gguf *out, pm_error *err)
{
    pm_vocabulary v;
    const pm_plugin_setting *settings = options ? options->settings : NULL;
    pm_status status = pm_vocabulary_read_file(path, settings, options ? options->n_settings : 0, &v, err);
    if (status == PM_OK)
        status = write_vocabulary(path, &v, n_rows ? n_rows : v.spec.n_entries, options, writer, out, err);
    pm_vocabulary_free(&v);
    return status;
}
