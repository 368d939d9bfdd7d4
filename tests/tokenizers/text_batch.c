/* Runs normalisers and decoders on their own, for scripts that compare them with other implementations (diff_text.py).
 *
 * Standard input is a list of orders: a letter, a 32-bit size and that many bytes. Numbers are in the machine's order.
 *   N json     the normaliser for the orders that follow
 *   T text     replies with the size and the bytes of the normalised text, and 8 bytes of origin for each
 *   V tokens   the vocabulary, each token a 32-bit size and its bytes
 *   D json     the decoder for the orders that follow
 *   I ids      replies with the size and the bytes of the text, decoded at once
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts/decoder.h"
#include "parts/normalizer.h"

enum { MOST_ORDER = 1 << 28 };

typedef struct text_batch {
    pm_normalizer *normalizer;
    pm_normalizer_scratch scratch;
    pm_token_table table;
    pm_decoder *decoder;
    char *text;
    size_t capacity;
    const pm_plugin_message *message;
} text_batch;

static int write_sized(const char *bytes, size_t n)
{
    uint32_t size = (uint32_t)n;
    return fwrite(&size, sizeof size, 1, stdout) == 1 && fwrite(bytes, 1, n, stdout) == n;
}

static int set_normalizer(text_batch *b, const char *json, size_t n)
{
    pm_json_tree *tree = NULL;
    pm_normalizer_destroy(b->normalizer);
    b->normalizer = NULL;
    int good = pm_json_tree_parse(json, n, &tree, b->message) == PM_PLUGIN_OK &&
               pm_normalizer_create(pm_json_root(tree), &b->normalizer, b->message) == PM_PLUGIN_OK;
    pm_json_tree_destroy(tree);
    return good;
}

static int normalize(text_batch *b, const char *text, size_t n)
{
    pm_piece in = {.bytes = text, .n = n, .starts_text = 1}, out;
    if (pm_normalize(b->normalizer, &b->scratch, &in, 1, &out, b->message) != PM_PLUGIN_OK || !write_sized(out.bytes, out.n))
        return 0;
    for (size_t i = 0; i < out.n; i++) {
        pm_origin origin = pm_piece_origin(&out, i, i + 1);
        if (fwrite(&origin, sizeof origin, 1, stdout) != 1)
            return 0;
    }
    return 1;
}

static int set_vocabulary(text_batch *b, const char *tokens, size_t n)
{
    size_t n_entries = 0;
    pm_vocab_entry *entries = calloc(n / 4 + 1, sizeof *entries);
    for (size_t at = 0; entries && n - at >= 4; n_entries++) {
        uint32_t size;
        memcpy(&size, tokens + at, 4);
        if (size > n - at - 4)
            break;
        entries[n_entries] = (pm_vocab_entry){.bytes = tokens + at + 4, .n_bytes = size, .kind = PM_TOKEN_NORMAL};
        at += 4 + size;
    }
    pm_tokenizer_spec spec = {.size = sizeof spec, .entries = entries, .n_entries = n_entries,
                              .bos = PM_NO_TOKEN, .eos = PM_NO_TOKEN, .unk = PM_NO_TOKEN, .pad = PM_NO_TOKEN};
    pm_decoder_destroy(b->decoder);
    b->decoder = NULL;
    pm_token_table_destroy(&b->table);
    int good = entries && pm_token_table_create(&spec, &b->table, b->message) == PM_PLUGIN_OK;
    free(entries);
    return good;
}

static int set_decoder(text_batch *b, const char *json, size_t n)
{
    pm_json_tree *tree = NULL;
    pm_decoder_destroy(b->decoder);
    b->decoder = NULL;
    int good = pm_json_tree_parse(json, n, &tree, b->message) == PM_PLUGIN_OK &&
               pm_decoder_create(pm_json_root(tree), &b->table, 0, &b->decoder, b->message) == PM_PLUGIN_OK;
    pm_json_tree_destroy(tree);
    return good;
}

static int decode(text_batch *b, const char *bytes, size_t n)
{
    int32_t *ids = malloc(n + 1);
    if (!ids)
        return 0;
    memcpy(ids, bytes, n);
    pm_decode_call call = {.size = sizeof call, .ids = ids, .n_ids = n / sizeof *ids, .text = b->text, .capacity = b->capacity};
    pm_plugin_code code = pm_decoder_decode(b->decoder, &call, b->message);
    if (code == PM_PLUGIN_TOO_SMALL && pm_grow((void **)&b->text, &b->capacity, call.n_text, 1)) {
        call.text = b->text;
        call.capacity = b->capacity;
        code = pm_decoder_decode(b->decoder, &call, b->message);
    }
    free(ids);
    return code == PM_PLUGIN_OK && write_sized(b->text, call.n_text);
}

static int obey(text_batch *b, int letter, const char *bytes, size_t n)
{
    switch (letter) {
    case 'N':
        return set_normalizer(b, bytes, n);
    case 'T':
        return normalize(b, bytes, n);
    case 'V':
        return set_vocabulary(b, bytes, n);
    case 'D':
        return set_decoder(b, bytes, n);
    case 'I':
        return b->decoder && decode(b, bytes, n);
    }
    return 0;
}

int main(void)
{
    char failure[256] = "";
    pm_plugin_message message = {failure, sizeof failure};
    text_batch b = {.message = &message};
    int letter, good = 1;
    while (good && (letter = getchar()) != EOF) {
        uint32_t n = 0;
        good = fread(&n, sizeof n, 1, stdin) == 1 && n <= MOST_ORDER;
        char *bytes = good ? malloc((size_t)n + 1) : NULL;
        good = bytes && fread(bytes, 1, n, stdin) == n && obey(&b, letter, bytes, n);
        free(bytes);
    }
    if (!good)
        fprintf(stderr, "text_batch: %s\n", failure);
    pm_normalizer_destroy(b.normalizer);
    pm_normalizer_scratch_destroy(&b.scratch);
    pm_decoder_destroy(b.decoder);
    pm_token_table_destroy(&b.table);
    free(b.text);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
