/* The small vocabularies that plugins are checked with where the user gives none: see plugin_checks.h. */
#include "plugin_checks.h"

#include <stdlib.h>
#include <string.h>

#define SPACE "\xE2\x96\x81"

static const char bytes_pipeline[] = "{\"model\":{\"type\":\"BPE\"},"
                                     "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_"
                                     "offsets\":true,\"use_regex\":true},"
                                     "\"decoder\":{\"type\":\"ByteLevel\"}}";

static const char characters_pipeline[] =
    "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true},"
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" SPACE
    "\",\"prepend_scheme\":\"never\",\"split\":false},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"" SPACE
    "\"},"
    "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}}";

static const char pieces_pipeline[] =
    "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
    "\"max_input_chars_per_word\":100},"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
    "\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}}";

enum { MOST_ENTRIES = 800, MOST_BYTES = 8000, MOST_MERGES = 16 };

static size_t n_bytes_used(const builtin_vocabulary *v)
{
    size_t n = v->spec.n_entries;
    return n == 0 ? 0 : (size_t)(v->entries[n - 1].bytes - v->bytes) + v->entries[n - 1].n_bytes;
}

static void add(builtin_vocabulary *v, const char *bytes, size_t n, pm_token_kind kind, double score)
{
    char *place = v->bytes + n_bytes_used(v);
    memcpy(place, bytes, n);
    v->entries[v->spec.n_entries++] =
        (pm_vocab_entry){.bytes = place, .n_bytes = (uint32_t)n, .kind = (uint8_t)kind, .score = score};
}

static void add_text(builtin_vocabulary *v, const char *text, pm_token_kind kind, double score)
{
    add(v, text, strlen(text), kind, score);
}

/* Bytes 0 to 255 with their own values as ids, then merges of them and of each other. */
static void fill_bytes(builtin_vocabulary *v)
{
    static const struct {
        const char *text;
        int left, right; /* ids; from 256 on the rows of this table */
    } merged[] = {{"th", 't', 'h'},  {"the", 256, 'e'},  {"in", 'i', 'n'},
                  {"ing", 258, 'g'}, {" the", ' ', 257}, {"\xC3\xA9", 0xC3, 0xA9}};
    for (int byte = 0; byte < 256; byte++)
        add(v, (const char[]){(char)byte}, 1, PM_TOKEN_NORMAL, 0);
    for (size_t i = 0; i < sizeof merged / sizeof merged[0]; i++)
        add_text(v, merged[i].text, PM_TOKEN_NORMAL, 0);
    for (size_t i = 0; i < sizeof merged / sizeof merged[0]; i++)
        v->merges[v->spec.n_merges++] = (pm_vocab_merge){merged[i].left, merged[i].right, (int32_t)(256 + i)};
    add_text(v, "<|end|>", PM_TOKEN_CONTROL, 0);
    add_text(v, "<tool>", PM_TOKEN_USER_DEFINED, 0);
    v->spec.model = "bpe";
    v->spec.alphabet = PM_ALPHABET_BYTES;
    v->spec.eos = (int32_t)v->spec.n_entries - 2;
    v->spec.pipeline = bytes_pipeline;
}

static void fill_characters(builtin_vocabulary *v)
{
    static const char *const words[] = {SPACE "the", SPACE "a",  "ing",         "er",
                                        SPACE "to",  "\xC3\xA9", "\xE6\x97\xA5"};
    char name[8] = "<0x00>";
    add_text(v, "<unk>", PM_TOKEN_UNKNOWN, 0);
    add_text(v, "<s>", PM_TOKEN_CONTROL, 0);
    add_text(v, "</s>", PM_TOKEN_CONTROL, 0);
    for (int byte = 0; byte < 256; byte++) {
        name[3] = "0123456789ABCDEF"[byte >> 4];
        name[4] = "0123456789ABCDEF"[byte & 15];
        add_text(v, name, PM_TOKEN_BYTE, -20);
        v->entries[v->spec.n_entries - 1].byte = (uint8_t)byte;
    }
    add_text(v, SPACE, PM_TOKEN_NORMAL, -3);
    for (char letter = 'a'; letter <= 'z'; letter++)
        add(v, &letter, 1, PM_TOKEN_NORMAL, -6 - (letter - 'a') * 0.125);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        add_text(v, words[i], PM_TOKEN_NORMAL, -4 - (double)i * 0.25);
    v->spec.model = "unigram";
    v->spec.space_symbol = SPACE;
    v->spec.unk = 0;
    v->spec.bos = 1;
    v->spec.eos = 2;
    v->spec.pipeline = characters_pipeline;
}

static void fill_pieces(builtin_vocabulary *v)
{
    static const char *const words[] = {"the", "a", "to", "##ing", "##er",        ".",
                                        ",",   "!", "?",  "'",     "\xE6\x97\xA5"};
    char continued[4] = "##a";
    add_text(v, "[PAD]", PM_TOKEN_CONTROL, 0);
    add_text(v, "[UNK]", PM_TOKEN_UNKNOWN, 0);
    add_text(v, "[CLS]", PM_TOKEN_CONTROL, 0);
    add_text(v, "[SEP]", PM_TOKEN_CONTROL, 0);
    for (char letter = 'a'; letter <= 'z'; letter++) {
        if (letter != 'a') /* "a" is among the words */
            add(v, &letter, 1, PM_TOKEN_NORMAL, 0);
        continued[2] = letter;
        add_text(v, continued, PM_TOKEN_NORMAL, 0);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        add_text(v, words[i], PM_TOKEN_NORMAL, 0);
    v->spec.model = "wordpiece";
    v->spec.pad = 0;
    v->spec.unk = 1;
    v->spec.cls = 2;
    v->spec.sep = 3;
    v->spec.pipeline = pieces_pipeline;
}

int builtin_vocabulary_create(int which, builtin_vocabulary *out)
{
    static const struct {
        const char *name;
        void (*fill)(builtin_vocabulary *v);
    } kinds[N_BUILTIN_VOCABULARIES] = {
        {"built-in bytes", fill_bytes},
        {"built-in characters", fill_characters},
        {"built-in word pieces", fill_pieces},
    };
    memset(out, 0, sizeof *out);
    out->entries = calloc(MOST_ENTRIES, sizeof *out->entries);
    out->merges = calloc(MOST_MERGES, sizeof *out->merges);
    out->bytes = calloc(MOST_BYTES, 1);
    if (!out->entries || !out->merges || !out->bytes) {
        builtin_vocabulary_free(out);
        return 0;
    }
    pm_tokenizer_spec *spec = &out->spec;
    spec->size = sizeof *spec;
    spec->bos = spec->eos = spec->unk = spec->pad = spec->sep = spec->cls = spec->mask = PM_NO_TOKEN;
    out->name = kinds[which].name;
    kinds[which].fill(out);
    spec->source = out->name;
    spec->entries = out->entries;
    spec->merges = out->merges;
    spec->n_pipeline = strlen(spec->pipeline);
    return 1;
}

void builtin_vocabulary_free(builtin_vocabulary *vocabulary)
{
    free(vocabulary->entries);
    free(vocabulary->merges);
    free(vocabulary->bytes);
    memset(vocabulary, 0, sizeof *vocabulary);
}
