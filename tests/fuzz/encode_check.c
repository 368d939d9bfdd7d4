/* Encoding and decoding of any bytes with tokenizers of every make: see encode_check.h.
 *
 * What must hold: ids are of the vocabulary; spans lie in the text; a batch gives what each text alone gives; a
 * limit is kept; a stream gives valid UTF-8 that is what decoding gives; and vocabularies of bytes, or with byte
 * fallback, give every text back where nothing normalises it. Errors other than of resources are findings as well.
 */
#include "tests/fuzz/encode_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "json_writer.h"
#include "parts/byte_alphabet.h"
#include "pumice/tokenizer.h"
#include "vocabulary.h"

enum { N_MODELS = 8, N_NORMALIZERS = 14, N_PRE_TOKENIZERS = 14, N_ADDED = 4, HEAD_BYTES = 4, MOST_IDS = 64 };

size_t encode_check_n_encoded, encode_check_n_lossless;

/* ---- The tokenizers ---- */

static const char *const models[N_MODELS] = {
    "bytes", "fallback", "merges ignored", "unigram", "unigram with bytes", "wordpiece", "wordlevel", "affixes"};

static int has_bytes(int model)
{
    return model == 0 || model == 2;
}

static int has_fallback(int model)
{
    return model == 1 || model == 4;
}

static const char *const normalizers[N_NORMALIZERS] = {
    "null",
    "{\"type\":\"NFC\"}",
    "{\"type\":\"NFD\"}",
    "{\"type\":\"NFKC\"}",
    "{\"type\":\"NFKD\"}",
    "{\"type\":\"Lowercase\"}",
    "{\"type\":\"StripAccents\"}",
    "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}",
    "{\"type\":\"Nmt\"}",
    "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,"
    "\"lowercase\":true}",
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"}",
    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+|a\"},\"content\":\"b\u0301\"}",
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\u2581\"},{\"type\":\"Replace\","
    "\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"}]}",
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"Lowercase\"},{\"type\":"
    "\"StripAccents\"},"
    "{\"type\":\"NFC\"}]}",
};

static const char *const pre_tokenizers[N_PRE_TOKENIZERS] = {
    NULL,
    "{\"type\":\"Whitespace\"}",
    "{\"type\":\"WhitespaceSplit\"}",
    "{\"type\":\"Digits\",\"individual_digits\":true}",
    "{\"type\":\"Punctuation\",\"behavior\":\"MergedWithNext\"}",
    "{\"type\":\"BertPreTokenizer\"}",
    "{\"type\":\"UnicodeScripts\"}",
    "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"first\",\"split\":true}",
    "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":false}",
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}"
    "|"
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":"
    "\"Isolated\","
    "\"invert\":false}",
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a*b?\"},\"behavior\":\"MergedWithPrevious\",\"invert\":false}",
    "{\"type\":\"Split\",\"pattern\":{\"String\":\"the\"},\"behavior\":\"Removed\",\"invert\":false}",
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{L}+\"},\"behavior\":\"Contiguous\",\"invert\":true}",
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":\"Digits\","
    "\"individual_digits\":false}]}",
};

/* Pre-tokenizers that leave something out, or put something in. */
static int keeps_text(int pre_tokenizer)
{
    return pre_tokenizer != 1 && pre_tokenizer != 2 && pre_tokenizer != 5 && pre_tokenizer != 7 &&
           pre_tokenizer != 8 && pre_tokenizer != 11 && pre_tokenizer != 13;
}

static void write_token(pm_json_writer *out, const char *bytes, size_t n, long long id, const char *score)
{
    pm_json_write(out, id ? "," : "");
    pm_json_write(out, score ? "[" : "");
    pm_json_write_string(out, bytes, n);
    if (score) {
        pm_json_write(out, ",");
        pm_json_write(out, score);
        pm_json_write(out, "]");
    } else {
        pm_json_write(out, ":");
        pm_json_write_integer(out, id);
    }
}

/* Every token of the vocabulary: what is unknown, bytes in either spelling, characters, and pieces of them. */
static void write_vocabulary(pm_json_writer *out, int model)
{
    static const char *const pieces[] = {
        "a",   "b",  "c",    "t",  "h",   "e",  "\u2581", "é",    "中",        "0",       "1",  "'",  "ab", "bc",
        "abc", "aa", "aaaa", "th", "the", "he", "ca",     "abab", "\u2581the", "\u2581a", "éa", "11", "111"};
    static const char *const scores[] = {"-1.5", "-2.25", "-0.5", "-7.0"};
    int is_scored = model == 3 || model == 4;
    long long id = 0;
    const char *unknown = model == 5 || model == 6 ? "[UNK]" : "<unk>";
    write_token(out, unknown, strlen(unknown), id++, is_scored ? "0.0" : NULL);
    for (int b = 0; b < 256 && (has_bytes(model) || has_fallback(model)); b++) {
        char name[8], byte = (char)b;
        size_t n = has_bytes(model) ? pm_byte_alphabet_encode(&byte, 1, name)
                                    : (size_t)snprintf(name, sizeof name, "<0x%02X>", b);
        write_token(out, name, n, id++, is_scored ? "0.0" : NULL);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        char text[32];
        size_t n = strlen(pieces[i]);
        int is_byte = n == 1; /* such a token is there already */
        if (has_bytes(model))
            n = pm_byte_alphabet_encode(pieces[i], strlen(pieces[i]), text);
        else
            memcpy(text, pieces[i], n);
        if (!has_bytes(model) || !is_byte)
            write_token(out, text, n, id++, is_scored ? scores[i % 4] : NULL);
        for (int affixed = 0; affixed < 2 && (model == 5 || model == 7); affixed++) {
            char other[48];
            int length = model == 5 ? affixed ? 0 : snprintf(other, sizeof other, "##%s", pieces[i])
                                    : snprintf(other, sizeof other, affixed ? "%s</w>" : "_%s", pieces[i]);
            if (length > 0)
                write_token(out, other, (size_t)length, id++, NULL);
        }
    }
}

static void write_merges(pm_json_writer *out, int model)
{
    static const char *const plain[][2] = {{"a", "b"},  {"t", "h"},  {"th", "e"}, {"a", "a"},  {"aa", "aa"},
                                           {"ab", "c"}, {"b", "c"},  {"h", "e"},  {"t", "he"}, {"ab", "ab"},
                                           {"1", "1"},  {"1", "11"}, {"c", "a"}};
    pm_json_write(out, ",\"merges\":[");
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        const char *right = plain[i][1];
        char affixed[16];
        if (model == 7) {
            snprintf(affixed, sizeof affixed, "_%s", right);
            right = affixed;
        }
        pm_json_write(out, i ? ",[" : "[");
        pm_json_write_string(out, plain[i][0], strlen(plain[i][0]));
        pm_json_write(out, ",");
        pm_json_write_string(out, right, strlen(right));
        pm_json_write(out, "]");
    }
    pm_json_write(out, "]");
}

static void write_model(pm_json_writer *out, int model)
{
    static const char *const heads[N_MODELS] = {
        "\"type\":\"BPE\",\"vocab\":{",
        "\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{",
        "\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{",
        "\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":false,\"vocab\":[",
        "\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[",
        "\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_"
        "per_word\":20,\"vocab\":{",
        "\"type\":\"WordLevel\",\"unk_token\":\"[UNK]\",\"vocab\":{",
        "\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"continuing_subword_prefix\":\"_\",\"end_of_word_suffix\":\"</"
        "w>\",\"vocab\":{",
    };
    pm_json_write(out, ",\"model\":{");
    pm_json_write(out, heads[model]);
    write_vocabulary(out, model);
    pm_json_write(out, model == 3 || model == 4 ? "]" : "}");
    if (model < 3 || model == 7)
        write_merges(out, model);
    pm_json_write(out, "}");
}

/* Tokens that are found in text before the model sees it, with all flags. */
static void write_added(pm_json_writer *out, int model, int added)
{
    static const char *const flags[][2] = {
        {"<|a|>", "false,\"rstrip\":false,\"single_word\":false,\"normalized\":false"},
        {" x ", "true,\"rstrip\":true,\"single_word\":false,\"normalized\":true"},
        {"ab", "false,\"rstrip\":true,\"single_word\":true,\"normalized\":true"},
        {"É", "true,\"rstrip\":false,\"single_word\":false,\"normalized\":true"}};
    pm_json_write(out, "{\"added_tokens\":[");
    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && added > 0; i++) {
        if (added == 1 && i != 0)
            continue;
        pm_json_write(out, i ? ",{\"id\":" : "{\"id\":");
        pm_json_write_integer(out, (has_bytes(model) || has_fallback(model) ? 290 : 90) + (long long)i);
        pm_json_write(out, ",\"content\":");
        pm_json_write_string(out, flags[i][0], strlen(flags[i][0]));
        pm_json_write(out, ",\"lstrip\":");
        pm_json_write(out, flags[i][1]);
        pm_json_write(out, i == 0 || added == 3 ? ",\"special\":true}" : ",\"special\":false}");
    }
    pm_json_write(out, "]");
}

static void write_decoder(pm_json_writer *out, int model)
{
    if (has_bytes(model))
        pm_json_write(out, "{\"type\":\"ByteLevel\"}");
    else if (has_fallback(model))
        pm_json_write(out,
                      "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}");
    else
        pm_json_write(
            out, model == 5   ? "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}"
                 : model == 7 ? "{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}"
                 : model == 3 ? "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\"}"
                              : "null");
}

static void describe(pm_json_writer *out, const int choice[4])
{
    const char *pre = pre_tokenizers[choice[2]];
    write_added(out, choice[0], choice[3]);
    pm_json_write(out, ",\"normalizer\":");
    pm_json_write(out, normalizers[choice[1]]);
    pm_json_write(out, ",\"pre_tokenizer\":");
    if (has_bytes(choice[0])) {
        pm_json_write(out, "{\"type\":\"Sequence\",\"pretokenizers\":[");
        pm_json_write(out, pre ? pre : "");
        pm_json_write(out, pre ? "," : "");
        pm_json_write(out, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}");
    } else {
        pm_json_write(out, pre ? pre : "null");
    }
    pm_json_write(out, ",\"post_processor\":null,\"decoder\":");
    write_decoder(out, choice[0]);
    write_model(out, choice[0]);
    pm_json_write(out, "}");
}

static pm_tokenizer *made[N_MODELS][N_NORMALIZERS][N_PRE_TOKENIZERS][N_ADDED];

/* NULL after saying why. */
static pm_tokenizer *make(const int choice[4])
{
    pm_tokenizer **slot = &made[choice[0]][choice[1]][choice[2]][choice[3]];
    if (*slot)
        return *slot;
    pm_json_writer text = {0};
    pm_vocabulary v = {0};
    pm_error err = {0};
    const pm_tokenizer_options options = {.plugin_dirs = PUMICE_BUILD_DIR "/plugins"};
    describe(&text, choice);
    pm_status status = pm_vocabulary_start(&v, "fuzzed", &err);
    if (status == PM_OK)
        status = pm_vocabulary_read_hf(&v, text.bytes, text.n, &err);
    if (status == PM_OK)
        status = pm_tokenizer_open_spec(&v.spec, &options, slot, &err);
    if (status != PM_OK)
        fprintf(stderr, "the tokenizer %s, %d, %d, %d: %s\n%.*s\n", models[choice[0]], choice[1], choice[2],
                choice[3], err.message, (int)text.n, text.bytes);
    pm_vocabulary_free(&v);
    free(text.bytes);
    return *slot;
}

void encode_check_end(void)
{
    pm_tokenizer **all = &made[0][0][0][0];
    for (size_t i = 0; i < sizeof made / sizeof *all; i++) {
        pm_tokenizer_close(all[i]);
        all[i] = NULL;
    }
}

/* ---- What must hold ---- */

typedef struct encode_case {
    const pm_tokenizer *tokenizer;
    const int *choice;
    const char *text;
    size_t size;
    uint32_t flags;
} encode_case;

static int complain(const encode_case *c, const char *what)
{
    fprintf(stderr, "%s, normaliser %d, pre-tokenizer %d, added %d, flags %u: %s\n", models[c->choice[0]],
            c->choice[1], c->choice[2], c->choice[3], (unsigned)c->flags, what);
    return 0;
}

/* The choices for which every text comes back. Added tokens that take white space along do not give it back, and
 * neither does what is found in normalised text. */
static int is_lossless(const encode_case *c)
{
    return (has_bytes(c->choice[0]) || (has_fallback(c->choice[0]) && c->choice[1] == 0)) && c->choice[1] == 0 &&
           keeps_text(c->choice[2]) && c->choice[3] < 2;
}

static int tokens_are_good(const encode_case *c, const pm_tokens *tokens)
{
    size_t n = pm_tokenizer_n_tokens(c->tokenizer);
    for (size_t i = 0; i < tokens->n; i++) {
        if (tokens->ids[i] < 0 || (size_t)tokens->ids[i] >= n)
            return complain(c, "an id is not of the vocabulary");
        if (tokens->spans[i].begin > tokens->spans[i].end || tokens->spans[i].end > c->size)
            return complain(c, "a span is not in the text");
    }
    return tokens->n_unknown_bytes <= 16 * c->size + 16 ? 1
                                                        : complain(c, "more unknown bytes than the text can have");
}

static int check_decoding(const encode_case *c, const int32_t *ids, size_t n, int must_come_back)
{
    pm_decode_stream *stream = NULL;
    pm_json_writer streamed = {0};
    pm_error err = {0};
    char *back = NULL;
    const char *text;
    size_t size, n_text, bad;
    if (pm_tokenizer_decode(c->tokenizer, ids, n, 0, &back, &size, &err) != PM_OK)
        return complain(c, err.message);
    int good = !must_come_back || (size == c->size && memcmp(back, c->text, size) == 0) ||
               complain(c, "the text does not come back");
    encode_check_n_lossless += must_come_back != 0;
    int alive = pm_decode_stream_create(c->tokenizer, 0, &stream, &err) == PM_OK;
    for (size_t i = 0; i < n && alive; i++) {
        alive = pm_decode_stream_push(stream, ids[i], &text, &n_text, &err) == PM_OK;
        good = good &&
               (!alive || pm_utf8_check(text, n_text, &bad) || complain(c, "a stream gives half a character"));
        if (alive)
            pm_json_write_bytes(&streamed, text, n_text);
    }
    alive = alive && pm_decode_stream_flush(stream, &text, &n_text, &err) == PM_OK;
    if (alive)
        pm_json_write_bytes(&streamed, text, n_text);
    else
        good = complain(c, err.message);
    if (good && pm_utf8_check(back, size, &bad) &&
        (streamed.n != size || memcmp(streamed.bytes ? streamed.bytes : "", back, size) != 0)) {
        good = complain(c, "a stream gives another text than decoding");
        fprintf(stderr, "stream:   '%.*s'\ndecoding: '%.*s'\nids:", (int)streamed.n, streamed.bytes, (int)size,
                back);
        for (size_t i = 0; i < n; i++)
            fprintf(stderr, " %d", ids[i]);
        fprintf(stderr, "\n");
    }
    pm_decode_stream_destroy(stream);
    free(streamed.bytes);
    pm_text_free(back);
    return good;
}

/* The same text twice in a batch, and once with a limit. */
static int check_batch(const encode_case *c, const pm_tokens *alone)
{
    const pm_batch_text texts[] = {{.text = c->text, .size = c->size}, {.text = c->text, .size = c->size}};
    const pm_batch_options options = {.flags = c->flags, .n_threads = 1};
    const pm_encode_request limited = {.text = c->text, .size = c->size, .flags = c->flags, .max_tokens = 3};
    pm_token_batch batch = {0};
    pm_tokens few = {0};
    pm_error err = {0};
    int good = 1;
    if (pm_tokenizer_encode_batch(c->tokenizer, texts, 2, &options, &batch, &err) != PM_OK)
        return complain(c, err.message);
    for (size_t i = 0; i < 2 && good; i++) {
        size_t n = batch.starts[i + 1] - batch.starts[i];
        good = (n == alone->n &&
                (n == 0 || memcmp(batch.ids + batch.starts[i], alone->ids, n * sizeof *alone->ids) == 0)) ||
               complain(c, "a batch gives other ids");
    }
    pm_token_batch_free(&batch);
    if (pm_tokenizer_encode_request(c->tokenizer, &limited, &few, &err) != PM_OK)
        return complain(c, err.message);
    good = good && ((few.n <= 3 && few.n + few.n_truncated == alone->n) ||
                    complain(c, "a limit is not kept, or miscounted"));
    pm_tokens_free(&few);
    return good;
}

static int check_text(const encode_case *c)
{
    const pm_encode_request request = {.text = c->text, .size = c->size, .flags = c->flags, .with_spans = 1};
    pm_tokens tokens = {0};
    pm_error err = {0};
    if (pm_tokenizer_encode_request(c->tokenizer, &request, &tokens, &err) != PM_OK)
        return complain(c, err.message);
    encode_check_n_encoded++;
    int good = tokens_are_good(c, &tokens) && check_decoding(c, tokens.ids, tokens.n, is_lossless(c)) &&
               check_batch(c, &tokens);
    pm_tokens_free(&tokens);
    return good;
}

int encode_check(const uint8_t *bytes, size_t size)
{
    if (size < HEAD_BYTES)
        return 1;
    const int choice[4] = {bytes[0] % N_MODELS, bytes[1] % N_NORMALIZERS, bytes[2] % N_PRE_TOKENIZERS,
                           bytes[3] % N_ADDED};
    encode_case c = {
        .tokenizer = make(choice), .choice = choice, .flags = bytes[3] & 16 ? PM_ENCODE_PARSE_SPECIAL : 0};
    if (!c.tokenizer)
        return 0;
    char *text = malloc(size - HEAD_BYTES + 1); /* of its own, so that reading beyond it shows */
    int32_t ids[MOST_IDS];
    size_t n_ids = 0;
    if (!text)
        return 1;
    memcpy(text, bytes + HEAD_BYTES, size - HEAD_BYTES);
    c.text = text;
    c.size = size - HEAD_BYTES;
    int good = check_text(&c);
    for (size_t i = HEAD_BYTES; i + 1 < size && n_ids < MOST_IDS; i += 2)
        ids[n_ids++] = (int32_t)((bytes[i] | bytes[i + 1] << 8) % (int)pm_tokenizer_n_tokens(c.tokenizer));
    good = good && check_decoding(&c, ids, n_ids, 0);
    free(text);
    return good;
}
