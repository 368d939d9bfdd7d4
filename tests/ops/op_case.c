/* Making the tensors and data of a case. See op_case.h. */
#include "op_case.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/block_types.h"

uint32_t op_random(op_case *c)
{
    c->random = c->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(c->random >> 32);
}

/* The sum of four bytes, centred and scaled to deviation 1. */
float op_random_normal(op_case *c)
{
    uint32_t r = op_random(c);
    int sum = (int)((r & 255) + (r >> 8 & 255) + (r >> 16 & 255) + (r >> 24)) - 510;
    return (float)sum * (1.0f / 147.8f);
}

static bool wanted(const op_run *run, const op_case *c)
{
    if (run->only_op >= 0 && run->only_op != (int)c->op)
        return false;
    return !run->only_case || strstr(c->name, run->only_case);
}

op_case *op_case_begin(op_run *run, pm_op op, const char *format, ...)
{
    op_case *c = calloc(1, sizeof *c);
    if (!c || pm_graph_create(&c->g, NULL) != PM_OK) {
        free(c);
        run->n_failed++;
        fprintf(stderr, "out of memory\n");
        return NULL;
    }
    int used = snprintf(c->name, sizeof c->name, "%s ", pm_op_name(op));
    va_list args;
    va_start(args, format);
    vsnprintf(c->name + used, sizeof c->name - (size_t)used, format, args);
    va_end(args);
    c->op = op;
    c->random = 0xcbf29ce484222325u; /* FNV-1a of the name */
    for (const char *at = c->name; *at; at++)
        c->random = (c->random ^ (unsigned char)*at) * 0x100000001b3u;
    c->params = (pm_run_params){.n_tokens = -1, .n_outputs = -1, .repeat_penalty = 1, .top_p = 1};
    if (wanted(run, c) && !run->list)
        return c;
    if (wanted(run, c)) {
        printf("%s\n", c->name);
        run->n_listed++;
    }
    pm_graph_destroy(c->g);
    free(c);
    return NULL;
}

static float one_value(op_case *c, fill how)
{
    switch (how) {
    case FILL_OUTLIERS:
        return op_random_normal(c) * (op_random(c) % 50 == 0 ? 30.0f : 1.0f);
    case FILL_LARGE:
        return op_random_normal(c) * 100.0f;
    case FILL_POSITIVE:
        return 0.5f + (float)(op_random(c) >> 8) * 0x1p-24f;
    case FILL_ZERO:
        return 0;
    case FILL_NORMAL:
        break;
    }
    return op_random_normal(c);
}

/* Where the layouts keep their scales and minima, which must be sane numbers; every other bit may be anything. */
static void fix_scales(op_case *c, pm_type type, unsigned char *block)
{
    bool k = type == PM_TYPE_Q4_K || type == PM_TYPE_Q5_K;
    bool has_min = k || type == PM_TYPE_Q4_1 || type == PM_TYPE_Q5_1;
    float size = type == PM_TYPE_Q8_0 ? 0.01f : type == PM_TYPE_Q6_K ? 5e-4f : k ? 3e-3f : 0.1f;
    for (int i = 0; i < 1 + has_min; i++) {
        float scale =
            size * (0.25f + (float)(op_random(c) >> 8) * 0x1p-24f) * (op_random(c) % 4 == 0 ? -1.0f : 1.0f);
        if (i == 1 && !k)
            scale *= -8; /* these minima are added: about zero in all */
        uint16_t bits = pm_f32_to_f16(scale);
        memcpy(block + (type == PM_TYPE_Q6_K ? 208 : 2 * i), &bits, sizeof bits);
    }
}

static void fill_blocks(op_case *c, pm_type type, unsigned char *data, size_t bytes)
{
    size_t block_bytes = pm_type_get(type)->block_bytes;
    for (size_t i = 0; i < bytes; i++)
        data[i] = (unsigned char)(op_random(c) >> 24);
    for (size_t at = 0; at < bytes; at += block_bytes)
        fix_scales(c, type, data + at);
}

static void fill_tensor(op_case *c, pm_type type, fill how, void *data, size_t bytes)
{
    if (pm_type_get(type)->block_elems > 1) {
        fill_blocks(c, type, data, bytes);
        return;
    }
    size_t n = bytes / pm_type_get(type)->block_bytes;
    for (size_t i = 0; i < n; i++) {
        float value = one_value(c, how);
        pm_quantize_row(type, &value, (char *)data + i * pm_type_get(type)->block_bytes, 1);
    }
}

static void *keep(op_case *c, case_tensor *list, int *n, int most, pm_tensor *tensor)
{
    if (!tensor || *n == most)
        return NULL;
    case_tensor *kept = &list[(*n)++];
    *kept = (case_tensor){.tensor = tensor, .bytes = pm_tensor_bytes(tensor)};
    kept->data = malloc(kept->bytes);
    c->out_of_memory |= !kept->data;
    return kept->data;
}

#define TAKE_DIMS(dims, n_dims)                                                                                   \
    int64_t dims[PM_MAX_DIMS];                                                                                    \
    va_list args;                                                                                                 \
    va_start(args, n_dims);                                                                                       \
    for (int d = 0; d < n_dims; d++)                                                                              \
        dims[d] = va_arg(args, int);                                                                              \
    va_end(args)

pm_tensor *op_case_weight(op_case *c, pm_type type, unsigned uses, fill how, int n_dims, ...)
{
    TAKE_DIMS(dims, n_dims);
    char name[24];
    snprintf(name, sizeof name, "weight%d", c->n_weights);
    pm_tensor *tensor = pm_graph_weight(c->g, c->n_weights, type, n_dims, dims, NULL, name);
    c->weight_uses[c->n_weights] = uses;
    void *data = keep(c, c->weights, &c->n_weights, CASE_WEIGHTS, tensor);
    if (data) {
        tensor->host_data = data;
        fill_tensor(c, type, how, data, pm_tensor_bytes(tensor));
    }
    return tensor;
}

pm_tensor *op_case_table(op_case *c, const float *data, int n_dims, const int64_t *dims)
{
    char name[24];
    snprintf(name, sizeof name, "table%d", c->n_weights);
    pm_tensor *tensor = pm_graph_weight(c->g, c->n_weights, PM_TYPE_F32, n_dims, dims, NULL, name);
    c->weight_uses[c->n_weights] = PM_USE_PLAIN;
    void *own = keep(c, c->weights, &c->n_weights, CASE_WEIGHTS, tensor);
    if (own) {
        tensor->host_data = own;
        memcpy(own, data, pm_tensor_bytes(tensor));
    }
    return tensor;
}

static pm_tensor *new_input(op_case *c, pm_type type, pm_rows rows, int n_dims, const int64_t *dims)
{
    char name[24];
    snprintf(name, sizeof name, "input%d", c->n_inputs);
    return pm_graph_input(c->g, PM_INPUT_TEST + c->n_inputs, type, n_dims, dims, rows, name);
}

pm_tensor *op_case_input(op_case *c, fill how, pm_rows rows, int n_dims, ...)
{
    TAKE_DIMS(dims, n_dims);
    pm_tensor *tensor = new_input(c, PM_TYPE_F32, rows, n_dims, dims);
    void *data = keep(c, c->inputs, &c->n_inputs, CASE_INPUTS, tensor);
    if (data)
        fill_tensor(c, PM_TYPE_F32, how, data, pm_tensor_bytes(tensor));
    return tensor;
}

pm_tensor *op_case_state(op_case *c, pm_type type, fill how, int n_dims, ...)
{
    TAKE_DIMS(dims, n_dims);
    char name[24];
    snprintf(name, sizeof name, "state%d", c->n_states);
    pm_tensor *tensor = pm_graph_state(c->g, c->n_states, type, n_dims, dims, name);
    void *data = keep(c, c->states, &c->n_states, CASE_STATES, tensor);
    if (data)
        fill_tensor(c, type, how, data, pm_tensor_bytes(tensor));
    return tensor;
}

pm_tensor *op_case_ids(op_case *c, pm_rows rows, int64_t n, int64_t below)
{
    pm_tensor *tensor = new_input(c, PM_TYPE_I32, rows, 1, &n);
    int32_t *ids = keep(c, c->inputs, &c->n_inputs, CASE_INPUTS, tensor);
    for (int64_t i = 0; ids && i < n; i++)
        ids[i] = (int32_t)(op_random(c) % (uint32_t)below);
    return tensor;
}

pm_tensor *op_case_positions(op_case *c, int64_t n, int64_t first)
{
    pm_tensor *tensor = op_case_ids(c, PM_ROWS_TOKENS, n, 1);
    int32_t *positions = op_case_data(c, tensor);
    for (int64_t i = 0; positions && i < n; i++)
        positions[i] = (int32_t)(first + i);
    return tensor;
}

pm_tensor *op_case_spans(op_case *c, pm_rows rows, int64_t n, int64_t n_ctx)
{
    const int64_t dims[2] = {3, n};
    pm_tensor *tensor = new_input(c, PM_TYPE_I32, rows, 2, dims);
    int32_t *spans = keep(c, c->inputs, &c->n_inputs, CASE_INPUTS, tensor);
    for (int64_t i = 0; spans && i < n; i++) {
        int32_t a = (int32_t)(op_random(c) % (uint32_t)n_ctx), b = (int32_t)(op_random(c) % (uint32_t)n_ctx);
        spans[3 * i] = (int32_t)(op_random(c) % (uint32_t)n_ctx);
        spans[3 * i + 1] = a < b ? a : b;
        spans[3 * i + 2] = a < b ? b : a;
    }
    if (spans && n > 4) { /* all, one, and out of range or in the wrong order, which is clamped */
        const int32_t odd[9] = {0, 0, (int32_t)n_ctx - 1, (int32_t)n_ctx - 1, 3, 3, -5, 9, 2};
        memcpy(spans + 3, odd, sizeof odd);
        spans[12] = (int32_t)n_ctx + 7;
        spans[14] = INT32_MAX;
    }
    return tensor;
}

pm_tensor *op_case_integers(op_case *c, pm_rows counted, int64_t n, int64_t rows)
{
    const int64_t dims[2] = {n, rows};
    pm_tensor *tensor = new_input(c, PM_TYPE_I32, counted, 2, dims);
    keep(c, c->inputs, &c->n_inputs, CASE_INPUTS, tensor);
    return tensor;
}

void *op_case_data(op_case *c, const pm_tensor *tensor)
{
    for (int i = 0; i < c->n_weights; i++)
        if (c->weights[i].tensor == tensor)
            return c->weights[i].data;
    for (int i = 0; i < c->n_inputs; i++)
        if (c->inputs[i].tensor == tensor)
            return c->inputs[i].data;
    for (int i = 0; i < c->n_states; i++)
        if (c->states[i].tensor == tensor)
            return c->states[i].data;
    return NULL;
}

void op_case_output(op_case *c, pm_tensor *tensor, double nmse_limit)
{
    if (!tensor || c->n_outputs == CASE_OUTPUTS)
        return;
    pm_graph_output(c->g, tensor);
    case_output *output = &c->outputs[c->n_outputs++];
    *output = (case_output){.tensor = tensor, .nmse_limit = nmse_limit};
    size_t bytes = pm_tensor_bytes(tensor);
    output->want = calloc(1, bytes);
    output->got = calloc(1, bytes);
    output->canary = calloc(1, bytes);
    c->out_of_memory |= !output->want || !output->got || !output->canary;
}

/* ---- the end of a case -------------------------------------------------------------------------------------- */

static void free_list(case_tensor *list, int n)
{
    for (int i = 0; i < n; i++) {
        free(list[i].data);
        free(list[i].warm_data);
    }
}

static void free_case(op_case *c)
{
    free_list(c->weights, c->n_weights);
    free_list(c->inputs, c->n_inputs);
    free_list(c->states, c->n_states);
    for (int i = 0; i < c->n_outputs; i++) {
        free(c->outputs[i].want);
        free(c->outputs[i].got);
        free(c->outputs[i].canary);
    }
    pm_graph_destroy(c->g);
    free(c);
}

/* Counts that the case did not set are full. */
static void complete_params(op_case *c)
{
    pm_run_params full = c->params;
    op_case_full_counts(c, &full);
    if (c->params.n_tokens < 0)
        c->params.n_tokens = full.n_tokens;
    if (c->params.n_outputs < 0)
        c->params.n_outputs = full.n_outputs;
}

/* The warm-up run has the numbers negated, so that whatever is computed later for left-out rows differs from its
 * canaries; indices of left-out rows are then made wild, as nobody may follow them. */
static void make_warm_data(op_case *c)
{
    for (int i = 0; i < c->n_inputs && op_case_has_left_out_rows(c); i++) {
        case_tensor *in = &c->inputs[i];
        int64_t n = pm_tensor_elems(in->tensor);
        in->warm_data = malloc(in->bytes);
        if (!in->warm_data) {
            c->out_of_memory = true;
            return;
        }
        memcpy(in->warm_data, in->data, in->bytes);
        if (in->tensor->type == PM_TYPE_F32)
            for (int64_t k = 0; k < n; k++)
                ((float *)in->warm_data)[k] = -((float *)in->data)[k];
        else if (in->tensor->rows != PM_ROWS_FIXED)
            for (int64_t k = pm_tensor_rows_now(in->tensor, &c->params) *
                             (in->tensor->n_dims > 1 ? in->tensor->dim[0] : 1);
                 k < n; k++)
                ((int32_t *)in->data)[k] = k % 2 ? INT32_MIN : INT32_MAX;
    }
}

static void report(op_run *run, const op_case *c, const pm_tensor *output, const op_verdict *v)
{
    bool ok = v->ok;
    *(ok ? &run->n_passed : &run->n_failed) += 1;
    if (ok && run->quiet)
        return;
    printf("%s %s", ok ? "ok  " : "FAIL", c->name);
    if (c->n_outputs > 1 && output)
        printf(" [%s]", output->name);
    if (v->problem[0])
        printf(": %s", v->problem);
    if (v->worst >= 0)
        printf(" (nmse %.2g, max err %.3g at %lld: %.9g, expected %.9g)", v->nmse, v->max_error,
               (long long)v->worst, v->got, v->want);
    printf("\n");
}

static void run_and_judge(op_run *run, op_case *c)
{
    pm_error err = {0};
    op_verdict failed = {.worst = -1};
    if (c->golden) {
        memcpy(c->outputs[0].want, c->golden, pm_tensor_bytes(c->outputs[0].tensor));
    } else if (op_case_run(c, run->reference, true, &err) != PM_OK) {
        snprintf(failed.problem, sizeof failed.problem, "reference: %.180s", err.message);
        report(run, c, NULL, &failed);
        return;
    }
    for (int i = 0; i < run->repeat; i++) {
        int n_messages = run->n_messages;
        if (op_case_run(c, run->device, false, &err) != PM_OK) {
            snprintf(failed.problem, sizeof failed.problem, "%s: %.180s", pm_status_text(err.status), err.message);
            report(run, c, NULL, &failed);
            return;
        }
        for (int k = 0; k < c->n_outputs; k++) {
            op_verdict verdict = op_judge(c, &c->outputs[k]);
            if (run->validation && run->n_messages != n_messages && verdict.ok) {
                verdict.ok = false;
                snprintf(verdict.problem, sizeof verdict.problem, "the validation layer has something to say");
            }
            report(run, c, c->outputs[k].tensor, &verdict);
            if (!verdict.ok)
                return;
        }
    }
}

void op_case_end(op_run *run, op_case *c)
{
    pm_error err = {0};
    op_verdict failed = {.worst = -1};
    complete_params(c);
    make_warm_data(c);
    const pm_node *missing = NULL;
    if (pm_graph_status(c->g, &err) != PM_OK || c->out_of_memory || c->n_outputs == 0) {
        snprintf(failed.problem, sizeof failed.problem, "not built: %.180s",
                 c->out_of_memory ? "no memory" : err.message);
        report(run, c, NULL, &failed);
    } else if ((missing = op_case_unsupported(c, run->device))) {
        printf("skip: %s: device %s does not support this %s\n", c->name, run->device->info.name,
               pm_op_name(missing->op));
        run->n_skipped++;
    } else {
        run_and_judge(run, c);
    }
    fflush(stdout);
    free_case(c);
}
