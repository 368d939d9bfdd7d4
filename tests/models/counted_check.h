/* CHECK(condition, format, ...): counts; where it fails, says so, with the line and what the format makes of the
 * rest. */
#ifndef PUMICE_COUNTED_CHECK_H
#define PUMICE_COUNTED_CHECK_H

#include <stdio.h>

static int n_passed, n_failed;

#define CHECK(condition, ...)                                                                                     \
    do {                                                                                                          \
        if (condition) {                                                                                          \
            n_passed++;                                                                                           \
        } else {                                                                                                  \
            printf("FAILED, line %d: ", __LINE__);                                                                \
            printf(__VA_ARGS__);                                                                                  \
            puts("");                                                                                             \
            n_failed++;                                                                                           \
        }                                                                                                         \
    } while (0)

/* The exit status, after one line with the counts. */
static inline int checks_ended(void)
{
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed > 0 || n_passed == 0;
}

#endif
