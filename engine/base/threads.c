/* The pool of threads of threads.h.
 *
 * Two gates carry everything: `start`, which the caller of pm_threads_run opens to let the pool in, and `turn`,
 * which the last thread to arrive at a barrier opens for the others (the end of a run is a barrier that only the
 * caller waits at). A gate is a counter with sleepers: whoever waits spins on the counter for a short while, then
 * sleeps on a condition variable; whoever opens it steps the counter and wakes the sleepers, if there are any. The
 * counter and the number of sleepers are sequentially consistent, so either the waiter sees the step or the opener
 * sees the sleeper.
 */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

enum { CACHE_LINE = 64, MAX_THREADS = 1024, SPIN_NS = 50000 };

typedef struct gate {
    alignas(CACHE_LINE) atomic_uint step;
    atomic_int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t opened;
} gate;

typedef struct worker {
    pm_threads *pool;
    pthread_t thread;
    int index;
} worker;

struct pm_threads {
    gate start, turn;
    alignas(CACHE_LINE) atomic_int arrived;
    alignas(CACHE_LINE) int n_threads;
    bool spin;                                           /* every thread can have a core of its own */
    void (*work)(void *user, int thread, int n_threads); /* NULL at `start`: the pool ends */
    void *user;
    worker *workers; /* [n_threads]; the first is the caller and has no thread */
};

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void pause_core(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void gate_init(gate *g)
{
    atomic_init(&g->step, 0);
    atomic_init(&g->sleepers, 0);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->opened, NULL);
}

static void gate_destroy(gate *g)
{
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->opened);
}

static void gate_open(gate *g)
{
    atomic_fetch_add(&g->step, 1);
    if (atomic_load(&g->sleepers) == 0)
        return;
    pthread_mutex_lock(&g->lock);
    pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

/* Waits until the gate's step is no longer `seen`. */
static void gate_wait(gate *g, unsigned seen, bool spin)
{
    if (spin) {
        long long end = 0;
        for (unsigned i = 1; atomic_load_explicit(&g->step, memory_order_acquire) == seen; i++) {
            pause_core();
            if (i % 64 != 0)
                continue;
            long long now = now_ns();
            end = end ? end : now + SPIN_NS;
            if (now >= end)
                break;
        }
    }
    if (atomic_load(&g->step) != seen)
        return;
    pthread_mutex_lock(&g->lock);
    atomic_fetch_add(&g->sleepers, 1);
    while (atomic_load(&g->step) == seen)
        pthread_cond_wait(&g->opened, &g->lock);
    atomic_fetch_sub(&g->sleepers, 1);
    pthread_mutex_unlock(&g->lock);
}

/* The last of all threads to arrive opens the gate; the others wait if they need to. */
static void arrive(pm_threads *threads, bool wait)
{
    unsigned seen = atomic_load(&threads->turn.step);
    if (atomic_fetch_add(&threads->arrived, 1) + 1 == threads->n_threads) {
        atomic_store(&threads->arrived, 0);
        gate_open(&threads->turn);
    } else if (wait) {
        gate_wait(&threads->turn, seen, threads->spin);
    }
}

static void *worker_main(void *argument)
{
    const worker *me = argument;
    pm_threads *threads = me->pool;
    for (unsigned seen = 0;; seen++) {
        gate_wait(&threads->start, seen, threads->spin);
        if (!threads->work)
            return NULL;
        threads->work(threads->user, me->index, threads->n_threads);
        arrive(threads, false);
    }
}

int pm_threads_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than a cpu_set_t has room for */
    return online < 1 ? 1 : online > MAX_THREADS ? MAX_THREADS : (int)online;
}

/* Ends and joins the threads 1 .. n_started - 1. */
static void stop_workers(pm_threads *threads, int n_started)
{
    threads->work = NULL;
    gate_open(&threads->start);
    for (int i = 1; i < n_started; i++)
        pthread_join(threads->workers[i].thread, NULL);
    gate_destroy(&threads->start);
    gate_destroy(&threads->turn);
    free(threads->workers);
    free(threads);
}

pm_status pm_threads_create(int n_threads, pm_threads **out, pm_error *err)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > MAX_THREADS)
        return pm_fail(err, PM_ERR_ARGUMENT, "%d threads were asked for; 1 to %d are possible", n_threads,
                       MAX_THREADS);
    pm_threads *threads = aligned_alloc(CACHE_LINE, sizeof *threads);
    worker *workers = calloc((size_t)n_threads, sizeof *workers);
    if (!threads || !workers) {
        free(threads);
        free(workers);
        return pm_fail_memory(err, sizeof *threads, "a pool of threads");
    }
    gate_init(&threads->start);
    gate_init(&threads->turn);
    atomic_init(&threads->arrived, 0);
    threads->n_threads = n_threads;
    threads->spin = n_threads <= pm_threads_cores();
    threads->work = NULL;
    threads->user = NULL;
    threads->workers = workers;
    for (int i = 1; i < n_threads; i++) {
        workers[i] = (worker){.pool = threads, .index = i};
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            stop_workers(threads, i);
            return pm_fail(err, PM_ERR_MEMORY, "thread %d of %d could not be started: use fewer (--threads)",
                           i + 1, n_threads);
        }
    }
    *out = threads;
    return PM_OK;
}

void pm_threads_destroy(pm_threads *threads)
{
    if (threads)
        stop_workers(threads, threads->n_threads);
}

int pm_threads_count(const pm_threads *threads)
{
    return threads->n_threads;
}

void pm_threads_run(pm_threads *threads, void (*work)(void *user, int thread, int n_threads), void *user)
{
    if (threads->n_threads == 1) {
        work(user, 0, 1);
        return;
    }
    threads->work = work;
    threads->user = user;
    gate_open(&threads->start);
    work(user, 0, threads->n_threads);
    arrive(threads, true);
}

void pm_threads_barrier(pm_threads *threads)
{
    if (threads->n_threads > 1)
        arrive(threads, true);
}
