/* A small byte-level vocabulary for tokenizer tests, as the arrays of a GGUF file that a test may spoil.
 *
 * Ids: 0 to 255 the bytes; then FIXTURE_MERGED merged tokens; then <|endoftext|>, <|im_start|>, <|im_end|>
 * (control) and <tool> (user-defined).
 */
#ifndef PUMICE_TESTS_TOKENIZER_FIXTURE_H
#define PUMICE_TESTS_TOKENIZER_FIXTURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/tokenizer.h"
#include "tests/gguf_builder.h"

enum {
    FIXTURE_MERGES = 7,
    FIXTURE_END_OF_TEXT = 256 + FIXTURE_MERGES,
    FIXTURE_IM_START,
    FIXTURE_IM_END,
    FIXTURE_TOOL,
    FIXTURE_TOKENS
};

typedef struct tokenizer_fixture {
    const char *model; /* NULL leaves the key out, as for the others */
    const char *pre;
    const char *tokens[FIXTURE_TOKENS + 2];
    size_t n_tokens;
    int32_t types[FIXTURE_TOKENS + 2];
    size_t n_types;
    const char *merges[FIXTURE_MERGES + 2];
    size_t n_merges;
    int64_t bos, eos; /* -1 leaves them out */
    int add_bos;      /* -1 leaves it out */
    char spelled[256][3];
} tokenizer_fixture;

/* How GPT-2's byte alphabet spells a byte. */
static inline void fixture_spell(unsigned byte, char *out)
{
    unsigned code = byte;
    unsigned n_before = byte <= 0x20 ? byte : byte <= 0xA0 ? 0x21 + byte - 0x7F : 0x21 + 0x22;
    if (byte <= 0x20 || (byte >= 0x7F && byte <= 0xA0) || byte == 0xAD)
        code = 0x100 + n_before;
    if (code < 0x80) {
        out[0] = (char)code;
        out[1] = '\0';
    } else {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        out[2] = '\0';
    }
}

static inline void fixture_init(tokenizer_fixture *f)
{
    static const char *const merged[FIXTURE_MERGES] = {"he",        "ll", "hell",       "hello",
                                                       "\xC4\xA0w", "or", "\xC4\xA0wor"};
    static const char *const merges[FIXTURE_MERGES] = {"h e",        "l l", "he ll",       "hell o",
                                                       "\xC4\xA0 w", "o r", "\xC4\xA0w or"};
    static const char *const special[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>"};
    memset(f, 0, sizeof *f);
    f->model = "gpt2";
    f->pre = "gpt-2";
    for (unsigned i = 0; i < 256; i++) {
        fixture_spell(i, f->spelled[i]);
        f->tokens[i] = f->spelled[i];
    }
    for (size_t i = 0; i < FIXTURE_MERGES; i++) {
        f->tokens[256 + i] = merged[i];
        f->merges[i] = merges[i];
    }
    for (size_t i = 0; i < 4; i++)
        f->tokens[FIXTURE_END_OF_TEXT + i] = special[i];
    for (size_t i = 0; i < FIXTURE_TOKENS; i++)
        f->types[i] = i < FIXTURE_END_OF_TEXT ? PM_TOKEN_NORMAL
                      : i < FIXTURE_TOOL      ? PM_TOKEN_CONTROL
                                              : PM_TOKEN_USER_DEFINED;
    f->n_tokens = f->n_types = FIXTURE_TOKENS;
    f->n_merges = FIXTURE_MERGES;
    f->bos = FIXTURE_IM_START;
    f->eos = FIXTURE_IM_END;
    f->add_bos = -1;
}

/* The keys of the fixture in a new builder, to which a test may add more. */
static inline gguf_builder *fixture_builder(const tokenizer_fixture *f)
{
    gguf_builder *b = gguf_builder_create(3);
    if (f->model)
        gguf_builder_add_str(b, "tokenizer.ggml.model", f->model);
    if (f->pre)
        gguf_builder_add_str(b, "tokenizer.ggml.pre", f->pre);
    if (f->n_tokens > 0)
        gguf_builder_add_str_array(b, "tokenizer.ggml.tokens", f->tokens, f->n_tokens);
    if (f->n_types > 0)
        gguf_builder_add_array(b, "tokenizer.ggml.token_type", PM_GGUF_INT32, f->types, f->n_types);
    if (f->n_merges > 0)
        gguf_builder_add_str_array(b, "tokenizer.ggml.merges", f->merges, f->n_merges);
    if (f->bos >= 0)
        gguf_builder_add_i64(b, "tokenizer.ggml.bos_token_id", f->bos);
    if (f->eos >= 0)
        gguf_builder_add_i64(b, "tokenizer.ggml.eos_token_id", f->eos);
    if (f->add_bos >= 0)
        gguf_builder_add_bool(b, "tokenizer.ggml.add_bos_token", f->add_bos);
    return b;
}

/* Opens a tokenizer on what the builder holds, and destroys the builder. */
static inline pm_status fixture_open_builder(gguf_builder *b, const pm_tokenizer_options *options,
                                             pm_tokenizer **out, pm_error *err)
{
    size_t size;
    uint8_t *bytes = gguf_builder_finish(b, &size);
    pm_gguf *file = NULL;
    pm_status status = pm_gguf_open_memory(bytes, size, "fixture.gguf", &file, err);
    if (status == PM_OK)
        status = pm_tokenizer_open_gguf(file, options, out, err);
    pm_gguf_close(file);
    free(bytes);
    gguf_builder_destroy(b);
    return status;
}

static inline pm_status fixture_open(const tokenizer_fixture *f, pm_tokenizer **out, pm_error *err)
{
    return fixture_open_builder(fixture_builder(f), NULL, out, err);
}

#endif
