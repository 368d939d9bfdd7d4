/* The random numbers of sampling: known values (another backend must draw the same), even, and without pattern. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "ops/ops.h"
#include "ops/random_unit.h"

/* By the definition of pcg3d, worked out with unbounded integers (hash3 of tests/data/make_op_golden.py). */
static void known_values(void **state)
{
    (void)state;
    assert_int_equal(pm_random_bits(0, 0, 0), 0x9BAFD7C6u);
    assert_int_equal(pm_random_bits(1, 2, 3), 0xFA9F79A6u);
    assert_int_equal(pm_random_bits(0xFFFFFFFFu, 0x80000000u, 7), 0xA9945E4Au);
    assert_true(pm_random_unit(1, 2, 3) == (float)(0xFA9F79A6u >> 8) / 16777216.0f);
}

/* Chi-square over 256 cells of 2^20 draws: 255 degrees of freedom, deviation sqrt(2 * 255) = 22.6; five of them.
 */
static double chi_square(const uint32_t *cells, double expected)
{
    double sum = 0;
    for (int i = 0; i < 256; i++)
        sum += (cells[i] - expected) * (cells[i] - expected) / expected;
    return sum;
}

static void draws_are_even(void **state)
{
    (void)state;
    enum { DRAWS = 1 << 20 };
    for (int which = 0; which < 4; which++) { /* what counts up: counter, seed; and pairs of neighbours */
        uint32_t cells[256] = {0};
        double sum = 0;
        for (uint32_t i = 0; i < DRAWS; i++) {
            float u = which == 0   ? pm_random_unit(42, 0, i)
                      : which == 1 ? pm_random_unit(i, 0, 5)
                      : which == 2 ? pm_random_unit(3, i, 0)
                                   : pm_random_unit(9, 9, 2 * i);
            assert_true(u >= 0 && u < 1);
            sum += (double)u;
            if (which == 3) { /* two draws that follow each other: cells of a 16 x 16 square */
                float v = pm_random_unit(9, 9, 2 * i + 1);
                cells[(int)(u * 16) * 16 + (int)(v * 16)]++;
            } else {
                cells[(int)(u * 256)]++;
            }
        }
        double chi = chi_square(cells, DRAWS / 256.0);
        if (chi < 255 - 5 * 22.6 || chi > 255 + 5 * 22.6)
            fail_msg("way %d: chi-square is %.1f, about 255 was expected", which, chi);
        assert_true(fabs(sum / DRAWS - 0.5) < 5 * 0.2887 / 1024); /* deviation of the mean: 1/sqrt(12) / sqrt(n) */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(draws_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
