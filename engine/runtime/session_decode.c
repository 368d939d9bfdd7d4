/* Decoding several tokens at once: a device that can feed a program with what it gave makes a few steps by itself,
 * while the host, which would only have handed the token back, waits once. */
#include "runtime/runtime.h"

#include <string.h>

#include "backends/backend.h"
#include "base/error.h"

_Static_assert((int)PM_MOST_STEPS <= (int)PM_SERIES_MOST, "no device makes more runs in a series");

static const uint64_t series_ns = 20000000; /* what a reader does not notice, and Ctrl-C may take */

/* The inputs of a series, of all its runs. */
typedef struct series_inputs {
    pm_run_params params[PM_SERIES_MOST];
    int32_t places[PM_SERIES_MOST]; /* positions and slots */
    int32_t spans[3 * PM_SERIES_MOST], source_spans[3 * PM_SERIES_MOST];
    int32_t zeros[PM_SERIES_MOST]; /* the only row */
    int32_t history[PM_SERIES_MOST + PM_SESSION_HISTORY];
} series_inputs;

static int32_t least(int64_t a, int64_t b)
{
    return (int32_t)(a < b ? a : b);
}

/* How many steps to make at once; 1: none but an ordinary one. */
static int32_t choose_steps(const pm_session *session, const pm_sampling *sampling, size_t most)
{
    const pm_session_options *o = &session->options;
    if (!session->model->device->backend->program_run_series || o->trace || session->check || session->profiler)
        return 1;
    int64_t n = o->n_steps;
    if (n == 0)
        n = session->step_ns ? (int64_t)(series_ns / session->step_ns) : 1;
    n = least(n, PM_MOST_STEPS);
    if (most < (size_t)n)
        n = (int64_t)most;
    n = least(n, o->n_ctx - session->n_past);
    const struct pm_row_sampling s = pm_sampling_settings(sampling, session->n_past + 1);
    /* Of a longer series the last steps would see none of the tokens before it: see fill_history. */
    if (s.n_history > 0)
        n = least(n, s.n_history);
    return n < 1 ? 1 : (int32_t)n;
}

/* The repetition window of every step, where the device puts the token of step i at element i: before that it
 * holds the last token there was. Behind them, the last first, are the tokens before the series, of which later
 * steps read fewer, as their window moves on. A window is a set: order and doubles do not count. */
static void fill_history(const pm_session *session, int32_t n_steps, series_inputs *in)
{
    int32_t n = session->n_past + 1, window = in->params[0].n_history;
    for (int32_t i = 0; i < PM_SERIES_MOST; i++)
        in->history[i] = session->tokens[n - 1];
    for (int32_t i = 0; i < window; i++)
        in->history[PM_SERIES_MOST + i] = session->tokens[n - 1 - i];
    for (int32_t i = 0; i < n_steps && window > 0; i++)
        in->params[i].n_history = PM_SERIES_MOST + in->params[i].n_history - i;
}

static void fill_inputs(const pm_session *session, int32_t n_steps, const pm_sampling *sampling, series_inputs *in)
{
    memset(in, 0, sizeof *in);
    for (int32_t i = 0; i < n_steps; i++) {
        int32_t at = session->n_past + i;
        pm_session_params(at + 1, 1, 1, sampling, &in->params[i]);
        in->places[i] = in->spans[3 * i] = in->spans[3 * i + 2] = at;
        in->source_spans[3 * i + 2] = session->n_source - 1;
    }
    fill_history(session, n_steps, in);
}

static pm_status run_steps(pm_session *session, const pm_session_plan *plan, int32_t n_steps,
                           const pm_sampling *sampling, int32_t *next, pm_error *err)
{
    pm_device *device = session->model->device;
    const pm_backend *backend = device->backend;
    const pm_graph_io *io = &plan->io;
    series_inputs in;
    fill_inputs(session, n_steps, sampling, &in);
    pm_series_input inputs[] = {{io->positions, in.places, sizeof *in.places},
                                {io->slots, in.places, sizeof *in.places},
                                {io->spans, in.spans, 3 * sizeof *in.spans},
                                {io->source_spans, in.source_spans, 3 * sizeof *in.source_spans},
                                {io->out_rows, in.zeros, sizeof *in.zeros}};
    const pm_series series = {.n = n_steps,
                              .params = in.params,
                              .inputs = inputs,
                              .n_inputs = sizeof inputs / sizeof *inputs,
                              .results = next};
    const pm_run_options run = {.should_stop = session->options.should_stop,
                                .stop_user = session->options.stop_user};
    PM_TRY(backend->tensor_write(device, plan->program, io->tokens, 0, &session->tokens[session->n_past],
                                 sizeof(int32_t), err));
    if (io->history && in.params[0].n_history > 0)
        PM_TRY(backend->tensor_write(device, plan->program, io->history, 0, in.history,
                                     (size_t)in.params[0].n_history * sizeof(int32_t), err));
    return backend->program_run_series(device, plan->program, &series, &run, err);
}

pm_status pm_session_decode(pm_session *session, int32_t token, const pm_sampling *sampling, size_t most,
                            int32_t *next, size_t *n, pm_error *err)
{
    static const pm_sampling greedy;
    if (!sampling)
        sampling = &greedy;
    *n = 0;
    if (most == 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "there are no tokens to decode");
    PM_TRY(pm_sampling_check(sampling, err));
    int32_t n_steps = choose_steps(session, sampling, most);
    if (n_steps == 1) {
        PM_TRY(pm_session_next(session, &token, 1, sampling, next, err));
        *n = 1;
        return PM_OK;
    }
    PM_TRY(pm_session_check_tokens(session, &token, 1, err));
    session->tokens[session->n_past] = token;
    const pm_session_plan *plan;
    PM_TRY(pm_session_sampling_plan(session, 1, &plan, err));
    unsigned long long start = pm_trace_now_ns();
    PM_TRY(run_steps(session, plan, n_steps, sampling, next, err));
    session->step_ns = (pm_trace_now_ns() - start) / (uint64_t)n_steps;
    for (int32_t i = 0; i + 1 < n_steps; i++)
        session->tokens[session->n_past + 1 + i] = next[i];
    session->n_past += n_steps;
    *n = (size_t)n_steps;
    return PM_OK;
}
