/* fuzz.encode_random: random texts through tokenizers of every make, in every build.
 *
 * usage: mutate_encode [TEXTS [SEED]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/encode_check.h"

enum { MAX_BYTES = 400 };

static const char *const parts[] = {" ",
                                    "  ",
                                    "a",
                                    "ab",
                                    "abc",
                                    "the",
                                    " the",
                                    "aaaaaaa",
                                    "1",
                                    "111",
                                    "é",
                                    "e\xCC\x81",
                                    "中",
                                    "\xE2\x96\x81",
                                    "\n",
                                    "\r\n",
                                    "\t",
                                    "<unk>",
                                    "<|a|>",
                                    " x ",
                                    "É",
                                    "[UNK]",
                                    "<0x41>",
                                    "##a",
                                    "'s",
                                    "\xF0\x9F\xA6\x99",
                                    "\xFF",
                                    "\xC3",
                                    "\xE4\xB8",
                                    "\xED\xA0\x80",
                                    "\xE3\x82\x99",
                                    "\xEA\xB0\x80",
                                    "\xCE\xA3",
                                    "\xE2\x80\x8D"};

static uint64_t state;

static uint32_t any(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % n;
}

static size_t make_input(uint8_t *out)
{
    size_t n = 0, wanted = any(MAX_BYTES - 64);
    for (; n < 4; n++)
        out[n] =
            n == 0 || any(2) ? (uint8_t)any(256) : 0; /* often nothing is normalised, so that texts come back */
    while (n < wanted) {
        if (any(4) == 0) {
            out[n++] = any(2) ? (uint8_t)any(256) : 0;
            continue;
        }
        const char *part = parts[any(sizeof parts / sizeof parts[0])];
        memcpy(out + n, part, strlen(part));
        n += strlen(part);
    }
    return n;
}

int main(int argc, char **argv)
{
    uint32_t n_texts = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 20000;
    state = 0x9E3779B97F4A7C15u + (argc > 2 ? strtoull(argv[2], NULL, 10) : 0);
    uint8_t input[MAX_BYTES];
    for (uint32_t i = 0; i < n_texts; i++) {
        size_t n = make_input(input);
        if (encode_check(input, n))
            continue;
        fprintf(stderr, "text number %u, of %zu bytes:", i, n);
        for (size_t k = 0; k < n; k++)
            fprintf(stderr, " %02x", input[k]);
        fprintf(stderr, "\n");
        return EXIT_FAILURE;
    }
    encode_check_end();
    printf("%zu texts encoded, %zu came back to the byte\n", encode_check_n_encoded, encode_check_n_lossless);
    return encode_check_n_encoded >= n_texts && encode_check_n_lossless >= n_texts / 20 ? EXIT_SUCCESS
                                                                                        : EXIT_FAILURE;
}
