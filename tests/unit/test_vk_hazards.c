/* Hazard tracking of the Vulkan runtime as a pure function: a barrier exactly where ranges overlap and one writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backends/vulkan/vk_hazards.h"

static bool next(pm_vk_hazards *h, size_t n, const pm_vk_touch *touches)
{
    bool barrier = false;
    assert_true(pm_vk_hazards_next(h, touches, n, &barrier));
    return barrier;
}

#define READ(buffer, begin, end)                                                                                  \
    {                                                                                                             \
        buffer, false, begin, end                                                                                 \
    }
#define WRITE(buffer, begin, end)                                                                                 \
    {                                                                                                             \
        buffer, true, begin, end                                                                                  \
    }
#define NEXT(h, ...)                                                                                              \
    next(h, sizeof((pm_vk_touch[]){__VA_ARGS__}) / sizeof(pm_vk_touch), (pm_vk_touch[]){__VA_ARGS__})

static void each_kind_of_conflict(void **state)
{
    (void)state;
    static const struct {
        pm_vk_touch first, second;
        bool barrier;
    } rows[] = {
        {WRITE(0, 0, 64), READ(0, 0, 64), true},    /* read after write */
        {READ(0, 0, 64), WRITE(0, 0, 64), true},    /* write after read */
        {WRITE(0, 0, 64), WRITE(0, 0, 64), true},   /* write after write */
        {READ(0, 0, 64), READ(0, 0, 64), false},    /* reads may meet */
        {WRITE(0, 0, 64), READ(1, 0, 64), false},   /* another buffer */
        {WRITE(0, 0, 64), READ(0, 64, 128), false}, /* neighbours */
        {WRITE(0, 64, 128), READ(0, 0, 64), false},
        {WRITE(0, 0, 64), READ(0, 63, 64), true}, /* one byte */
        {WRITE(0, 10, 20), READ(0, 0, 64), true}, /* inside */
        {WRITE(0, 0, 64), READ(0, 10, 20), true},
        {WRITE(0, 0, 64), READ(0, 10, 10), false}, /* nothing */
        {WRITE(7, UINT64_MAX - 4, UINT64_MAX), READ(7, UINT64_MAX - 1, UINT64_MAX), true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pm_vk_hazards h = {0};
        assert_false(next(&h, 1, &rows[i].first));
        if (next(&h, 1, &rows[i].second) != rows[i].barrier)
            fail_msg("row %zu: a barrier was %sexpected", i, rows[i].barrier ? "" : "not ");
        pm_vk_hazards_free(&h);
    }
}

static void a_barrier_clears_the_book(void **state)
{
    (void)state;
    pm_vk_hazards h = {0};
    assert_false(NEXT(&h, READ(0, 0, 8), WRITE(0, 8, 16)));
    assert_true(NEXT(&h, READ(0, 8, 16), WRITE(0, 16, 24)));
    assert_false(NEXT(&h, READ(0, 0, 16), WRITE(0, 24, 32))); /* before the barrier: no matter */
    assert_true(NEXT(&h, READ(0, 16, 24)));
    pm_vk_hazards_clear(&h);
    assert_false(NEXT(&h, WRITE(0, 0, 1000)));
    pm_vk_hazards_free(&h);
}

static void a_dispatch_does_not_conflict_with_itself(void **state)
{
    (void)state;
    pm_vk_hazards h = {0};
    assert_false(NEXT(&h, READ(0, 0, 8), WRITE(0, 0, 8)));
    assert_true(NEXT(&h, READ(0, 0, 8), WRITE(0, 0, 8)));
    pm_vk_hazards_free(&h);
}

/* Against the plain definition, on random dispatches: every pair since the last barrier is compared byte by byte.
 */
static void agrees_with_the_definition(void **state)
{
    (void)state;
    enum { ROUNDS = 20000, BYTES = 48 };
    unsigned char read[BYTES] = {0}, written[BYTES] = {0};
    pm_vk_hazards h = {0};
    uint32_t seed = 1;
    int barriers = 0;
    for (int round = 0; round < ROUNDS; round++) {
        pm_vk_touch touches[3];
        bool expected = false;
        for (int i = 0; i < 3; i++) {
            seed = seed * 1664525u + 1013904223u;
            uint64_t begin = (seed >> 16) % BYTES, length = (seed >> 10) % 5;
            touches[i] =
                (pm_vk_touch){0, (seed >> 28) % 4 == 0, begin, begin + length > BYTES ? BYTES : begin + length};
            for (uint64_t b = touches[i].begin; b < touches[i].end; b++)
                expected = expected || written[b] || (touches[i].writes && read[b]);
        }
        if (expected) {
            memset(read, 0, sizeof read);
            memset(written, 0, sizeof written);
            barriers++;
        }
        for (int i = 0; i < 3; i++)
            memset((touches[i].writes ? written : read) + touches[i].begin, 1, touches[i].end - touches[i].begin);
        assert_int_equal(next(&h, 3, touches), expected);
    }
    assert_in_range(barriers, ROUNDS / 10, ROUNDS - ROUNDS / 10); /* both answers were tried */
    pm_vk_hazards_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_conflict),
        cmocka_unit_test(a_barrier_clears_the_book),
        cmocka_unit_test(a_dispatch_does_not_conflict_with_itself),
        cmocka_unit_test(agrees_with_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
