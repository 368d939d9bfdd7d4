/* The pool of threads: everybody runs once, barriers hold, and nothing races (run under ThreadSanitizer too). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/threads.h"

enum { MOST = 9, ROUNDS = 200, STEPS = 20 };

typedef struct count_work {
    int n_threads;
    int calls[MOST];
} count_work;

static void count(void *user, int thread, int n_threads)
{
    count_work *work = user;
    if (thread == 0)
        work->n_threads = n_threads;
    work->calls[thread]++;
}

static void everybody_runs_once(void **state)
{
    (void)state;
    for (int n = 1; n <= MOST; n++) {
        pm_threads *threads;
        count_work work = {0};
        assert_int_equal(pm_threads_create(n, &threads, NULL), PM_OK);
        assert_int_equal(pm_threads_count(threads), n);
        for (int round = 1; round <= ROUNDS; round++) {
            pm_threads_run(threads, count, &work);
            assert_int_equal(work.n_threads, n);
            for (int i = 0; i < MOST; i++)
                assert_int_equal(work.calls[i], i < n ? round : 0);
        }
        pm_threads_destroy(threads);
    }
}

typedef struct barrier_work {
    pm_threads *threads;
    int step_of[MOST]; /* plain memory: the barrier alone orders it */
    bool wrong[MOST];
} barrier_work;

/* After each barrier every thread must see what every other has written before it. */
static void step_together(void *user, int thread, int n_threads)
{
    barrier_work *work = user;
    for (int step = 1; step <= STEPS; step++) {
        work->step_of[thread] = step;
        pm_threads_barrier(work->threads);
        for (int i = 0; i < n_threads; i++)
            if (work->step_of[i] != step)
                work->wrong[thread] = true;
        pm_threads_barrier(work->threads);
    }
}

static void barriers_hold(void **state)
{
    (void)state;
    for (int n = 1; n <= MOST; n++) {
        barrier_work work = {0};
        assert_int_equal(pm_threads_create(n, &work.threads, NULL), PM_OK);
        for (int round = 0; round < 20; round++)
            pm_threads_run(work.threads, step_together, &work);
        for (int i = 0; i < n; i++)
            assert_false(work.wrong[i]);
        pm_threads_destroy(work.threads);
    }
}

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

/* Long pauses: threads have gone to sleep, at the start and inside, and must be woken. */
static void straggle(void *user, int thread, int n_threads)
{
    barrier_work *work = user;
    if (thread == n_threads - 1)
        sleep_ms(3);
    work->step_of[thread]++;
    pm_threads_barrier(work->threads);
    if (thread == 0)
        sleep_ms(3);
}

static void sleepers_are_woken(void **state)
{
    (void)state;
    for (int n = 2; n <= 4; n++) {
        barrier_work work = {0};
        assert_int_equal(pm_threads_create(n, &work.threads, NULL), PM_OK);
        for (int round = 0; round < 10; round++) {
            pm_threads_run(work.threads, straggle, &work);
            sleep_ms(round % 3 == 0 ? 2 : 0);
        }
        for (int i = 0; i < n; i++)
            assert_int_equal(work.step_of[i], 10);
        pm_threads_destroy(work.threads);
    }
}

/* Idle threads must not burn the processor: two tenths of a second asleep cost next to nothing. */
static void idle_threads_sleep(void **state)
{
    (void)state;
    pm_threads *threads;
    count_work work = {0};
    struct timespec before, after;
    assert_int_equal(pm_threads_create(4, &threads, NULL), PM_OK);
    pm_threads_run(threads, count, &work);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    sleep_ms(200);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double used = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) * 1e-9;
    if (used > 0.05)
        fail_msg("four idle threads used %.3f s of processor time in 0.2 s", used);
    pm_threads_destroy(threads);
}

static void odd_numbers_are_refused(void **state)
{
    (void)state;
    pm_threads *threads;
    pm_error err;
    assert_int_equal(pm_threads_create(0, &threads, &err), PM_ERR_ARGUMENT);
    assert_null(threads);
    assert_int_equal(pm_threads_create(-1, &threads, &err), PM_ERR_ARGUMENT);
    assert_int_equal(pm_threads_create(1 << 20, &threads, &err), PM_ERR_ARGUMENT);
    assert_true(pm_threads_cores() >= 1);
    pm_threads_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_runs_once),     cmocka_unit_test(barriers_hold),
        cmocka_unit_test(sleepers_are_woken),      cmocka_unit_test(idle_threads_sleep),
        cmocka_unit_test(odd_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
