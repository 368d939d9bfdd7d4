/* The memory plan: no two items that live at the same time share a byte, and little is wasted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "graph/graph.h"
#include "ops/ops.h"

enum { MAX_ITEMS = 200 };

static uint32_t random_below(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

static bool meet(const pm_plan_item *a, const pm_plan_item *b)
{
    return a->size > 0 && b->size > 0 && a->first <= b->last && b->first <= a->last;
}

static size_t round_up(size_t size, size_t align)
{
    return (size + align - 1) / align * align;
}

/* The most bytes alive in any step: no plan can be smaller. */
static size_t peak(const pm_plan_item *items, size_t n, size_t align)
{
    size_t most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t sum = 0;
        for (size_t k = 0; k < n; k++)
            if (items[k].size > 0 && items[k].first <= items[i].first && items[k].last >= items[i].first)
                sum += round_up(items[k].size, align);
        most = sum > most ? sum : most;
    }
    return most;
}

static void check_plan(const pm_plan_item *items, size_t n, size_t align, size_t total)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].size == 0)
            continue;
        assert_int_equal(items[i].offset % align, 0);
        assert_true(items[i].offset + items[i].size <= total);
        for (size_t k = 0; k < i; k++)
            if (meet(&items[i], &items[k]) && items[i].offset < items[k].offset + items[k].size &&
                items[k].offset < items[i].offset + items[i].size)
                fail_msg("items %zu and %zu of %zu share bytes", k, i, n);
    }
}

/* Every way for four items of sizes 0 to 2 to live between steps 0 and 2. */
static void every_small_plan_is_sound(void **state)
{
    (void)state;
    static const int32_t spans[6][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}};
    enum { KINDS = 13, ALL = KINDS * KINDS * KINDS * KINDS };
    for (int number = 0; number < ALL; number++) {
        pm_plan_item items[4];
        size_t total;
        for (int i = 0, rest = number; i < 4; i++, rest /= KINDS) {
            int kind = rest % KINDS; /* 0: no size; else a span and size 1 or 2 */
            items[i] = (pm_plan_item){.size = kind == 0 ? 0 : (size_t)(1 + (kind - 1) / 6)};
            if (kind > 0) {
                items[i].first = spans[(kind - 1) % 6][0];
                items[i].last = spans[(kind - 1) % 6][1];
            }
        }
        assert_int_equal(pm_plan_memory(items, 4, 1, &total, NULL), PM_OK);
        check_plan(items, 4, 1, total);
        assert_true(total <= peak(items, 4, 1) + 1);
    }
}

/* Random plans; the packing that no order of placement can do better than is not asked for, but its neighbourhood.
 */
static void random_plans_are_sound_and_tight(void **state)
{
    (void)state;
    uint64_t random = 7;
    double sum_waste = 0;
    enum { PLANS = 400 };
    for (int plan = 0; plan < PLANS; plan++) {
        pm_plan_item items[MAX_ITEMS];
        size_t n = 1 + random_below(&random, MAX_ITEMS), total;
        size_t align = (size_t)1 << random_below(&random, 9);
        uint32_t steps = 1 + random_below(&random, 100), longest = 1 + random_below(&random, 20);
        for (size_t i = 0; i < n; i++) {
            int32_t first = (int32_t)random_below(&random, steps);
            items[i] = (pm_plan_item){.size = random_below(&random, 8) ? random_below(&random, 10000) : 0,
                                      .first = first,
                                      .last = first + (int32_t)random_below(&random, longest),
                                      .offset = 12345};
        }
        assert_int_equal(pm_plan_memory(items, n, align, &total, NULL), PM_OK);
        check_plan(items, n, align, total);
        size_t least = peak(items, n, align);
        assert_true(total >= least);
        if (least > 0) {
            double waste = (double)total / (double)least - 1;
            sum_waste += waste;
            if (waste > 0.5)
                fail_msg("plan %d of %zu items takes %zu bytes where %zu are alive at once", plan, n, total,
                         least);
        }
    }
    assert_true(sum_waste / PLANS < 0.05);
}

static void refuses_nonsense(void **state)
{
    (void)state;
    pm_plan_item items[2] = {{.size = 4, .first = 2, .last = 1}, {.size = 4}};
    size_t total;
    pm_error err;
    assert_int_equal(pm_plan_memory(items, 2, 16, &total, &err), PM_ERR_ARGUMENT);
    items[0].last = 2;
    assert_int_equal(pm_plan_memory(items, 2, 0, &total, &err), PM_ERR_ARGUMENT);
    assert_int_equal(pm_plan_memory(items, 2, 24, &total, &err), PM_ERR_ARGUMENT);
    items[0].size = items[1].size = SIZE_MAX / 3;
    assert_int_equal(pm_plan_memory(items, 2, 16, &total, &err), PM_ERR_LIMIT);
    assert_int_equal(pm_plan_memory(NULL, 0, 16, &total, &err), PM_OK);
    assert_int_equal(total, 0);
}

/* x -> a -> b -> view -> c, with a read again at the end; b's storage lives as long as its view is read. */
static void lifetimes_follow_a_graph(void **state)
{
    (void)state;
    pm_graph *g;
    pm_plan_item items[16];
    const int64_t dims[2] = {6, 4}, other[3] = {3, 2, 4};
    assert_int_equal(pm_graph_create(&g, NULL), PM_OK);
    pm_tensor *x = pm_graph_input(g, PM_INPUT_TEST, PM_TYPE_F32, 2, dims, PM_ROWS_TOKENS, "x");
    pm_tensor *a = pm_silu(g, x), *b = pm_silu(g, a);
    pm_tensor *view = pm_reshape(g, b, 3, other);
    pm_tensor *c = pm_silu(g, view);
    pm_tensor *last = pm_add(g, pm_reshape(g, c, 2, dims), a);
    pm_tensor *unread = pm_silu(g, last);
    pm_graph_output(g, c);
    assert_int_equal(pm_graph_status(g, NULL), PM_OK);
    assert_int_equal(pm_graph_lifetimes(g, items, NULL), PM_OK);
    assert_int_equal(items[x->id].size, 0);
    assert_int_equal(items[view->id].size, 0);
    assert_int_equal(items[a->id].size, 96);
    assert_int_equal(items[a->id].first, 0);
    assert_int_equal(items[a->id].last, 3);
    assert_int_equal(items[b->id].first, 1);
    assert_int_equal(items[b->id].last, 2);
    assert_int_equal(items[c->id].first, 2);
    assert_int_equal(items[c->id].last, 5); /* an output: to the end */
    assert_int_equal(items[last->id].last, 4);
    assert_int_equal(items[unread->id].first, 4);
    assert_int_equal(items[unread->id].last, 4);
    pm_graph_destroy(g);
}

static void reading_before_making_is_an_error(void **state)
{
    (void)state;
    pm_graph *g;
    pm_plan_item items[16];
    pm_error err;
    const int64_t dims[2] = {6, 4};
    assert_int_equal(pm_graph_create(&g, NULL), PM_OK);
    pm_tensor *a = pm_graph_activation(g, PM_TYPE_F32, 2, dims, PM_ROWS_FIXED, "nobody makes this");
    assert_non_null(pm_silu(g, a));
    assert_int_equal(pm_graph_lifetimes(g, items, &err), PM_ERR_INTERNAL);
    assert_non_null(strstr(err.message, "nobody makes this"));
    pm_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_plan_is_sound),
        cmocka_unit_test(random_plans_are_sound_and_tight),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(lifetimes_follow_a_graph),
        cmocka_unit_test(reading_before_making_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
