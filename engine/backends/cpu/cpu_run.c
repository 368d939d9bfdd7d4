/* Running a program of the cpu backend: every thread walks the list of steps and takes items of each, first of its
 * own run of them, until none are left.
 *
 * Before an epoch a thread waits until the items of the one before are done, not until all threads have come: one
 * that the system keeps from running holds up the others only if it has items in its hands. When it runs again it
 * finds everything taken and catches up. See cpu_backend.h.
 */
#include "backends/cpu/cpu_backend.h"

#include <stdio.h>
#include <time.h>

#include "base/error.h"

enum { SPIN_NS = 30000, NAP_NS = 20000 };

typedef struct run_work {
    pm_program *program;
    const pm_run_params *params;
    const pm_run_options *options;
    atomic_int stopped;
} run_work;

int64_t pm_cpu_rows_of_out(const pm_cpu_step *step, const pm_cpu_context *context)
{
    return pm_tensor_rows_now(step->node->out, context->params);
}

int64_t pm_cpu_rows_of_in(const pm_cpu_step *step, const pm_cpu_context *context)
{
    return pm_tensor_rows_now(step->node->in[0], context->params);
}

int64_t pm_cpu_grain_one(const pm_cpu_step *step, const pm_cpu_context *context)
{
    (void)step;
    (void)context;
    return 1;
}

static int64_t grain_of_rows(const pm_cpu_step *step)
{
    enum { VALUES = 2048 };
    int64_t n = step->node->out->dim[0];
    return n < VALUES ? VALUES / n : 1;
}

static int64_t count_of(unsigned long long value, uint32_t pass)
{
    return value >> 32 == pass ? (int64_t)(uint32_t)value : 0;
}

/* Adds n, or where `limit` is not 0 a quarter of what is missing to it, at least n and at most all; returns how
 * much it added, and in *before the count before. */
static int64_t count_up(pm_cpu_counter *counter, uint32_t pass, int64_t n, int64_t limit, int64_t *before)
{
    unsigned long long value = atomic_load_explicit(&counter->value, memory_order_relaxed), next;
    int64_t added;
    do {
        *before = count_of(value, pass);
        added = n;
        if (limit > 0) {
            int64_t left = limit - *before;
            added = left / 4 > n ? left / 4 : left < n ? left : n;
            if (added == 0)
                return 0;
        }
        next = (unsigned long long)pass << 32 | (uint32_t)(*before + added);
    } while (!atomic_compare_exchange_weak_explicit(&counter->value, &value, next, memory_order_release,
                                                    memory_order_relaxed));
    return added;
}

/* Takes items until none are left, and returns how many there were in all. */
static int64_t run_step(const pm_program *program, const pm_cpu_step *step, const pm_cpu_context *context,
                        int thread)
{
    int64_t n = step->kind->items(step, context);
    int64_t grain = step->kind->grain ? step->kind->grain(step, context) : grain_of_rows(step), begin, taken, done;
    int n_runs = program->n_runs;
    for (int i = 0; i < n_runs; i++) {
        int run = (thread + i) % n_runs;
        int64_t first = n * run / n_runs, all = n * (run + 1) / n_runs - first;
        while (all > 0 && (taken = count_up(&step->taken[run], program->pass, grain, all, &begin)) > 0) {
            step->kind->run(step, context, first + begin, first + begin + taken);
            count_up(&program->epochs[step->epoch], program->pass, taken, 0, &done);
        }
    }
    return n;
}

static void trace_step(const run_work *work, const pm_cpu_step *step, unsigned long long start)
{
    const pm_tensor *out = (step->fused ? step->fused : step->node)->out;
    char name[96];
    snprintf(name, sizeof name, "%s %s", step->kind->name, out->name);
    pm_trace_span(work->options->trace, work->program->device->base.info.name, step->kind->name, name, start,
                  pm_trace_now_ns());
}

static bool selected(const pm_run_options *options, const pm_cpu_step *step)
{
    return step->node_index >= options->first_node &&
           (options->n_nodes <= 0 || step->node_index - options->first_node < options->n_nodes);
}

static void pause_core(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Waits until n items of an epoch are done. Short naps after a while leave the core to a thread that has the
 * items but no core. */
static void wait_for(const pm_cpu_counter *done, uint32_t pass, int64_t n)
{
    unsigned long long start = 0;
    for (unsigned i = 1; count_of(atomic_load_explicit(&done->value, memory_order_acquire), pass) < n; i++) {
        pause_core();
        if (i % 64 != 0)
            continue;
        unsigned long long now = pm_trace_now_ns();
        start = start ? start : now;
        if (now - start > SPIN_NS)
            nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
}

/* False where the run is to end. The first thread asks; all see it when they come to their next epoch. */
static bool go_on(run_work *work, int thread)
{
    const pm_run_options *options = work->options;
    if (thread == 0 && options->should_stop && options->should_stop(options->stop_user) != 0)
        atomic_store(&work->stopped, 1);
    return atomic_load_explicit(&work->stopped, memory_order_relaxed) == 0;
}

static void run_thread(void *user, int thread, int n_threads)
{
    run_work *work = user;
    pm_program *program = work->program;
    pm_cpu_context context = {
        .kernels = program->device->kernels,
        .params = work->params,
        .n_threads = n_threads,
        .scratch = program->scratch + (size_t)thread * program->scratch_floats,
    };
    bool trace = thread == 0 && work->options->trace;
    int32_t epoch = -1;
    int64_t n_items = 0; /* of the epoch */
    for (size_t s = 0; s < program->n_steps; s++) {
        const pm_cpu_step *step = &program->steps[s];
        if (!selected(work->options, step))
            continue;
        if (step->epoch != epoch) {
            if (epoch >= 0)
                wait_for(&program->epochs[epoch], program->pass, n_items);
            if (!go_on(work, thread))
                return;
            epoch = step->epoch;
            n_items = 0;
        }
        unsigned long long start = trace ? pm_trace_now_ns() : 0;
        n_items += run_step(program, step, &context, thread);
        if (trace)
            trace_step(work, step, start);
    }
}

pm_status pm_cpu_program_run(pm_device *device, pm_program *program, const pm_run_params *params,
                             const pm_run_options *options, pm_error *err)
{
    static const pm_run_options none = {0};
    run_work work = {.program = program, .params = params, .options = options ? options : &none};
    atomic_init(&work.stopped, 0);
    (void)device;
    for (size_t i = 0; i < program->n_done; i++)
        atomic_store_explicit(&program->done[i], 0, memory_order_relaxed);
    program->pass++; /* counters of older passes count as zero */
    pm_threads_run(program->device->threads, run_thread, &work);
    if (atomic_load(&work.stopped))
        return pm_fail(err, PM_ERR_CANCELLED, "the run was stopped");
    return PM_OK;
}

/* ---- what has no kernel here -------------------------------------------------------------------------------- */

static int64_t reference_parts(const pm_cpu_step *step, const pm_cpu_context *context)
{
    (void)step;
    return context->n_threads;
}

static void run_reference(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    for (int64_t part = begin; part < end; part++) {
        pm_op_call call = {.node = step->node,
                           .params = context->params,
                           .out = step->out,
                           .part = (int)part,
                           .n_parts = context->n_threads};
        for (int i = 0; i < step->node->n_in; i++)
            call.in[i] = step->in[i];
        pm_op_reference(step->node->op)(&call);
    }
}

const pm_cpu_step_kind pm_cpu_step_reference = {
    .name = "reference", .items = reference_parts, .run = run_reference, .grain = pm_cpu_grain_one};
