/* pm_device_measure for the cpu backend: plain loops on all threads of the device. */
#include "backends/cpu/cpu_backend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

enum { ROUNDS = 5 };

typedef struct measure_work {
    const pm_cpu_kernels *kernels;
    float *data;
    int64_t n; /* floats, or steps of arithmetic */
    _Atomic double amount;
    _Atomic float result; /* so that no loop is left out */
} measure_work;

static void fill_part(void *user, int thread, int n_threads)
{
    measure_work *work = user;
    int64_t begin = work->n / n_threads * thread,
            end = thread + 1 == n_threads ? work->n : begin + work->n / n_threads;
    for (int64_t i = begin; i < end; i++)
        work->data[i] = (float)(i & 15);
}

static void read_part(void *user, int thread, int n_threads)
{
    measure_work *work = user;
    int64_t share = work->n / n_threads;
    work->result = work->kernels->measure_read(work->data + share * thread, share);
    work->amount = (double)work->n * sizeof(float);
}

/* From the first half to the second. */
static void copy_part(void *user, int thread, int n_threads)
{
    measure_work *work = user;
    int64_t half = work->n / 2, share = half / n_threads;
    memcpy(work->data + half + share * thread, work->data + share * thread, (size_t)share * sizeof(float));
    work->amount = (double)work->n * sizeof(float);
}

static void fma_part(void *user, int thread, int n_threads)
{
    measure_work *work = user;
    double flops;
    (void)thread;
    work->result = work->kernels->measure_fma(work->n, &flops);
    work->amount = flops * n_threads;
}

static void dot_part(void *user, int thread, int n_threads)
{
    measure_work *work = user;
    double ops;
    (void)thread;
    work->result = (float)work->kernels->measure_dot(work->n, &ops);
    work->amount = ops * n_threads;
}

/* The best of some rounds, in units a second. */
static double best_rate(pm_threads *threads, void (*part)(void *user, int thread, int n_threads),
                        measure_work *work)
{
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned long long start = pm_trace_now_ns();
        pm_threads_run(threads, part, work);
        double seconds = (double)(pm_trace_now_ns() - start) * 1e-9,
               rate = work->amount / (seconds > 0 ? seconds : 1);
        best = rate > best ? rate : best;
    }
    return best;
}

pm_status pm_cpu_measure(pm_device *device, pm_ceilings *out, pm_error *err)
{
    pm_cpu_device *own = (pm_cpu_device *)device;
    enum { FLOATS = 64 << 20, LARGE_PAGE = 2 << 20 }; /* 256 MiB: more than caches hold */
    measure_work work = {.kernels = own->kernels, .n = FLOATS};
    work.data = aligned_alloc(LARGE_PAGE, FLOATS * sizeof(float));
    if (!work.data)
        return pm_fail_memory(err, FLOATS * sizeof(float), "measuring the memory's speed");
#ifdef MADV_HUGEPAGE
    madvise(work.data, FLOATS * sizeof(float), MADV_HUGEPAGE); /* as weights lie */
#endif
    pm_threads_run(own->threads, fill_part, &work);
    out->read_bytes_per_s = best_rate(own->threads, read_part, &work);
    out->copy_bytes_per_s = best_rate(own->threads, copy_part, &work);
    free(work.data);
    work.n = 4 << 20;
    out->f32_flops_per_s = best_rate(own->threads, fma_part, &work);
    out->i8_ops_per_s = own->kernels->measure_dot ? best_rate(own->threads, dot_part, &work) : 0;
    return PM_OK;
}
