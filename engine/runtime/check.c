/* --check: every node of a plan is run on the device, then computed again by the reference kernel from the very
 * same inputs, read back from the device; the first that differs by more than its tolerance is named.
 *
 * Inputs come from the device, so an error is blamed on the op that made it, not on those after it. A node that
 * writes into a state (kv_store) is compared over the whole state, which shows writes to wrong places too. */
#include "runtime/runtime.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "formats/block_types.h"

enum { CHECK_SLOTS = PM_MAX_INPUTS + 2, SLOT_DEVICE_OUT = PM_MAX_INPUTS, SLOT_REFERENCE_OUT };

struct pm_check {
    struct {
        void *data;
        size_t capacity;
    } slots[CHECK_SLOTS]; /* inputs, then the output of the device and that of the reference */
    uint64_t n_draws, n_other_draws;
};

pm_status pm_check_create(pm_check **out, pm_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? PM_OK : pm_fail_memory(err, sizeof **out, "the check against the reference");
}

void pm_check_destroy(pm_check *check)
{
    if (!check)
        return;
    for (int i = 0; i < CHECK_SLOTS; i++)
        free(check->slots[i].data);
    free(check);
}

static pm_status reserve(pm_check *check, int slot, size_t bytes, pm_error *err)
{
    if (check->slots[slot].capacity < bytes) {
        void *grown = realloc(check->slots[slot].data, bytes);
        if (!grown)
            return pm_fail_memory(err, bytes, "the check against the reference");
        check->slots[slot].data = grown;
        check->slots[slot].capacity = bytes;
    }
    return PM_OK;
}

static pm_status read_tensor(pm_check *check, const pm_session *session, const pm_session_plan *plan, int slot,
                             const pm_tensor *tensor, pm_error *err)
{
    pm_device *device = session->model->device;
    size_t bytes = pm_tensor_bytes(tensor);
    PM_TRY(reserve(check, slot, bytes, err));
    return device->backend->tensor_read(device, plan->program, pm_tensor_storage(tensor), 0,
                                        check->slots[slot].data, bytes, err);
}

/* The squared error, summed over the output of a matrix product, that rounding its input to 8 bits makes on
 * average. In each block of 32 inputs with one scale d (ops.h) every value is off by d / sqrt(12) or so, each on
 * its own: the error is d^2 / 12 times the sum of the squared weights that the block meets. */
static double rounding_error(const pm_op_call *call)
{
    enum { BLOCK = 32, MOST = 256 };
    const pm_tensor *weight = call->node->in[0], *x = call->node->in[1];
    int64_t n_rows = pm_tensor_rows_now(x, call->params), size = pm_type_get(weight->type)->block_elems;
    size_t row_bytes = pm_type_row_bytes(weight->type, weight->dim[0]);
    double sum = 0;
    for (int64_t k = 0; k < weight->dim[0]; k += size) {
        double squares[MOST / BLOCK] = {0};
        float values[MOST];
        for (int64_t n = 0; n < weight->dim[1]; n++) {
            const char *row = (const char *)call->in[0] + (size_t)n * row_bytes;
            pm_dequantize_row(weight->type, row + pm_type_row_bytes(weight->type, k), values, size);
            for (int64_t i = 0; i < size; i++)
                squares[i / BLOCK] += (double)values[i] * (double)values[i];
        }
        for (int64_t t = 0; t < n_rows; t++) {
            const float *row = (const float *)call->in[1] + t * x->dim[0] + k;
            for (int64_t b = 0; b < size / BLOCK; b++) {
                float largest = 0; /* not by fmax: GCC 12 for AArch64 fails on the loop */
                for (int64_t i = 0; i < BLOCK; i++)
                    largest = fabsf(row[b * BLOCK + i]) > largest ? fabsf(row[b * BLOCK + i]) : largest;
                double d = (double)largest / 127;
                sum += d * d / 12 * squares[b];
            }
        }
    }
    return sum;
}

/* How far a node may be from the reference, as normalised mean squared error of outputs whose squares add up to
 * power. Integers must be equal. Matrix products with quantised weights may quantise their input to 8 bits, which
 * a block with one large value makes coarse: they may have ROUNDING times the error that this makes on average.
 * (Errors of a row's outputs come from the same inputs, so that the sum is spread about its mean; 2.1 times it at
 * most in SmolLM2.) The rest is fp32 arithmetic in another order, with transcendental functions as loose as Vulkan
 * allows; F16 caches round at 2^-11, and in Q8_0 a value between two levels may be stored as either. */
static double tolerance(const pm_op_call *call, double power)
{
    enum { ROUNDING = 4 };
    const pm_node *node = call->node;
    if (node->out->type == PM_TYPE_I32)
        return 0;
    if (node->op == PM_OP_MATMUL && pm_type_get(node->in[0]->type)->block_elems > 1)
        return 1e-6 + ROUNDING * rounding_error(call) / fmax(power, 1e-30);
    return node->out->type == PM_TYPE_Q8_0 ? 1e-5 : 1e-6;
}

typedef struct difference {
    double nmse, power; /* power: the sum of the reference's squares */
    int64_t worst;      /* element with the largest absolute difference */
    double got, want;
    bool exact; /* all equal, NaN for NaN */
} difference;

static difference compare(const pm_tensor *out, const void *got, const void *want, int64_t n)
{
    difference d = {.worst = -1, .exact = true};
    double error = 0, largest = -1;
    for (int64_t i = 0; i < n; i++) {
        double a = pm_element(out->type, got, i), b = pm_element(out->type, want, i);
        if (a == b || (isnan(a) && isnan(b))) {
            d.power += isfinite(b) ? b * b : 0;
            continue;
        }
        double gap = isfinite(a) && isfinite(b) ? fabs(a - b) : INFINITY;
        d.exact = false;
        error += gap * gap;
        d.power += isfinite(b) ? b * b : 0;
        if (gap > largest) {
            largest = gap;
            d.worst = i;
            d.got = a;
            d.want = b;
        }
    }
    d.nmse = error == 0 ? 0 : error / fmax(d.power, 1e-30);
    return d;
}

static pm_status judge(pm_check *check, const pm_op_call *call, int32_t index, const pm_device *device,
                       const difference *d, pm_error *err)
{
    const pm_node *node = call->node;
    if (d->exact)
        return PM_OK;
    double limit = tolerance(call, d->power);
    if (limit > 0 && d->nmse <= limit)
        return PM_OK;
    if (node->op == PM_OP_SAMPLE && (call->params->temperature > 0 || node->in[1])) {
        /* A draw that falls within rounding of the border between two tokens may go either way; often it may not.
         */
        check->n_other_draws++;
        if (check->n_other_draws <= 2 || check->n_other_draws * 20 <= check->n_draws)
            return PM_OK;
    }
    return pm_fail(err, PM_ERR_DIVERGED,
                   "check: node %d, op %s, tensor '%s' on device %s differs from the reference: normalised mean "
                   "squared error %.3g (limit %.1g); worst at element %lld: %.9g instead of %.9g",
                   index, pm_op_name(node->op), node->out->name, device->info.name, d->nmse, limit,
                   (long long)d->worst, d->got, d->want);
}

static pm_status check_node(pm_check *check, const pm_session *session, const pm_session_plan *plan, int32_t index,
                            const pm_run_params *params, const pm_run_options *options, pm_error *err)
{
    pm_device *device = session->model->device;
    const pm_node *node = plan->graph->nodes[index];
    const pm_tensor *out = node->out;
    pm_op_call call = {.node = node, .params = params, .n_parts = 1};
    for (int i = 0; i < node->n_in; i++) {
        const pm_tensor *in = node->in[i];
        if (!in)
            continue;
        if (pm_tensor_storage(in)->role == PM_ROLE_WEIGHT) {
            call.in[i] = pm_tensor_storage(in)->host_data;
            continue;
        }
        PM_TRY(read_tensor(check, session, plan, i, in, err));
        call.in[i] = check->slots[i].data;
    }
    bool state = pm_tensor_storage(out)->role == PM_ROLE_STATE;
    if (state) /* the node changes part of it: start from what is there */
        PM_TRY(read_tensor(check, session, plan, SLOT_REFERENCE_OUT, out, err));
    else
        PM_TRY(reserve(check, SLOT_REFERENCE_OUT, pm_tensor_bytes(out), err));
    call.out = check->slots[SLOT_REFERENCE_OUT].data;

    pm_run_options run = *options;
    run.first_node = index;
    run.n_nodes = 1;
    PM_TRY(device->backend->program_run(device, plan->program, params, &run, err));
    PM_TRY(read_tensor(check, session, plan, SLOT_DEVICE_OUT, out, err));
    pm_op_reference(node->op)(&call);
    int64_t n = state ? pm_tensor_elems(out) : pm_tensor_rows_now(out, params) * out->dim[0];
    if (out->n_dims == 1 && out->rows != PM_ROWS_FIXED)
        n = pm_tensor_rows_now(out, params); /* [R]: one value a row */
    difference d = compare(out, check->slots[SLOT_DEVICE_OUT].data, call.out, n);
    if (node->op == PM_OP_SAMPLE)
        check->n_draws++;
    return judge(check, &call, index, device, &d, err);
}

pm_status pm_check_run(pm_check *check, const pm_session *session, const pm_session_plan *plan,
                       const pm_run_params *params, const pm_run_options *options, pm_error *err)
{
    for (size_t i = 0; i < plan->graph->n_nodes; i++)
        PM_TRY(check_node(check, session, plan, (int32_t)i, params, options, err));
    return PM_OK;
}
