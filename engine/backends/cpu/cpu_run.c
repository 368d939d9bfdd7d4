/* Running a program of the cpu backend: every thread walks the list of steps and takes items of each until none are
 * left; a new epoch begins with a barrier. See cpu_backend.h.
 */
#include "backends/cpu/cpu_backend.h"

#include <limits.h>
#include <stdio.h>

#include "base/error.h"

typedef struct run_work {
    pm_program *program;
    const pm_run_params *params;
    const pm_run_options *options;
    atomic_int stop_epoch; /* the threads return before this epoch */
} run_work;

int64_t pm_cpu_rows_of_out(const pm_cpu_step *step, const pm_cpu_context *context)
{
    return pm_tensor_rows_now(step->node->out, context->params);
}

int64_t pm_cpu_rows_of_in(const pm_cpu_step *step, const pm_cpu_context *context)
{
    return pm_tensor_rows_now(step->node->in[0], context->params);
}

int64_t pm_cpu_grain_one(const pm_cpu_step *step, const pm_cpu_context *context, int64_t n_items)
{
    (void)step;
    (void)context;
    (void)n_items;
    return 1;
}

static void run_step(pm_cpu_step *step, const pm_cpu_context *context)
{
    int64_t n = step->kind->items(step, context), grain;
    grain = step->kind->grain ? step->kind->grain(step, context, n) : n / (context->n_threads * 8);
    grain = grain < 1 ? 1 : grain;
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&step->next, grain, memory_order_relaxed);
        if (begin >= n)
            return;
        step->kind->run(step, context, begin, n - begin < grain ? n : begin + grain);
    }
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

/* Waits for the other threads; false where the run is to end. The first thread asks before it arrives, and names the
 * epoch that must not begin, so that all threads decide alike. */
static bool enter_epoch(run_work *work, int thread, int32_t epoch)
{
    const pm_run_options *options = work->options;
    if (thread == 0 && options->should_stop && options->should_stop(options->stop_user) != 0 &&
        atomic_load(&work->stop_epoch) == INT_MAX)
        atomic_store(&work->stop_epoch, epoch);
    pm_threads_barrier(work->program->device->threads);
    return atomic_load(&work->stop_epoch) > epoch;
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
    for (size_t s = 0; s < program->n_steps; s++) {
        pm_cpu_step *step = &program->steps[s];
        if (!selected(work->options, step))
            continue;
        if (step->epoch != epoch) {
            if (epoch >= 0 && !enter_epoch(work, thread, step->epoch))
                return;
            epoch = step->epoch;
        }
        unsigned long long start = trace ? pm_trace_now_ns() : 0;
        run_step(step, &context);
        if (trace)
            trace_step(work, step, start);
    }
}

pm_status pm_cpu_program_run(pm_device *device, pm_program *program, const pm_run_params *params,
                             const pm_run_options *options, pm_error *err)
{
    static const pm_run_options none = {0};
    run_work work = {.program = program, .params = params, .options = options ? options : &none};
    atomic_init(&work.stop_epoch, INT_MAX);
    (void)device;
    options = work.options;
    if (options->should_stop && options->should_stop(options->stop_user) != 0)
        return pm_fail(err, PM_ERR_CANCELLED, "the run was stopped before it began");
    for (size_t s = 0; s < program->n_steps; s++)
        atomic_store_explicit(&program->steps[s].next, 0, memory_order_relaxed);
    for (size_t i = 0; i < program->n_done; i++)
        atomic_store_explicit(&program->done[i], 0, memory_order_relaxed);
    pm_threads_run(program->device->threads, run_thread, &work);
    int stopped = atomic_load(&work.stop_epoch);
    if (stopped != INT_MAX)
        return pm_fail(err, PM_ERR_CANCELLED, "the run was stopped in step group %d of %d", stopped,
                       program->n_epochs);
    return PM_OK;
}

/* ---- what has no kernel here ------------------------------------------------------------------------------------- */

static int64_t reference_parts(const pm_cpu_step *step, const pm_cpu_context *context)
{
    (void)step;
    return context->n_threads;
}

static void run_reference(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    for (int64_t part = begin; part < end; part++) {
        pm_op_call call = {.node = step->node, .params = context->params, .out = step->out, .part = (int)part,
                           .n_parts = context->n_threads};
        for (int i = 0; i < step->node->n_in; i++)
            call.in[i] = step->in[i];
        pm_op_reference(step->node->op)(&call);
    }
}

const pm_cpu_step_kind pm_cpu_step_reference = {
    .name = "reference", .items = reference_parts, .run = run_reference, .grain = pm_cpu_grain_one};
