/* The pages of a shared KV cache: taken, given back, found again by their tokens, oldest overwritten first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/cache_pages.h"

enum { PAGE = 4 };

static pm_cache_pages *make(int32_t n)
{
    pm_cache_pages *pages;
    assert_int_equal(pm_cache_pages_create(n, PAGE, &pages, NULL), PM_OK);
    return pages;
}

static void test_take_and_give(void **state)
{
    (void)state;
    pm_cache_pages *p = make(3);
    int32_t a = pm_cache_pages_take(p), b = pm_cache_pages_take(p), c = pm_cache_pages_take(p);
    assert_true(a != b && b != c && a != c && a >= 0 && b >= 0 && c >= 0);
    assert_int_equal(pm_cache_pages_take(p), -1);
    assert_int_equal(pm_cache_pages_n_free(p), 0);
    pm_cache_pages_give(p, b);
    assert_int_equal(pm_cache_pages_n_free(p), 1);
    assert_int_equal(pm_cache_pages_n_kept(p), 0);
    assert_int_equal(pm_cache_pages_take(p), b);
    pm_cache_pages_destroy(p);
}

static void test_found_by_tokens(void **state)
{
    (void)state;
    static const int32_t first[PAGE] = {1, 2, 3, 4}, second[PAGE] = {5, 6, 7, 8}, other[PAGE] = {1, 2, 3, 5};
    pm_cache_pages *p = make(4);
    uint64_t serial = 0, again = 0;
    int32_t a = pm_cache_pages_take(p), b = pm_cache_pages_take(p);
    pm_cache_pages_register(p, a, first, &serial);
    pm_cache_pages_register(p, b, second, &serial);
    assert_int_equal(pm_cache_pages_find(p, other, &again), -1);
    assert_int_equal(pm_cache_pages_find(p, second, &again), -1); /* not as a first page */
    assert_int_equal(pm_cache_pages_find(p, first, &again), a);
    assert_int_equal(pm_cache_pages_find(p, second, &again), b);
    assert_int_equal(again, serial);
    pm_cache_pages_give(p, a);
    pm_cache_pages_give(p, b);
    assert_int_equal(pm_cache_pages_n_free(p), 2); /* the one that registered them still has them */
    pm_cache_pages_give(p, b);
    pm_cache_pages_give(p, a);
    assert_int_equal(pm_cache_pages_n_free(p), 4);
    assert_int_equal(pm_cache_pages_n_kept(p), 2);
    again = 0;
    assert_int_equal(pm_cache_pages_find(p, first, &again), a); /* still there */
    assert_int_equal(pm_cache_pages_n_kept(p), 1);
    pm_cache_pages_destroy(p);
}

/* Two sequences that fill a page with the same tokens at the same time: the second goes on behind the first's. */
static void test_the_same_twice(void **state)
{
    (void)state;
    static const int32_t first[PAGE] = {1, 2, 3, 4}, second[PAGE] = {5, 6, 7, 8};
    pm_cache_pages *p = make(4);
    uint64_t mine = 0, theirs = 0, again = 0;
    int32_t a = pm_cache_pages_take(p), b = pm_cache_pages_take(p), c = pm_cache_pages_take(p);
    pm_cache_pages_register(p, a, first, &mine);
    pm_cache_pages_register(p, b, first, &theirs);
    assert_int_equal(mine, theirs);
    pm_cache_pages_register(p, c, second, &theirs);
    pm_cache_pages_give(p, b);
    assert_int_equal(pm_cache_pages_n_kept(p), 0); /* b is known by nothing */
    assert_int_equal(pm_cache_pages_find(p, first, &again), a);
    assert_int_equal(pm_cache_pages_find(p, second, &again), c);
    pm_cache_pages_destroy(p);
}

static void test_oldest_overwritten_first(void **state)
{
    (void)state;
    pm_cache_pages *p = make(3);
    int32_t number[3], tokens[3][PAGE] = {{1}, {2}, {3}};
    uint64_t serials[3];
    for (int i = 0; i < 3; i++) {
        serials[i] = 0;
        number[i] = pm_cache_pages_take(p);
        pm_cache_pages_register(p, number[i], tokens[i], &serials[i]);
    }
    pm_cache_pages_give(p, number[1]);
    pm_cache_pages_give(p, number[0]);
    pm_cache_pages_give(p, number[2]);
    assert_int_equal(pm_cache_pages_take(p), number[1]);
    uint64_t serial = 0;
    assert_int_equal(pm_cache_pages_find(p, tokens[1], &serial), -1);
    assert_int_equal(pm_cache_pages_find(p, tokens[0], &serial), number[0]); /* in use again: 2 goes next */
    assert_int_equal(pm_cache_pages_take(p), number[2]);
    assert_int_equal(pm_cache_pages_take(p), -1);
    pm_cache_pages_destroy(p);
}

/* A page whose predecessor was overwritten is not found behind another with the same tokens. */
static void test_predecessor_overwritten(void **state)
{
    (void)state;
    static const int32_t first[PAGE] = {1, 2, 3, 4}, second[PAGE] = {5, 6, 7, 8};
    pm_cache_pages *p = make(2);
    uint64_t serial = 0, again = 0;
    int32_t a = pm_cache_pages_take(p), b = pm_cache_pages_take(p);
    pm_cache_pages_register(p, a, first, &serial);
    pm_cache_pages_register(p, b, second, &serial);
    pm_cache_pages_give(p, a);
    assert_int_equal(pm_cache_pages_take(p), a);
    pm_cache_pages_register(p, a, first, &again); /* computed anew: another serial number */
    assert_int_equal(pm_cache_pages_find(p, second, &again), -1);
    pm_cache_pages_destroy(p);
}

/* Many random steps against a list that says who has what. */
static void test_random_steps(void **state)
{
    (void)state;
    enum { N = 17, STEPS = 20000 };
    pm_cache_pages *p = make(N);
    int users[N] = {0};
    uint32_t random = 1;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525u + 1013904223u;
        int32_t number = (int32_t)((random >> 8) % N), tokens[PAGE] = {(int32_t)((random >> 20) % 9)};
        uint64_t serial = 0;
        if (random >> 30 == 0) {
            number = pm_cache_pages_take(p);
            if (number >= 0) {
                assert_int_equal(users[number], 0);
                users[number] = 1;
                if (step % 3)
                    pm_cache_pages_register(p, number, tokens, &serial);
            }
        } else if (random >> 30 == 1) {
            number = pm_cache_pages_find(p, tokens, &serial);
            if (number >= 0)
                users[number]++;
        } else if (users[number] > 0) {
            users[number]--;
            pm_cache_pages_give(p, number);
        }
        int n_free = 0;
        for (int i = 0; i < N; i++)
            n_free += users[i] == 0;
        assert_int_equal(pm_cache_pages_n_free(p), n_free);
        assert_true(pm_cache_pages_n_kept(p) <= 9);
    }
    pm_cache_pages_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_and_give),           cmocka_unit_test(test_found_by_tokens),
        cmocka_unit_test(test_the_same_twice),          cmocka_unit_test(test_oldest_overwritten_first),
        cmocka_unit_test(test_predecessor_overwritten), cmocka_unit_test(test_random_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
