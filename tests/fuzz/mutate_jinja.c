/* Chat templates with bytes changed, cut out, doubled, and with words of the language put in: no crash, no report
 * of a sanitizer, and every failure has a message. Runs in every build; usage: mutate_jinja [rounds] */
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja_try.h"
#include "pumice/chat.h"

enum { MOST_BYTES = 1 << 16 };

static const char *const words[] = {
    "{% ",
    " %}",
    "{{ ",
    " }}",
    "{%- ",
    "-%}",
    "{# ",
    "#}",
    "if ",
    "else",
    "elif ",
    "endif",
    "for x in ",
    "endfor",
    "set ",
    "endset",
    "macro m(a=1)",
    "endmacro",
    "call m() ",
    "raw",
    "endraw",
    " | tojson",
    " | join(',')",
    " | map('trim')",
    " | sort",
    " | int",
    " | list",
    ".items()",
    ".split('')",
    "[::-1]",
    "[-1]",
    "messages",
    "loop",
    "namespace(a=1)",
    "range(9)",
    " is defined",
    " in ",
    " not ",
    "'%s'",
    " % ",
    "~",
    "**",
    "9999999999",
    "-1",
    "'\\u00",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".format(",
    "break",
    "continue",
    "recursive",
    "\xff",
    "\xc3",
    "\n",
    "'",
    "\"",
};

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return n ? *state % n : 0;
}

/* Changes the text of n bytes in place (there is room); returns its new size. */
static size_t mutate(char *text, size_t n, uint32_t *state)
{
    size_t at = random_below(state, (uint32_t)n + 1), most = n - at, length = random_below(state, 24) + 1;
    const char *word = words[random_below(state, sizeof words / sizeof *words)];
    length = length < most ? length : most;
    switch (random_below(state, 4)) {
    case 0:
        if (most)
            text[at] = (char)random_below(state, 256);
        return n;
    case 1:
        memmove(text + at, text + at + length, n - at - length);
        return n - length;
    case 2:
        if (n + length > MOST_BYTES)
            return n;
        memmove(text + at + length, text + at, n - at);
        return n + length;
    default:
        length = strlen(word);
        if (n + length > MOST_BYTES)
            return n;
        memmove(text + at + length, text + at, n - at);
        memcpy(text + at, word, length);
        return n + length;
    }
}

static size_t read_seed(const char *path, char *out)
{
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(out, 1, MOST_BYTES / 2, file) : 0;
    if (file)
        fclose(file);
    return n;
}

int main(int argc, char **argv)
{
    static char seed[MOST_BYTES], text[MOST_BYTES + 64];
    int rounds = argc > 1 ? atoi(argv[1]) : 60, n_run = 0, n_fine = 0;
    uint32_t state = 20261123;
    glob_t files = {0};
    glob(PUMICE_SHARED_DATA "/templates/*.jinja", 0, NULL, &files);
    for (size_t i = 0; i < files.gl_pathc + 3; i++) {
        static const char *const names[] = {"chatml", "llama2", "llama3"};
        size_t n_seed;
        if (i < 3) {
            n_seed = strlen(pm_chat_template_text(names[i]));
            memcpy(seed, pm_chat_template_text(names[i]), n_seed);
        } else {
            n_seed = read_seed(files.gl_pathv[i - 3], seed);
        }
        for (int round = 0; round < rounds; round++, n_run++) {
            size_t n = n_seed;
            memcpy(text, seed, n);
            for (uint32_t k = 1 + random_below(&state, 3); k; k--)
                n = mutate(text, n, &state);
            n_fine += jinja_try(text, n);
        }
    }
    globfree(&files);
    printf("%d templates, of which %d still make a prompt\n", n_run, n_fine);
    return n_fine > 0 && n_fine < n_run ? 0 : 1;
}
