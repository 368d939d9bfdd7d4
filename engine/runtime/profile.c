/* Timing a session op by op: see pumice/profile.h.
 *
 * A backend that runs a plan with a trace tells of each step when it began, under the name of the tensor that it
 * makes. A step's time lasts until the next one begins, so that waiting for other threads belongs to what they
 * wait for. The step is found among the plan's nodes, going forward: a backend may do several nodes in one step,
 * which it names by the last of them, or one node in several. */
#include "pumice/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ops/op_cost.h"
#include "runtime/runtime.h"

enum { MOST_FUSED = 4, FEW_ROWS = 64 }; /* nodes that a step may do at once */

typedef struct step_span {
    unsigned long long start_ns, end_ns;
    char op[32], name[64];
} step_span;

struct pm_profiler {
    pm_trace *trace;
    const char *track; /* of the device's own spans */
    step_span *spans;  /* of one pass */
    size_t n_spans, cap_spans;
    int32_t *values; /* positions of one pass */
    size_t cap_values;
    pm_profile result;
    size_t cap_rows;
    unsigned long long end_ns; /* of the pass, where it ran on the host */
    bool failed;               /* no memory for a span: it is said at the end */
};

static void keep_span(void *user, const char *track, const char *category, const char *name,
                      unsigned long long start_ns, unsigned long long end_ns)
{
    pm_profiler *p = user;
    if (strcmp(track, p->track) != 0)
        return;
    if (p->n_spans == p->cap_spans) {
        size_t cap = p->cap_spans ? 2 * p->cap_spans : 512;
        step_span *grown = realloc(p->spans, cap * sizeof *grown);
        if (!grown) {
            p->failed = true;
            return;
        }
        p->spans = grown;
        p->cap_spans = cap;
    }
    step_span *span = &p->spans[p->n_spans++];
    *span = (step_span){.start_ns = start_ns, .end_ns = end_ns};
    size_t skip = strlen(category); /* "matmul blk.0.ffn_up" */
    snprintf(span->op, sizeof span->op, "%s", category);
    snprintf(span->name, sizeof span->name, "%s",
             strncmp(name, category, skip) == 0 && name[skip] == ' ' ? name + skip + 1 : name);
}

/* The node that makes `name`, at `from` or a few after it; where there is none, the node before it. */
static size_t find_node(const pm_graph *graph, size_t from, const char *name)
{
    for (size_t i = from; i < from + MOST_FUSED && i < graph->n_nodes; i++)
        if (strcmp(graph->nodes[i]->out->name, name) == 0)
            return i;
    return from > 0 ? from - 1 : 0;
}

/* What kind of work a node is: its weight's type and shape, or the shape of a row of what it makes. */
static void describe(const pm_node *node, char *dst, size_t capacity)
{
    const pm_tensor *weight = node->in[0], *out = node->out;
    if ((node->op == PM_OP_MATMUL || node->op == PM_OP_EMBEDDING) && weight->role == PM_ROLE_WEIGHT)
        snprintf(dst, capacity, "%s %lld x %lld", pm_type_name(weight->type), (long long)weight->dim[0],
                 (long long)weight->dim[1]);
    else if (out->n_dims == 3)
        snprintf(dst, capacity, "%s %lld x %lld", pm_type_name(out->type), (long long)out->dim[0],
                 (long long)(out->role == PM_ROLE_STATE ? out->dim[2] : out->dim[1]));
    else
        snprintf(dst, capacity, "%s %lld", pm_type_name(out->type),
                 (long long)(out->n_dims > 1 ? out->dim[0] : 1));
}

static pm_profile_row *find_row(pm_profiler *p, const char *op, const char *shape)
{
    pm_profile *result = &p->result;
    for (size_t i = 0; i < result->n_rows; i++)
        if (strcmp(result->rows[i].op, op) == 0 && strcmp(result->rows[i].shape, shape) == 0)
            return &result->rows[i];
    if (result->n_rows == p->cap_rows) {
        size_t cap = p->cap_rows ? 2 * p->cap_rows : FEW_ROWS;
        pm_profile_row *grown = realloc(result->rows, cap * sizeof *grown);
        if (!grown)
            return NULL;
        result->rows = grown;
        p->cap_rows = cap;
    }
    pm_profile_row *row = &result->rows[result->n_rows++];
    *row = (pm_profile_row){0};
    snprintf(row->op, sizeof row->op, "%s", op);
    snprintf(row->shape, sizeof row->shape, "%s", shape);
    return row;
}

/* Which slots the rows of an attention node see stands in one of the plan's inputs. */
static pm_status read_positions(pm_profiler *p, const pm_session *session, const pm_session_plan *plan,
                                const pm_node *node, pm_error *err)
{
    pm_device *device = session->model->device;
    const pm_tensor *positions = pm_tensor_storage(node->in[3]);
    size_t bytes = pm_tensor_bytes(positions);
    if (p->cap_values < bytes) {
        int32_t *grown = realloc(p->values, bytes);
        if (!grown)
            return pm_fail_memory(err, bytes, "a profile");
        p->values = grown;
        p->cap_values = bytes;
    }
    return device->backend->tensor_read(device, plan->program, positions, 0, p->values, bytes, err);
}

static pm_status add_cost(pm_profiler *p, const pm_session *session, const pm_session_plan *plan,
                          const pm_node *node, const pm_run_params *params, const pm_tensor **positions_of,
                          pm_op_cost *sum, pm_error *err)
{
    if (node->op == PM_OP_ATTENTION && *positions_of != node->in[3]) {
        PM_TRY(read_positions(p, session, plan, node, err));
        *positions_of = node->in[3];
    }
    pm_op_cost cost = pm_op_cost_of(node, params, node->op == PM_OP_ATTENTION ? p->values : NULL);
    sum->bytes += cost.bytes;
    sum->ops += cost.ops;
    return PM_OK;
}

/* Puts the spans of one pass into the rows. A node's cost goes to its last span, with those of nodes that have
 * none. */
static pm_status add_pass(pm_profiler *p, const pm_session *session, const pm_session_plan *plan,
                          const pm_run_params *params, pm_error *err)
{
    const pm_graph *graph = plan->graph;
    const pm_tensor *positions_of = NULL;
    size_t next = 0, counted = 0; /* nodes that were met, and whose cost was added */
    for (size_t i = 0; i < p->n_spans; i++) {
        const step_span *span = &p->spans[i], *after = i + 1 < p->n_spans ? span + 1 : NULL;
        size_t at = find_node(graph, next, span->name);
        next = at + 1;
        char shape[sizeof((pm_profile_row *)0)->shape];
        describe(graph->nodes[at], shape, sizeof shape);
        pm_profile_row *row = find_row(p, span->op, shape);
        if (!row)
            return pm_fail_memory(err, sizeof *row, "a profile");
        unsigned long long end = after ? after->start_ns : p->end_ns;
        end = end > span->start_ns ? end : span->end_ns;
        row->seconds += end > span->start_ns ? 1e-9 * (double)(end - span->start_ns) : 0;
        bool is_last =
            !after || find_node(graph, next, after->name) != at; /* a long op may go to a GPU in parts */
        row->n_calls += is_last || strcmp(after->op, span->op) != 0;
        pm_op_cost cost = {0};
        for (; is_last && counted <= at; counted++)
            PM_TRY(add_cost(p, session, plan, graph->nodes[counted], params, &positions_of, &cost, err));
        row->bytes += cost.bytes;
        row->ops += cost.ops;
    }
    return PM_OK;
}

pm_status pm_profiler_run(pm_profiler *p, const pm_session *session, const pm_session_plan *plan,
                          const pm_run_params *params, const pm_run_options *options, pm_error *err)
{
    pm_device *device = session->model->device;
    pm_run_options run = *options;
    run.trace = p->trace;
    p->n_spans = 0;
    unsigned long long start = pm_trace_now_ns();
    PM_TRY(device->backend->program_run(device, plan->program, params, &run, err));
    unsigned long long end = pm_trace_now_ns();
    bool on_host = device->info.kind == PM_DEVICE_CPU || device->info.kind == PM_DEVICE_REFERENCE;
    p->end_ns = on_host ? end : 0; /* a device's last op is over before the host hears of it */
    p->result.seconds += 1e-9 * (double)(end - start);
    p->result.n_passes++;
    return add_pass(p, session, plan, params, err);
}

pm_status pm_session_profile_begin(pm_session *session, pm_error *err)
{
    if (session->profiler || session->check || session->options.trace)
        return pm_fail(err, PM_ERR_ARGUMENT,
                       "a session that is profiled already, checked or traced cannot be profiled");
    pm_profiler *p = calloc(1, sizeof *p);
    if (!p)
        return pm_fail_memory(err, sizeof *p, "a profile");
    p->track = session->model->device->info.name;
    pm_status status = pm_trace_open_sink(keep_span, p, &p->trace, err);
    if (status != PM_OK) {
        pm_profiler_destroy(p);
        return status;
    }
    session->profiler = p;
    return PM_OK;
}

void pm_session_profile_reset(pm_session *session)
{
    if (!session->profiler)
        return;
    session->profiler->result.n_rows = 0;
    session->profiler->result.seconds = 0;
    session->profiler->result.n_passes = 0;
}

static int longer_first(const void *a, const void *b)
{
    double x = ((const pm_profile_row *)a)->seconds, y = ((const pm_profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

pm_status pm_session_profile_end(pm_session *session, pm_profile *out, pm_error *err)
{
    pm_profiler *p = session->profiler;
    *out = (pm_profile){0};
    if (!p)
        return pm_fail(err, PM_ERR_ARGUMENT, "the session is not profiled");
    pm_status status = p->failed ? pm_fail_memory(err, p->cap_spans * sizeof *p->spans, "a profile") : PM_OK;
    if (status == PM_OK) {
        *out = p->result;
        p->result = (pm_profile){0};
        if (out->n_rows > 0)
            qsort(out->rows, out->n_rows, sizeof *out->rows, longer_first);
    }
    pm_profiler_destroy(p);
    session->profiler = NULL;
    return status;
}

void pm_profiler_destroy(pm_profiler *p)
{
    if (!p)
        return;
    pm_trace_close(p->trace, NULL);
    pm_profile_clear(&p->result);
    free(p->spans);
    free(p->values);
    free(p);
}

void pm_profile_clear(pm_profile *profile)
{
    free(profile->rows);
    *profile = (pm_profile){0};
}
