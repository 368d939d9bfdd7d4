/* From a graph to the list of steps: which kernel does each node, what is done in one step, and where threads must
 * wait.
 *
 * In one step: RMSNorm, SwiGLU or attention and the 8-bit form of the result, where only products with quantised
 * weights read it; RoPE and the store into the cache, where only the cache reads it. A by_node program has none of
 * this: each node writes its own tensor, and everything that a node needs beside its inputs is made by its own
 * steps.
 */
#include "backends/cpu/cpu_backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

typedef struct lowering {
    pm_program *program;
    int32_t *uses; /* by tensor id: how often the storage is read */
    int32_t
        *quantized_uses; /* ... as the activations of a product with quantised weights, in rows of row_length() */
    const pm_node **writer; /* by tensor id */
    bool *postponed;        /* by node: a rope that its kv_store does */
} lowering;

static int32_t storage_id(const pm_tensor *tensor)
{
    return pm_tensor_storage(tensor)->id;
}

/* The panels that a matmul node can use; NULL where it has to be done otherwise. */
static const pm_cpu_panels *panels_of(const pm_program *program, const pm_node *node)
{
    const pm_tensor *weight = node->in[0], *storage = pm_tensor_storage(weight);
    if (node->op != PM_OP_MATMUL || storage->role != PM_ROLE_WEIGHT || !program->weights ||
        (size_t)storage->slot >= program->weights->n)
        return NULL;
    const pm_cpu_panels *p = &program->weights->list[storage->slot].panels;
    bool fits = p->data && p->type == weight->type && p->k == weight->dim[0] && p->n == weight->dim[1];
    return fits ? p : NULL;
}

static bool is_quantized(const pm_cpu_panels *panels)
{
    return panels && panels->layout != PM_CPU_FLOATS;
}

/* In which rows the values of a storage meet weights: those of attention with all heads of a token. */
static int64_t row_length(const lowering *l, const pm_tensor *storage)
{
    const pm_node *writer = l->writer[storage->id];
    return storage->dim[0] * (writer && writer->op == PM_OP_ATTENTION ? storage->dim[1] : 1);
}

static void gather(lowering *l)
{
    const pm_graph *graph = l->program->graph;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const pm_node *node = graph->nodes[i];
        for (int j = 0; j < node->n_in; j++) {
            if (!node->in[j])
                continue;
            const pm_tensor *storage = pm_tensor_storage(node->in[j]);
            l->uses[storage->id]++;
            if (j == 1 && is_quantized(panels_of(l->program, node)) &&
                node->in[1]->dim[0] == row_length(l, storage))
                l->quantized_uses[storage->id]++;
        }
        l->writer[storage_id(node->out)] = node;
    }
}

/* Whether a tensor is wanted in 8 bits only. */
static bool only_quantized(const lowering *l, const pm_tensor *out)
{
    return !l->program->by_node && !out->is_output && out->role == PM_ROLE_ACTIVATION && !out->view_of &&
           l->uses[out->id] > 0 && l->uses[out->id] == l->quantized_uses[out->id];
}

/* The rope whose result this kv_store alone reads; NULL where there is none. */
static const pm_node *rope_of(const lowering *l, const pm_node *store)
{
    const pm_tensor *rows = store->in[0];
    if (l->program->by_node || rows->role != PM_ROLE_ACTIVATION || rows->view_of || rows->is_output ||
        l->uses[rows->id] != 1)
        return NULL;
    const pm_node *rope = l->writer[rows->id];
    if (!rope || rope->op != PM_OP_ROPE || pm_tensor_storage(rope->in[0])->role == PM_ROLE_STATE)
        return NULL;
    return rope;
}

/* ---- steps and their buffers -------------------------------------------------------------------------------- */

static pm_cpu_step *add_step(pm_program *program, const pm_cpu_step_kind *kind, const pm_node *node, size_t index)
{
    if (program->n_steps == program->cap_steps) {
        size_t cap = program->cap_steps ? program->cap_steps * 2 : 64;
        pm_cpu_step *grown = realloc(program->steps, cap * sizeof *grown);
        if (!grown)
            return NULL;
        program->steps = grown;
        program->cap_steps = cap;
    }
    pm_cpu_step *step = &program->steps[program->n_steps++];
    *step = (pm_cpu_step){.kind = kind, .node = node, .node_index = (int32_t)index, .extra = -1, .made = -1};
    for (int i = 0; i < PM_CPU_STEP_READS; i++)
        step->reads[i] = -1;
    for (int i = 0; i < PM_CPU_STEP_WRITES; i++)
        step->writes[i] = -1;
    return step;
}

static void reads(pm_cpu_step *step, int32_t buffer)
{
    for (int i = 0; i < PM_CPU_STEP_READS; i++)
        if (step->reads[i] < 0 || step->reads[i] == buffer) {
            step->reads[i] = buffer;
            return;
        }
}

static void reads_inputs(pm_cpu_step *step, const pm_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i])
            reads(step, storage_id(node->in[i]));
}

/* A buffer of the program's own; -1 where memory has run out. */
static int32_t add_extra(pm_program *program, size_t bytes, const pm_tensor *of, int64_t k)
{
    if (program->n_extras == program->cap_extras) {
        size_t cap = program->cap_extras ? program->cap_extras * 2 : 64;
        pm_cpu_extra *grown = realloc(program->extras, cap * sizeof *grown);
        if (!grown)
            return -1;
        program->extras = grown;
        program->cap_extras = cap;
    }
    program->extras[program->n_extras++] = (pm_cpu_extra){.bytes = bytes, .of = of, .k = k};
    return (int32_t)(program->graph->n_tensors + program->n_extras - 1);
}

static pm_status out_of_memory(pm_error *err)
{
    return pm_fail_memory(err, sizeof(pm_cpu_step), "the steps of a plan");
}

/* The 8-bit or packed form of x that a step before has made; -1: none. */
static int32_t find_extra(const pm_program *program, const pm_tensor *x, int64_t k, size_t bytes)
{
    for (size_t i = program->n_extras; i > 0 && !program->by_node; i--) {
        const pm_cpu_extra *extra = &program->extras[i - 1];
        if (extra->of == pm_tensor_storage(x) && extra->k == k && extra->bytes == bytes)
            return (int32_t)(program->graph->n_tensors + i - 1);
    }
    return -1;
}

static size_t packed_bytes(int64_t k, int64_t n_rows)
{
    return sizeof(float) * (size_t)((n_rows + PM_CPU_TILE - 1) / PM_CPU_TILE * PM_CPU_TILE * k);
}

/* Finds or makes the form of x = in[1] that panels of this layout are multiplied with. *extra -1: x itself. */
static pm_status prepare_x(lowering *l, const pm_node *node, size_t index, const pm_cpu_panels *panels,
                           int32_t *extra, pm_error *err)
{
    const pm_tensor *x = node->in[1];
    bool quantized = is_quantized(panels);
    int64_t k = x->dim[0], n_rows = pm_tensor_rows(x);
    size_t bytes = quantized ? pm_cpu_acts_bytes(k, n_rows) : packed_bytes(k, n_rows);
    *extra = -1;
    if (!quantized && n_rows == 1)
        return PM_OK;
    bool lasting = pm_tensor_storage(x)->role != PM_ROLE_STATE; /* a state may change in between */
    *extra = lasting ? find_extra(l->program, x, k, bytes) : -1;
    if (*extra >= 0)
        return PM_OK;
    *extra = add_extra(l->program, bytes, lasting ? pm_tensor_storage(x) : NULL, k);
    pm_cpu_step *step = add_step(l->program, quantized ? &pm_cpu_step_quantize : &pm_cpu_step_pack, node, index);
    if (*extra < 0 || !step)
        return out_of_memory(err);
    step->k = step->made_k = k;
    if (quantized)
        step->made = *extra;
    else
        step->extra = *extra;
    reads(step, storage_id(x));
    step->writes[0] = *extra;
    return PM_OK;
}

static pm_status lower_matmul(lowering *l, const pm_node *node, size_t index, pm_error *err)
{
    const pm_cpu_panels *panels = panels_of(l->program, node);
    int32_t extra = -1;
    if (panels)
        PM_TRY(prepare_x(l, node, index, panels, &extra, err));
    pm_cpu_step *step = add_step(l->program, panels ? &pm_cpu_step_matmul : &pm_cpu_step_reference, node, index);
    if (!step)
        return out_of_memory(err);
    step->panels = panels;
    step->extra = extra;
    step->k = node->in[1]->dim[0];
    for (int i = 0; i < node->n_in; i++) /* float weights read a single row of x itself */
        if (node->in[i] && !(i == 1 && extra >= 0 && is_quantized(panels)))
            reads(step, storage_id(node->in[i]));
    if (extra >= 0)
        reads(step, extra);
    step->writes[0] = storage_id(node->out);
    return PM_OK;
}

/* Lets a step make its result in 8 bits, in the place of write number `write`, where nothing else is wanted. */
static pm_status make_quantized(lowering *l, pm_cpu_step *step, int write, pm_error *err)
{
    const pm_tensor *out = step->node->out;
    if (!only_quantized(l, out))
        return PM_OK;
    step->made_k = row_length(l, out);
    size_t bytes = pm_cpu_acts_bytes(step->made_k, pm_tensor_rows(out) * out->dim[0] / step->made_k);
    step->made = add_extra(l->program, bytes, out, step->made_k);
    step->writes[write] = step->made;
    return step->made < 0 ? out_of_memory(err) : PM_OK;
}

/* The norms and SwiGLU. */
static pm_status lower_quantizing(lowering *l, const pm_node *node, size_t index, const pm_cpu_step_kind *kind,
                                  pm_error *err)
{
    pm_cpu_step *step = add_step(l->program, kind, node, index);
    if (!step)
        return out_of_memory(err);
    reads_inputs(step, node);
    step->writes[0] = storage_id(node->out);
    return make_quantized(l, step, 0, err);
}

static pm_status lower_kv_store(lowering *l, const pm_node *node, size_t index, pm_error *err)
{
    const pm_node *rope = rope_of(l, node);
    pm_cpu_step *step =
        add_step(l->program, rope ? &pm_cpu_step_rope_store : &pm_cpu_step_kv_store, rope ? rope : node, index);
    if (!step)
        return out_of_memory(err);
    reads_inputs(step, step->node);
    if (rope) {
        step->fused = node;
        reads(step, storage_id(node->in[1]));
    }
    step->writes[0] = storage_id(node->out);
    return PM_OK;
}

static pm_status lower_attention(lowering *l, const pm_node *node, size_t index, pm_error *err)
{
    const pm_tensor *q = node->in[0];
    pm_cpu_step *step = add_step(l->program, &pm_cpu_step_attention, node, index);
    if (!step)
        return out_of_memory(err);
    reads_inputs(step, node);
    step->writes[0] = storage_id(node->out);
    size_t parts = (size_t)PM_CPU_ATTENTION_PARTS * (size_t)(q->dim[1] * (q->dim[0] + 2));
    step->extra = add_extra(l->program, parts * sizeof(float), NULL, 0);
    step->writes[1] = step->extra;
    l->program->n_done += (size_t)node->in[1]->dim[2];
    if (step->extra < 0)
        return out_of_memory(err);
    return q->dim[0] % PM_CPU_BLOCK == 0 ? make_quantized(l, step, 2, err) : PM_OK;
}

static pm_status lower_plain(lowering *l, const pm_node *node, size_t index, const pm_cpu_step_kind *kind,
                             pm_error *err)
{
    pm_cpu_step *step = add_step(l->program, kind, node, index);
    if (!step)
        return out_of_memory(err);
    reads_inputs(step, node);
    step->writes[0] = storage_id(node->out);
    return PM_OK;
}

static pm_status lower_node(lowering *l, const pm_node *node, size_t index, pm_error *err)
{
    static const pm_cpu_step_kind *const kinds[PM_OP_COUNT] = {
#define KIND(upper, lower) &pm_cpu_step_##lower,
        PM_OP_LIST(KIND)
#undef KIND
    };
    switch (node->op) {
    case PM_OP_MATMUL:
        return lower_matmul(l, node, index, err);
    case PM_OP_RMS_NORM:
    case PM_OP_LAYER_NORM:
    case PM_OP_SWIGLU:
        return lower_quantizing(l, node, index, kinds[node->op], err);
    case PM_OP_KV_STORE:
        return lower_kv_store(l, node, index, err);
    case PM_OP_ATTENTION:
        return lower_attention(l, node, index, err);
    case PM_OP_ROPE:
        if (l->postponed[index])
            return PM_OK;
        break;
    default:
        break;
    }
    return lower_plain(l, node, index, kinds[node->op], err);
}

static void find_postponed(lowering *l)
{
    const pm_graph *graph = l->program->graph;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i]->op != PM_OP_KV_STORE)
            continue;
        const pm_node *rope = rope_of(l, graph->nodes[i]);
        for (size_t j = 0; rope && j < i; j++)
            if (graph->nodes[j] == rope)
                l->postponed[j] = true;
    }
}

/* ---- where threads wait ------------------------------------------------------------------------------------- */

/* A step goes into a new epoch when it reads what this epoch writes, or writes what this epoch reads or writes. */
static pm_status split_epochs(pm_program *program, pm_error *err)
{
    size_t n_buffers = program->graph->n_tensors + program->n_extras;
    int32_t *written = malloc((n_buffers + 1) * sizeof *written), *read = malloc((n_buffers + 1) * sizeof *read);
    if (!written || !read) {
        free(written);
        free(read);
        return pm_fail_memory(err, n_buffers * sizeof *written, "a plan");
    }
    for (size_t i = 0; i < n_buffers; i++)
        written[i] = read[i] = -1;
    int32_t epoch = 0;
    for (size_t s = 0; s < program->n_steps; s++) {
        pm_cpu_step *step = &program->steps[s];
        bool wait = false;
        for (int i = 0; i < PM_CPU_STEP_READS; i++)
            wait = wait || (step->reads[i] >= 0 && written[step->reads[i]] == epoch);
        for (int i = 0; i < PM_CPU_STEP_WRITES; i++)
            wait = wait ||
                   (step->writes[i] >= 0 && (written[step->writes[i]] == epoch || read[step->writes[i]] == epoch));
        epoch += wait;
        step->epoch = epoch;
        for (int i = 0; i < PM_CPU_STEP_READS; i++)
            if (step->reads[i] >= 0)
                read[step->reads[i]] = epoch;
        for (int i = 0; i < PM_CPU_STEP_WRITES; i++)
            if (step->writes[i] >= 0)
                written[step->writes[i]] = epoch;
    }
    program->n_epochs = epoch + 1;
    free(written);
    free(read);
    return PM_OK;
}

pm_status pm_cpu_lower(pm_program *program, pm_error *err)
{
    size_t n_tensors = program->graph->n_tensors + 1, n_nodes = program->graph->n_nodes + 1;
    lowering l = {.program = program};
    l.uses = calloc(n_tensors, sizeof *l.uses);
    l.quantized_uses = calloc(n_tensors, sizeof *l.quantized_uses);
    l.writer = calloc(n_tensors, sizeof *l.writer);
    l.postponed = calloc(n_nodes, sizeof *l.postponed);
    pm_status status = PM_OK;
    if (!l.uses || !l.quantized_uses || !l.writer || !l.postponed)
        status = pm_fail_memory(err, n_tensors * sizeof *l.writer, "a plan");
    if (status == PM_OK) {
        gather(&l);
        find_postponed(&l);
    }
    for (size_t i = 0; i < program->graph->n_nodes && status == PM_OK; i++)
        status = lower_node(&l, program->graph->nodes[i], i, err);
    if (status == PM_OK)
        status = split_epochs(program, err);
    free(l.uses);
    free(l.quantized_uses);
    free((void *)l.writer);
    free(l.postponed);
    return status;
}
