/* A pool of threads that run one function together, and the barrier between its steps.
 *
 * Threads spin for a short while after work and then sleep, so that the steps of a token follow each other within
 * about a microsecond while an idle engine costs nothing. Own code rather than OpenMP: ThreadSanitizer sees into it,
 * and the pool belongs to a device, not to whatever thread happens to call.
 */
#ifndef PUMICE_BASE_THREADS_H
#define PUMICE_BASE_THREADS_H

#include "pumice/status.h"

typedef struct pm_threads pm_threads;

/* Starts n_threads - 1 threads; the caller of pm_threads_run is the first. */
pm_status pm_threads_create(int n_threads, pm_threads **out, pm_error *err);
void pm_threads_destroy(pm_threads *threads); /* NULL is fine */
int pm_threads_count(const pm_threads *threads);

/* Runs work(user, thread, n_threads) on every thread of the pool at once; returns when all have returned. */
void pm_threads_run(pm_threads *threads, void (*work)(void *user, int thread, int n_threads), void *user);

/* From inside work: waits until every thread of the pool has arrived; what was written before is seen after. */
void pm_threads_barrier(pm_threads *threads);

/* Cores that this process may run on, at least 1. */
int pm_threads_cores(void);

#endif
