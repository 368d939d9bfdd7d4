/* Encodes many texts with the tokenizer of a model file, for scripts that compare us with other implementations.
 *
 * usage: encode_batch FILE [--plugin NAME|FILE] [--special] [--offsets] [--decode] [--ids] < requests > replies
 * FILE is any that pm_tokenizer_open_file takes. A request is a 32-bit length and that many bytes of text; its reply a
 * 32-bit count and that many 32-bit ids, all little-endian. With --offsets that many pairs of 32-bit offsets follow,
 * with --decode a length and the bytes that the ids decode to. With --ids requests are ids in place of bytes, and
 * replies what they decode to.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/tokenizer.h"

static int write_offsets(const pm_tokens *tokens)
{
    for (size_t i = 0; i < tokens->n; i++) {
        uint32_t span[] = {(uint32_t)tokens->spans[i].begin, (uint32_t)tokens->spans[i].end};
        if (fwrite(span, sizeof span, 1, stdout) != 1)
            return 0;
    }
    return 1;
}

static int write_text(const char *text, size_t size)
{
    uint32_t length = (uint32_t)size;
    return fwrite(&length, sizeof length, 1, stdout) == 1 && fwrite(text, 1, size, stdout) == size;
}

static int reply(const pm_tokenizer *tokenizer, const char *text, uint32_t size, uint32_t flags, int offsets,
                 int decode)
{
    pm_encode_request request = {.text = text, .size = size, .flags = flags, .with_spans = offsets};
    pm_tokens tokens = {0};
    pm_error err = {PM_OK, ""};
    char *back = NULL;
    size_t n_back = 0;
    pm_status status = pm_tokenizer_encode_request(tokenizer, &request, &tokens, &err);
    if (status == PM_OK && decode)
        status = pm_tokenizer_decode(tokenizer, tokens.ids, tokens.n, 0, &back, &n_back, &err);
    if (status != PM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 0;
    }
    uint32_t n = (uint32_t)tokens.n;
    fwrite(&n, sizeof n, 1, stdout);
    fwrite(tokens.ids, sizeof *tokens.ids, tokens.n, stdout);
    int good = !offsets || write_offsets(&tokens);
    if (decode)
        good = good && write_text(back, n_back);
    pm_tokens_free(&tokens);
    pm_text_free(back);
    return good && !ferror(stdout);
}

static int reply_to_ids(const pm_tokenizer *tokenizer, const int32_t *ids, uint32_t n)
{
    pm_error err = {PM_OK, ""};
    char *text = NULL;
    size_t size = 0;
    if (pm_tokenizer_decode(tokenizer, ids, n, 0, &text, &size, &err) != PM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 0;
    }
    int good = write_text(text, size);
    pm_text_free(text);
    return good;
}

typedef struct settings {
    uint32_t flags; /* of pm_encode_request */
    int offsets, decode, ids;
} settings;

static int serve(const pm_tokenizer *tokenizer, const settings *s)
{
    uint32_t size;
    size_t unit = s->ids ? sizeof(int32_t) : 1;
    while (fread(&size, sizeof size, 1, stdin) == 1) {
        void *bytes = malloc(size * unit + 1);
        int good = bytes && fread(bytes, unit, size, stdin) == size;
        if (good && s->ids)
            good = reply_to_ids(tokenizer, bytes, size);
        else if (good)
            good = reply(tokenizer, bytes, size, s->flags, s->offsets, s->decode);
        free(bytes);
        if (!good)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    pm_tokenizer_options options = {0};
    settings s = {0};
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--special") == 0)
            s.flags |= PM_ENCODE_PARSE_SPECIAL;
        else if (strcmp(argv[i], "--offsets") == 0)
            s.offsets = 1;
        else if (strcmp(argv[i], "--decode") == 0)
            s.decode = 1;
        else if (strcmp(argv[i], "--ids") == 0)
            s.ids = 1;
        else if (strcmp(argv[i], "--plugin") == 0 && i + 1 < argc)
            options.plugin = argv[++i];
    }
    pm_tokenizer *tokenizer = NULL;
    pm_error err = {PM_OK, "usage: encode_batch FILE [--plugin NAME|FILE] [--special] [--offsets] [--decode] [--ids]"};
    int status = EXIT_FAILURE;
    if (argc > 1 && pm_tokenizer_open_file(argv[1], &options, &tokenizer, &err) == PM_OK)
        status = serve(tokenizer, &s);
    else
        fprintf(stderr, "%s\n", err.message);
    pm_tokenizer_close(tokenizer);
    return status;
}
