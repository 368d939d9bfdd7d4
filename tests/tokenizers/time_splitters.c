/* How fast the scanners cut a file, in MB/s of one thread: the best of several runs.
 *
 * usage: time_splitters FILE...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parts/split_patterns.h"
#include "splitter_patterns.h"

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t cut(const pm_split_scanner *scanner, const char *text, size_t n)
{
    uint32_t ends[PM_SPLIT_BLOCK];
    size_t pieces = 0;
    for (size_t at = 0, k; (k = pm_split_scan(scanner, text, n, &at, ends, PM_SPLIT_BLOCK)) > 0;)
        pieces += k;
    return pieces;
}

static void time_scanner(const char *name, const pm_split_scanner *scanner, const char *text, size_t n)
{
    enum { RUNS = 7 };
    double best = 1e9;
    size_t pieces = 0;
    for (int run = 0; run < RUNS; run++) {
        double begin = seconds();
        pieces = cut(scanner, text, n);
        double took = seconds() - begin;
        best = took < best ? took : best;
    }
    printf("  %-28s %7.0f MB/s  %9zu pieces\n", name, 1e-6 * (double)n / best, pieces);
}

static void time_deepseek_chain(const char *text, size_t n)
{
    static const char *const names[] = {"numbers by three", "deepseek-v3, han and kana", "deepseek-v3, words"};
    pm_split_scanner *stages[3] = {0}, *chain = NULL;
    for (size_t s = 0; s < 3; s++)
        for (size_t i = 0; i < N_SPLITTER_PATTERNS; i++)
            if (strcmp(splitter_patterns[i].name, names[s]) == 0)
                pm_split_scanner_create(splitter_patterns[i].pattern, strlen(splitter_patterns[i].pattern),
                                        &stages[s], NULL);
    pm_split_scanner_create_chain((const pm_split_scanner *const *)stages, 3, &chain, NULL);
    if (chain)
        time_scanner("deepseek-v3, all three", chain, text, n);
    for (size_t s = 0; s < 3; s++)
        pm_split_scanner_destroy(stages[s]);
    pm_split_scanner_destroy(chain);
}

static int time_file(const char *path)
{
    enum { MOST = 1 << 25 };
    char *text = malloc(MOST);
    FILE *file = fopen(path, "rb");
    size_t n = file && text ? fread(text, 1, MOST, file) : 0;
    if (file)
        fclose(file);
    printf("%s: %zu bytes\n", path, n);
    for (size_t i = 0; n > 0 && i < N_SPLITTER_PATTERNS; i++) {
        pm_split_scanner *scanner = NULL;
        const char *pattern = splitter_patterns[i].pattern;
        if (pm_split_scanner_create(pattern, strlen(pattern), &scanner, NULL) != PM_PLUGIN_OK || !scanner)
            continue;
        time_scanner(splitter_patterns[i].name, scanner, text, n);
        pm_split_scanner_destroy(scanner);
    }
    pm_split_scanner *words = NULL;
    if (n > 0 && pm_split_scanner_create_words(&words, NULL) == PM_PLUGIN_OK)
        time_scanner(WHITESPACE_WORDS, words, text, n);
    pm_split_scanner_destroy(words);
    if (n > 0)
        time_deepseek_chain(text, n);
    free(text);
    return n > 0;
}

int main(int argc, char **argv)
{
    int good = argc > 1;
    for (int i = 1; i < argc; i++)
        good &= time_file(argv[i]);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
