/* The plans of a session: one for each bucket of shapes, compiled when first needed. */
#include "runtime/runtime.h"

#include <string.h>

#include "base/error.h"

/* Buckets of tokens: 1 for decoding, then steps of four, so that a short prompt is not run as a long one. */
static int32_t bucket_of(int32_t n, int32_t most)
{
    static const int32_t buckets[] = {1, 8, 32, 128};
    for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++)
        if (n <= buckets[i] && buckets[i] < most)
            return buckets[i];
    return most;
}

int32_t pm_session_max_tokens(const pm_session *session)
{
    const pm_session_options *o = &session->options;
    return session->model->def->info.shape == PM_SHAPE_ENCODER_DECODER && o->n_source > o->n_batch ? o->n_source
                                                                                                   : o->n_batch;
}

int32_t pm_session_max_outputs(const pm_session *session)
{
    /* Logits are big: keep a pass's below 64 MiB, within any device's storage-buffer range. */
    int64_t fit = ((int64_t)64 << 20) / ((int64_t)sizeof(float) * session->model->def->info.n_vocab);
    int64_t batch = pm_session_max_tokens(session), most = batch < 128 ? batch : 128;
    if (session->paging.page && session->paging.n_sequences < most)
        most = session->paging.n_sequences;
    return (int32_t)(fit < 1 ? 1 : fit < most ? fit : most);
}

static bool supports(void *context, const pm_node *node)
{
    pm_device *device = context;
    return device->backend->supports(device, node);
}

/* Every node must be one that the backend has: an op too new, or a type, is named here rather than deep inside. */
static pm_status check_supported(pm_device *device, const pm_graph *graph, pm_error *err)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const pm_node *node = graph->nodes[i];
        if (!device->backend->supports(device, node))
            return pm_fail(err, PM_ERR_UNSUPPORTED, "device %s cannot run op %s for '%s' (weights of type %s)",
                           device->info.name, pm_op_name(node->op), node->out->name,
                           node->in[0] ? pm_type_name(node->in[0]->type) : "?");
    }
    return PM_OK;
}

static pm_status compile(pm_session *session, pm_session_plan *plan, pm_error *err)
{
    pm_model *model = session->model;
    pm_device *device = model->device;
    unsigned long long start = pm_trace_now_ns();
    PM_TRY(pm_graph_create(&plan->graph, err));
    if (plan->shape.pass == PM_PASS_COPY)
        PM_TRY(pm_model_def_build_copy(model->def, &plan->shape, plan->graph, &plan->io, err));
    else
        PM_TRY(model->def->family->build(model->def, &plan->shape, plan->graph, &plan->io, err));
    PM_TRY(pm_graph_fuse(plan->graph, supports, device, err));
    PM_TRY(check_supported(device, plan->graph, err));
    pm_program_options options = {.by_node = session->options.check};
    if (plan->shape.sample && plan->shape.n_tokens == 1 && !plan->shape.paging.page)
        options.feed = (pm_feed){plan->io.next, plan->io.tokens, plan->io.history};
    PM_TRY(device->backend->program_create(device, plan->graph, model->weights, session->states, &options,
                                           &plan->program, err));
    pm_trace_span(session->options.trace, "host", "compile", "compile plan", start, pm_trace_now_ns());
    return PM_OK;
}

static void plan_free(pm_session *session, pm_session_plan *plan)
{
    pm_device *device = session->model->device;
    if (plan->program)
        device->backend->program_destroy(device, plan->program);
    pm_graph_destroy(plan->graph);
    memset(plan, 0, sizeof *plan);
}

static bool same_plan(const pm_graph_shape *a, const pm_graph_shape *b)
{
    return a->pass == b->pass && a->head == b->head && a->n_tokens == b->n_tokens &&
           a->n_outputs == b->n_outputs && a->sample == b->sample && a->layers == b->layers;
}

pm_status pm_session_plan_get(pm_session *session, const pm_graph_shape *wanted, const pm_session_plan **out,
                              pm_error *err)
{
    pm_graph_shape shape = pm_session_shape(&session->options, &session->paging);
    shape.pass = wanted->pass;
    shape.head = wanted->head;
    shape.n_tokens = bucket_of(wanted->n_tokens, pm_session_max_tokens(session));
    shape.n_outputs = wanted->n_outputs <= 1 ? 1 : pm_session_max_outputs(session);
    shape.sample = wanted->sample;
    shape.layers = wanted->layers;
    shape.n_history = PM_SESSION_HISTORY + (shape.paging.page ? 0 : PM_SERIES_MOST);
    if (shape.n_outputs > shape.n_tokens)
        shape.n_outputs = shape.n_tokens;
    for (int32_t i = 0; i < session->n_plans; i++)
        if (same_plan(&session->plans[i].shape, &shape)) {
            *out = &session->plans[i];
            return PM_OK;
        }
    if (session->n_plans == PM_SESSION_MAX_PLANS)
        return pm_fail(err, PM_ERR_INTERNAL, "a session uses more than %d plans", PM_SESSION_MAX_PLANS);
    pm_session_plan *plan = &session->plans[session->n_plans];
    *plan = (pm_session_plan){.shape = shape};
    pm_status status = compile(session, plan, err);
    if (status != PM_OK) {
        plan_free(session, plan);
        return status;
    }
    session->n_plans++;
    *out = plan;
    return PM_OK;
}

void pm_session_plans_free(pm_session *session)
{
    for (int32_t i = 0; i < session->n_plans; i++)
        plan_free(session, &session->plans[i]);
    session->n_plans = 0;
}
