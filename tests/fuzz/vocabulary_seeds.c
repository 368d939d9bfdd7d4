/* Small good vocabularies of every kind, made here: seeds for damage (mutate_readers.c) and for the fuzzers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/vocabulary_read_all.h"
#include "tests/tokenizer_fixture.h"

/* ---- tokenizer.json ---- */

/* As Hugging Face writes them, byte-level and with merges in both forms; with the members in another order; with
 * everything else that a reader looks at. */
static const char *const hf_seeds[] = {
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[{\"id\":9,\"content\":\"<|end|>"
    "\","
    "\"single_word\":false,\"lstrip\":true,\"rstrip\":false,\"normalized\":false,\"special\":true},{\"id\":12,"
    "\"content\":\"tool \\u00e9\",\"special\":false,\"normalized\":true}],\"normalizer\":{\"type\":\"NFC\"},"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true},"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}]},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<|end|>\","
    "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{\"<|end|>\":{"
    "\"id\":\"<|end|>\",\"ids\":[9],\"tokens\":[\"<|end|>\"]}}},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{"
    "\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":\"\",\"fuse_unk\":false,"
    "\"byte_fallback\":false,\"vocab\":{\"a\":0,\"b\":1,\"\\u0120\":2,\"\\\"\":3,\"\xC3\xA9\":4,\"ab\":5,"
    "\"\xC4\xA0"
    "ab\":6,\"\xE4\xB8\x96\":7,\"\\u0120\\\"\":8},\"merges\":[\"a b\",\"\xC4\xA0 ab\",[\"\\u0120\","
    "\"\\\"\"]]}}",
    "{\"added_tokens\":[],\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":"
    "\"Fuse\"}]},\"model\":{\"byte_fallback\":true,\"continuing_subword_prefix\":null,\"fuse_unk\":true,"
    "\"merges\":"
    "[[\"\xE2\x96\x81\",\"t\"],[\"\xE2\x96\x81t\",\"h\"]],\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{"
    "\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"<0x00>\":3,\"<0xFF>\":4,\"\xE2\x96\x81\":5,\"t\":6,\"h\":7,"
    "\"\xE2\x96\x81t\":8,\"\xE2\x96\x81th\":9}},\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"\xE2\x96\x81\"}"
    ","
    "\"padding\":{\"strategy\":\"BatchLongest\",\"pad_id\":0},\"post_processor\":null,\"pre_tokenizer\":null,"
    "\"truncation\":{\"max_length\":16}}",
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true}],\"normalizer\":null,\"pre_tokenizer\":{"
    "\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"always\"},\"model\":{\"type\":"
    "\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"\xE2\x96\x81\",-2.25],[\"a\",-3.000000000000001],["
    "\"ab\","
    "-1e1],[\"b\",-4]],\"byte_fallback\":false}}",
    "{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":["
    "\"[SEP]\",2],\"cls\":[\"[CLS]\",1]},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
    "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,"
    "\"[SEP]\":2,\"a\":3,\"##b\":4}}}",
    "{\"pre_tokenizer\":null,\"model\":{\"continuing_subword_prefix\":\"##\",\"vocab\":{\"a\":0,\"##b\":1,\"ab\":"
    "2},\"merges\":[\"a ##b\"]}}",
};

/* ---- SentencePiece ---- */

typedef struct bytes_out {
    uint8_t bytes[4096];
    size_t n;
} bytes_out;

static void put(bytes_out *out, const void *bytes, size_t n)
{
    if (out->n + n > sizeof out->bytes)
        abort();
    memcpy(out->bytes + out->n, bytes, n);
    out->n += n;
}

static void put_varint(bytes_out *out, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
        put(out, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void put_number(bytes_out *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3);
    put_varint(out, value);
}

static void put_bytes(bytes_out *out, unsigned field, const void *bytes, size_t n)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, n);
    put(out, bytes, n);
}

static void put_piece(bytes_out *out, const char *text, float score, unsigned type)
{
    bytes_out piece = {.n = 0};
    put_bytes(&piece, 1, text, strlen(text));
    put_varint(&piece, 2 << 3 | 5);
    put(&piece, &score, sizeof score); /* little-endian, as the machines that this runs on */
    if (type != 1)
        put_number(&piece, 3, type);
    put_bytes(out, 1, piece.bytes, piece.n);
}

static void make_sentencepiece(bytes_out *out, unsigned model_type)
{
    bytes_out trainer = {.n = 0}, normalizer = {.n = 0};
    put_piece(out, "<unk>", 0, 2);
    put_piece(out, "<s>", 0, 3);
    put_piece(out, "</s>", 0, 3);
    put_piece(out, "<sep>", 0, 4);
    put_piece(out, "<0x41>", 0, 6);
    put_piece(out, "\xE2\x96\x81", -2.5f, 1);
    put_piece(out, "a", -3, 1);
    put_piece(out,
              "\xE2\x96\x81"
              "a",
              -1.5f, 1);
    put_piece(out, "unused", 0, 5);
    put_number(&trainer, 3, model_type);
    put_number(&trainer, 24, model_type == 3);
    put_number(&trainer, 35, 1);
    put_bytes(&trainer, 44, " ? ", 3);
    put_bytes(&trainer, 46, "<s>", 3);
    put_bytes(out, 2, trainer.bytes, trainer.n);
    put_bytes(&normalizer, 1, "nmt_nfkc", 8);
    put_bytes(&normalizer, 2, "\x08\0\0\0\0\0\0\0\0\0\0\0x", 13);
    put_number(&normalizer, 3, 1);
    put_number(&normalizer, 4, 0);
    put_number(&normalizer, 5, 1);
    put_bytes(out, 3, normalizer.bytes, normalizer.n);
}

/* ---- The others ---- */

static const char *const tiktoken_seeds[] = {
    "IQ== 0\nIg== 1\nIw== 2\nISE= 3\nISEh 4\n",
    "YWI= 7\r\nYQ== 5\n\nYg== 6\n/w== 30",
};

static const char *const wordlist_seeds[] = {
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n##s\n\xE4\xB8\x96\n",
    "a\r\n[UNK]\r\n##b",
};

static uint8_t *copy_bytes(const void *bytes, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, n);
    return copy;
}

static const char *text_seed(const char *const *seeds, size_t n_seeds, size_t index, uint8_t **bytes, size_t *size)
{
    static const char *const names[] = {"first", "second", "third", "fourth", "fifth"};
    if (index >= n_seeds)
        return NULL;
    *size = strlen(seeds[index]);
    *bytes = copy_bytes(seeds[index], *size);
    return names[index];
}

static const char *sentencepiece_seed(size_t index, uint8_t **bytes, size_t *size)
{
    static const char *const names[] = {"unigram", "bpe", "word", "char"};
    bytes_out out = {.n = 0};
    if (index >= 4)
        return NULL;
    make_sentencepiece(&out, (unsigned)index + 1);
    *bytes = copy_bytes(out.bytes, out.n);
    *size = out.n;
    return names[index];
}

/* The fixture, and characters with scores under the names of the other kinds. */
static const char *gguf_seed_of(size_t index, uint8_t **bytes, size_t *size)
{
    static const char *const names[] = {"gpt2", "llama", "t5", "bert"};
    static const char *const tokens[] = {"[UNK]",        "<s>", "</s>",          "<0x41>",
                                         "\xE2\x96\x81", "a",   "\xE2\x96\x81z", "b"};
    static const int32_t types[] = {2, 3, 3, 6, 1, 1, 1, 4};
    static const float scores[] = {0, 0, 0, 0, -1, -2, -3, -4};
    static const uint8_t charsmap[] = {4, 0, 0, 0, 0, 0, 0, 0};
    tokenizer_fixture f;
    if (index >= 4)
        return NULL;
    fixture_init(&f);
    gguf_builder *b = index == 0 ? fixture_builder(&f) : gguf_builder_create(3);
    if (index > 0) {
        gguf_builder_add_str(b, "tokenizer.ggml.model", names[index]);
        gguf_builder_add_str_array(b, "tokenizer.ggml.tokens", tokens, 8);
        gguf_builder_add_array(b, "tokenizer.ggml.token_type", PM_GGUF_INT32, types, 8);
        gguf_builder_add_array(b, "tokenizer.ggml.scores", PM_GGUF_FLOAT32, scores, 8);
        gguf_builder_add_u32(b, "tokenizer.ggml.unknown_token_id", 0);
        gguf_builder_add_bool(b, "tokenizer.ggml.remove_extra_whitespaces", 1);
        gguf_builder_add_array(b, "tokenizer.ggml.precompiled_charsmap", PM_GGUF_UINT8, charsmap, 8);
        gguf_builder_add_str(b, "tokenizer.chat_template", "{{ messages }}");
    }
    *bytes = gguf_builder_finish(b, size);
    gguf_builder_destroy(b);
    return names[index];
}

const char *vocabulary_seed(vocabulary_kind kind, size_t index, uint8_t **bytes, size_t *size)
{
    switch (kind) {
    case VOCABULARY_HF:
        return text_seed(hf_seeds, sizeof hf_seeds / sizeof hf_seeds[0], index, bytes, size);
    case VOCABULARY_SENTENCEPIECE:
        return sentencepiece_seed(index, bytes, size);
    case VOCABULARY_TIKTOKEN:
        return text_seed(tiktoken_seeds, sizeof tiktoken_seeds / sizeof tiktoken_seeds[0], index, bytes, size);
    case VOCABULARY_WORDLIST:
        return text_seed(wordlist_seeds, sizeof wordlist_seeds / sizeof wordlist_seeds[0], index, bytes, size);
    default:
        return gguf_seed_of(index, bytes, size);
    }
}
