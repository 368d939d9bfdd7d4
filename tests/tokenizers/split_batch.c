/* Cuts the texts on standard input with the scanner for an expression, or of Whitespace (PATTERN is that word),
 * for scripts that compare (diff_splitters.py).
 *
 * usage: split_batch PATTERN
 * input: texts, each a 32-bit size and its bytes; output: for each, the number of pieces and their ends with
 * PM_SPLIT_GAP, 32 bits each. All numbers are in the machine's byte order. Exit status 3: no scanner for it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts/split_patterns.h"

enum { MOST_TEXT = 1 << 26, NO_SCANNER = 3 };

/* Reads a text, writes its pieces. 1: done; 0: no more; -1: failed. */
static int cut_text(const pm_split_scanner *scanner, char *text, uint32_t *ends)
{
    uint32_t n = 0;
    if (fread(&n, sizeof n, 1, stdin) != 1)
        return 0;
    if (n > MOST_TEXT || fread(text, 1, n, stdin) != n)
        return -1;
    size_t at = 0;
    uint32_t k = (uint32_t)pm_split_scan(scanner, text, n, &at, ends, (size_t)n + 1);
    return at == n && fwrite(&k, sizeof k, 1, stdout) == 1 && fwrite(ends, sizeof *ends, k, stdout) == k ? 1 : -1;
}

int main(int argc, char **argv)
{
    pm_split_scanner *scanner = NULL;
    if (argc != 2)
        return EXIT_FAILURE;
    pm_plugin_code code = strcmp(argv[1], "Whitespace") == 0
                              ? pm_split_scanner_create_words(&scanner, NULL)
                              : pm_split_scanner_create(argv[1], strlen(argv[1]), &scanner, NULL);
    if (code != PM_PLUGIN_OK)
        return EXIT_FAILURE;
    if (!scanner)
        return NO_SCANNER;
    char *text = malloc(MOST_TEXT);
    uint32_t *ends = malloc(((size_t)MOST_TEXT + 1) * sizeof *ends);
    int status = text && ends ? 1 : -1;
    while (status > 0)
        status = cut_text(scanner, text, ends);
    free(text);
    free(ends);
    pm_split_scanner_destroy(scanner);
    return status < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
