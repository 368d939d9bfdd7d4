/* The inner loop of the scanners against a loop that is obvious, for every byte at every place.
 *
 * Needs nothing but the header, so that it can be compiled and run for another processor:
 *     aarch64-linux-gnu-gcc -static -Itokenizers tests/unit/test_ascii_runs.c && qemu-aarch64 ./a.out */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts/ascii_runs.h"

static size_t obvious(const unsigned char *p, int any_case)
{
    size_t n = 0;
    while (n < PM_ASCII_STEP && ((p[n] >= 'a' && p[n] <= 'z') || (any_case && p[n] >= 'A' && p[n] <= 'Z')))
        n++;
    return n;
}

/* A run of `length` letters, then the byte, then more letters, from an address of any alignment. */
static int check(unsigned byte, size_t length, size_t shift)
{
    unsigned char memory[64];
    memset(memory, byte % 2 ? 'q' : 'z', sizeof memory);
    unsigned char *p = memory + shift;
    p[length] = (unsigned char)byte;
    if (length > 0)
        p[length / 2] = byte % 3 ? 'a' : 'M';
    if (pm_leading_letters(p) == obvious(p, 1) && pm_leading_lower(p) == obvious(p, 0))
        return 1;
    printf("byte %02x behind %zu letters: %zu letters instead of %zu, %zu lower ones instead of %zu\n", byte, length,
           pm_leading_letters(p), obvious(p, 1), pm_leading_lower(p), obvious(p, 0));
    return 0;
}

int main(void)
{
    int n_failed = 0;
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t length = 0; length <= PM_ASCII_STEP; length++)
            for (size_t shift = 0; shift < 4; shift++)
                n_failed += !check(byte, length, shift);
    printf("%d failed\n", n_failed);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
