/* A rank file of tiktoken: lines of a token in base64, a space and its rank, which is its id.
 *
 * Any two neighbours merge whose concatenation is a token, the lowest rank first; a piece that is a token becomes
 * it at once. What the file does not say, the pattern that cuts text and the special tokens, belongs to its
 * encoding and is known here by name. Source: the package tiktoken, its list of public encodings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pipeline_writer.h"
#include "vocabulary.h"

typedef struct tiktoken_special {
    const char *name;
    int32_t id;
} tiktoken_special;

typedef struct tiktoken_encoding {
    const char *name;
    const char *split; /* a regular expression; NULL: GPT-2's, which ByteLevel has built in */
    tiktoken_special specials[16];
    const char *reserved; /* name of ids that are kept free: "<|reserved_%d|>"; NULL: there are none */
    int32_t first_reserved, end_reserved;
} tiktoken_encoding;

/* The spellings that tokenizer.json files of these models use: they cut text as tiktoken's own do. */
#define CL100K_SPLIT                                                                                              \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"       \
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define O200K_SPLIT                                                                                               \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"                   \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"                                                                               \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"                  \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"                                                                               \
    "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const tiktoken_encoding encodings[] = {
    {"gpt2", NULL, {{"<|endoftext|>", 50256}}, NULL, 0, 0},
    {"r50k_base", NULL, {{"<|endoftext|>", 50256}}, NULL, 0, 0},
    {"p50k_base", NULL, {{"<|endoftext|>", 50256}}, NULL, 0, 0},
    {"p50k_edit",
     NULL,
     {{"<|endoftext|>", 50256}, {"<|fim_prefix|>", 50281}, {"<|fim_middle|>", 50282}, {"<|fim_suffix|>", 50283}},
     NULL,
     0,
     0},
    {"cl100k_base",
     CL100K_SPLIT,
     {{"<|endoftext|>", 100257},
      {"<|fim_prefix|>", 100258},
      {"<|fim_middle|>", 100259},
      {"<|fim_suffix|>", 100260},
      {"<|endofprompt|>", 100276}},
     NULL,
     0,
     0},
    {"o200k_base", O200K_SPLIT, {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}, NULL, 0, 0},
    {"o200k_harmony",
     O200K_SPLIT,
     {{"<|startoftext|>", 199998},
      {"<|endoftext|>", 199999},
      {"<|return|>", 200002},
      {"<|constrain|>", 200003},
      {"<|channel|>", 200005},
      {"<|start|>", 200006},
      {"<|end|>", 200007},
      {"<|message|>", 200008},
      {"<|call|>", 200012}},
     "<|reserved_%d|>",
     200000,
     201088},
};

/* ---- Ranks ---- */

/* The six bits of a digit of base64; -1. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes n characters, a multiple of 4; returns the bytes written, or SIZE_MAX where they are no base64. */
static size_t decode_base64(const char *text, size_t n, char *out)
{
    size_t written = 0;
    while (n > 0 && text[n - 1] == '=' && n % 4 != 1 && n % 4 != 2)
        n--;
    unsigned bits = 0;
    int n_bits = 0;
    for (size_t i = 0; i < n; i++) {
        int value = base64_value(text[i]);
        if (value < 0)
            return SIZE_MAX;
        bits = (bits << 6 | (unsigned)value) & 0xFFFF;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        n_bits -= 8;
        out[written++] = (char)(bits >> n_bits & 0xFF);
    }
    return n % 4 == 1 ? SIZE_MAX : written;
}

/* The number that the text is; -1. */
static int32_t read_rank(const char *text, size_t n)
{
    int64_t value = 0;
    for (size_t i = 0; i < n && value >= 0; i++)
        value = text[i] >= '0' && text[i] <= '9' && value < INT32_MAX / 10 ? value * 10 + (text[i] - '0') : -1;
    return n > 0 ? (int32_t)value : -1;
}

static pm_status read_line(pm_vocabulary *v, const char *line, size_t n, size_t number, size_t most, pm_error *err)
{
    const char *space = memchr(line, ' ', n);
    size_t n_base64 = space ? (size_t)(space - line) : 0;
    int32_t rank = space ? read_rank(space + 1, n - n_base64 - 1) : -1;
    if (n_base64 == 0 || n_base64 % 4 != 0 || rank < 0)
        return pm_fail(err, PM_ERR_FORMAT, "%s: line %zu is not a token in base64, a space and a rank",
                       v->spec.source, number);
    /* A file with more ranks than bytes is no vocabulary, but an attack on memory. */
    if ((size_t)rank > most)
        return pm_fail(err, PM_ERR_FORMAT, "%s: line %zu has the rank %d", v->spec.source, number, (int)rank);
    PM_TRY(pm_vocabulary_extend(v, (size_t)rank + 1, err));
    pm_vocab_entry *e = &v->entries[rank];
    if (e->n_bytes > 0)
        return pm_fail(err, PM_ERR_FORMAT, "%s: line %zu has the rank of another", v->spec.source, number);
    char *bytes = pm_vocabulary_bytes(v, n_base64 / 4 * 3);
    if (!bytes)
        return pm_fail_memory(err, n_base64, "a token");
    size_t n_bytes = decode_base64(line, n_base64, bytes);
    if (n_bytes == SIZE_MAX || n_bytes == 0 || n_bytes > INT32_MAX)
        return pm_fail(err, PM_ERR_FORMAT, "%s: line %zu has no token in base64", v->spec.source, number);
    *e = (pm_vocab_entry){
        .bytes = bytes, .n_bytes = (uint32_t)n_bytes, .score = -(double)rank, .kind = PM_TOKEN_NORMAL};
    return PM_OK;
}

static pm_status read_ranks(pm_vocabulary *v, const char *text, size_t n, pm_error *err)
{
    size_t number = 0;
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t length = end ? (size_t)(end - text) - at : n - at;
        size_t next = at + length + (end != NULL);
        number++;
        while (length > 0 && (text[at + length - 1] == '\r' || text[at + length - 1] == ' '))
            length--;
        if (length > 0)
            PM_TRY(read_line(v, text + at, length, number, n, err));
        at = next;
    }
    return PM_OK;
}

/* ---- Special tokens ---- */

static pm_status add_special(pm_vocabulary *v, const char *name, int32_t id, pm_error *err)
{
    size_t n = strlen(name);
    PM_TRY(pm_vocabulary_extend(v, (size_t)id + 1, err));
    if (v->entries[id].n_bytes > 0)
        return pm_fail(
            err, PM_ERR_FORMAT,
            "%s: the rank %d is that of a special token of the encoding: is it another encoding's file?",
            v->spec.source, (int)id);
    v->entries[id] = (pm_vocab_entry){.bytes = name, .n_bytes = (uint32_t)n, .kind = PM_TOKEN_CONTROL};
    return PM_OK;
}

static pm_status add_specials(pm_vocabulary *v, const tiktoken_encoding *encoding, pm_error *err)
{
    for (size_t i = 0; i < 16 && encoding->specials[i].name; i++)
        PM_TRY(add_special(v, encoding->specials[i].name, encoding->specials[i].id, err));
    for (int32_t id = encoding->first_reserved; id < encoding->end_reserved; id++) {
        char name[64], *kept;
        if ((size_t)id < v->spec.n_entries && v->entries[id].kind == PM_TOKEN_CONTROL)
            continue;
        int n = snprintf(name, sizeof name, encoding->reserved, (int)id);
        kept = pm_arena_strndup(&v->arena, name, (size_t)n);
        if (!kept)
            return pm_fail_memory(err, sizeof name, "a special token");
        PM_TRY(add_special(v, kept, id, err));
    }
    v->spec.eos = pm_vocabulary_search(v, "<|endoftext|>", 13);
    v->spec.bos = pm_vocabulary_search(v, "<|startoftext|>", 15);
    return PM_OK;
}

static const tiktoken_encoding *find_encoding(const char *name)
{
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++)
        if (strcmp(encodings[i].name, name) == 0)
            return &encodings[i];
    return NULL;
}

static void write_pipeline(pm_vocabulary *v, const tiktoken_encoding *encoding)
{
    pm_json_writer *pipeline = &v->pipeline;
    pm_json_write(pipeline, "{\"model\":{\"type\":\"BPE\",\"ignore_merges\":true}");
    if (encoding->split) {
        pm_json_writer split = {0};
        pm_json_write(&split, "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
        pm_json_write_string(&split, encoding->split, strlen(encoding->split));
        pm_json_write(&split, "},\"behavior\":\"Isolated\",\"invert\":false}");
        pm_json_write_bytes(&split, "", 1);
        pm_pipeline_write_byte_level(v, split.failed ? "" : split.bytes, 0);
        pipeline->failed |= split.failed;
        free(split.bytes);
    } else {
        pm_pipeline_write_byte_level(v, NULL, 1);
    }
    pm_json_write(pipeline, "}");
}

pm_status pm_vocabulary_read_tiktoken(pm_vocabulary *out, const char *text, size_t n, const char *encoding,
                                      pm_error *err)
{
    const tiktoken_encoding *known = find_encoding(encoding);
    if (!known)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "%s: '%s' is no known encoding of rank files: say which it is by the file's name or the "
                       "setting encoding=NAME: gpt2, r50k_base, p50k_base, p50k_edit, cl100k_base, o200k_base or "
                       "o200k_harmony",
                       out->spec.source, encoding);
    out->spec.model = "bpe";
    out->spec.alphabet = PM_ALPHABET_BYTES;
    PM_TRY(read_ranks(out, text, n, err));
    PM_TRY(add_specials(out, known, err));
    write_pipeline(out, known);
    return pm_vocabulary_finish(out, err);
}
