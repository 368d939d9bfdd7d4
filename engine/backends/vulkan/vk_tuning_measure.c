/* Filling the tuning table: before a program is lowered, the products of its graph that the table does not have
 * are tried with each tiling that may be the fastest.
 *
 * What is tried is a program like any other: the product with the model's own weight, once for each tiling, of
 * rows of made-up numbers. Its nodes run one by one and their timestamps tell; in rounds, so that clocks that rise
 * meanwhile favour none, and without those that are clearly slower. The first start of a model waits for this, so
 * there is a budget; what is left over goes by rule, and is measured by the next program that has it. Nothing here
 * may make a start fail that would do without. */
#include "backends/vulkan/matmul_variant.h"
#include "backends/vulkan/vk_selftest.h" /* pm_vk_rig_number */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/vulkan/op_lowering.h"
#include "ops/ops.h"

static const double budget_s = 0.3, patience_s = 1; /* of a program; of one product on a slow device */
static const double hopeless = 1.3;                 /* times the best: not tried again */
static const double better = 0.98;                  /* of the rule's time: worth another choice than the rule's */
static const double same = 1e-6; /* mean squared difference of results that are the same but for rounding */
enum { ROUNDS = 5, FIRST_TRIAL = 2 /* node */, NUMBERS = 4099 };

typedef struct trial {
    pm_vk_device *device;
    const pm_vk_store *weights;
    pm_vk_product product;
    pm_vk_tiling list[PM_VK_MOST_TILINGS + 1]; /* that of the first product, then those that are tried */
    int n;                                     /* of those */
    double best[PM_VK_MOST_TILINGS];
    double until; /* the budget's end */
    pm_graph *graph;
    pm_tensor *in, *out[PM_VK_MOST_TILINGS + 1];
    pm_program *program;
    pm_trace *trace;
    double span; /* seconds of the spans so far */
} trial;

static double now_s(void)
{
    return 1e-9 * (double)pm_trace_now_ns();
}

static void add_span(void *user, const char *track, const char *category, const char *name,
                     unsigned long long start_ns, unsigned long long end_ns)
{
    (void)track, (void)category, (void)name;
    ((trial *)user)->span += 1e-9 * (double)(end_ns - start_ns);
}

/* x is made on the device, and the first product makes what all others read it as. */
static pm_status build(trial *t, const pm_tensor *weight, pm_error *err)
{
    PM_TRY(pm_graph_create(&t->graph, err));
    const int64_t dims[2] = {t->product.n_k, t->product.n_rows};
    pm_tensor *w =
        pm_graph_weight(t->graph, weight->slot, weight->type, weight->n_dims, weight->dim, NULL, weight->name);
    t->in = pm_graph_input(t->graph, PM_INPUT_TEST, PM_TYPE_F32, 2, dims, PM_ROWS_FIXED, "x");
    const pm_tensor *x = pm_scale(t->graph, t->in, 1);
    for (int i = 0; i <= t->n; i++) {
        t->out[i] = pm_matmul(t->graph, w, x, NULL, NULL);
        pm_graph_output(t->graph, t->out[i]);
    }
    PM_TRY(pm_graph_status(t->graph, err));
    const pm_program_options options = {.by_node = true};
    t->device->trial = t->list;
    pm_status status =
        pm_vk_program_create(&t->device->base, t->graph, (const pm_weights *)(const void *)t->weights, NULL,
                             &options, &t->program, err);
    t->device->trial = NULL;
    return status;
}

static pm_status fill(trial *t, pm_error *err)
{
    size_t n = (size_t)t->product.n_k * t->product.n_rows, done = n < NUMBERS ? n : NUMBERS;
    float *x = malloc(n * sizeof *x);
    if (!x)
        return pm_fail_memory(err, n * sizeof *x, "measuring products");
    for (size_t i = 0; i < done; i++)
        x[i] = pm_vk_rig_number((uint32_t)i);
    for (; done < n; done += NUMBERS)
        memcpy(x + done, x, (n - done < NUMBERS ? n - done : NUMBERS) * sizeof *x);
    pm_status status = pm_vk_tensor_write(&t->device->base, t->program, t->in, 0, x, n * sizeof *x, err);
    free(x);
    return status;
}

/* Seconds of nodes [first, first + n), by the device's clock. */
static pm_status run(trial *t, int first, int n, double *seconds, pm_error *err)
{
    const pm_run_params params = {.n_tokens = 1, .n_outputs = 1};
    const pm_run_options options = {.first_node = first, .n_nodes = n, .trace = t->trace};
    t->span = 0;
    PM_TRY(pm_vk_program_run(&t->device->base, t->program, &params, &options, err));
    *seconds = t->span;
    return PM_OK;
}

/* Fills in best[]; *known: each was run at least once. */
static pm_status run_rounds(trial *t, bool *known, pm_error *err)
{
    double seconds, least = INFINITY;
    *known = false;
    PM_TRY(run(t, 0, FIRST_TRIAL, &seconds, err)); /* some drivers compile then */
    PM_TRY(run(t, FIRST_TRIAL - 1, 1, &seconds, err));
    if (seconds * t->n > patience_s)
        return PM_OK;
    for (int i = 0; i < t->n; i++)
        t->best[i] = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < t->n; i++) {
            if (round > 0 && (t->best[i] > hopeless * least || now_s() > t->until))
                continue;
            PM_TRY(run(t, FIRST_TRIAL + i, 1, &seconds, err));
            t->best[i] = seconds > 0 && seconds < t->best[i] ? seconds : t->best[i];
        }
        for (int i = 0; i < t->n; i++)
            least = t->best[i] < least ? t->best[i] : least;
    }
    *known = least < INFINITY;
    return PM_OK;
}

/* Whether two outputs are the same in their first and last rows. */
static pm_status compare(trial *t, const pm_tensor *a, const pm_tensor *b, bool *equal, pm_error *err)
{
    size_t n = t->product.n_out;
    float *rows = malloc(2 * n * sizeof *rows);
    if (!rows)
        return pm_fail_memory(err, 2 * n * sizeof *rows, "measuring products");
    double error = 0, power = 1e-30;
    pm_status status = PM_OK;
    for (int end = 0; end < 2 && status == PM_OK; end++) {
        size_t at = end ? (t->product.n_rows - 1) * n * sizeof *rows : 0;
        status = pm_vk_tensor_read(&t->device->base, t->program, a, at, rows, n * sizeof *rows, err);
        if (status == PM_OK)
            status = pm_vk_tensor_read(&t->device->base, t->program, b, at, rows + n, n * sizeof *rows, err);
        for (size_t i = 0; i < n && status == PM_OK; i++) {
            error += ((double)rows[i] - rows[n + i]) * ((double)rows[i] - rows[n + i]);
            power += (double)rows[n + i] * rows[n + i];
        }
    }
    *equal = error <= same * power; /* false with NaN */
    free(rows);
    return status;
}

static pm_status choose(trial *t, pm_error *err)
{
    bool known, equal = true;
    PM_TRY(run_rounds(t, &known, err));
    if (!known)
        return pm_fail(err, PM_ERR_LIMIT, "the device is too slow");
    int least = 0;
    for (int i = 1; i < t->n; i++)
        if (t->best[i] < t->best[least] && t->best[i] < better * t->best[0])
            least = i;
    if (least)
        PM_TRY(compare(t, t->out[1 + least], t->out[1], &equal, err));
    if (!equal)
        pm_vk_log(t->device, "%s computes a product otherwise when it is cut otherwise: that cut is not used",
                  t->device->facts.title);
    pm_vk_tuning_put(&t->device->tuning, &t->product, t->list[1 + (equal ? least : 0)]);
    return PM_OK;
}

static pm_status measure(trial *t, const pm_tensor *weight, pm_error *err)
{
    t->list[0] = t->list[1];
    pm_status status = build(t, weight, err);
    if (status == PM_OK)
        status = fill(t, err);
    if (status == PM_OK)
        status = pm_trace_open_sink(add_span, t, &t->trace, err);
    if (status == PM_OK)
        status = choose(t, err);
    pm_trace_close(t->trace, NULL);
    pm_vk_program_destroy(&t->device->base, t->program);
    pm_graph_destroy(t->graph);
    return status;
}

/* Whether a node is a product that the table could have and has not. */
static bool is_new(pm_vk_device *device, const pm_vk_store *weights, const pm_node *node, trial *t)
{
    if (node->op != PM_OP_MATMUL || node->in[0]->role != PM_ROLE_WEIGHT || node->in[0]->view_of)
        return false;
    const pm_tensor *weight = node->in[0], *x = node->in[1];
    int64_t n_rows = pm_tensor_rows(x);
    if (n_rows < PM_VK_MANY_ROWS || !pm_vk_small_enough(node) || weight->slot < 0 ||
        (size_t)weight->slot >= weights->n_items ||
        weights->items[weight->slot].layout.format != PM_VK_WEIGHT_UNITS)
        return false;
    *t = (trial){.device = device,
                 .weights = weights,
                 .product = {pm_vk_weight_type_index(weight->type), (uint32_t)n_rows, (uint32_t)x->dim[0],
                             (uint32_t)node->out->dim[0]}};
    pm_vk_tiling known;
    t->n = pm_vk_matmul_tilings(&device->caps, &t->product, t->list + 1);
    return t->n > 1 && !pm_vk_tuning_find(&device->tuning, &t->product, &known);
}

pm_status pm_vk_tune_graph(pm_vk_device *device, const pm_graph *graph, const pm_vk_store *weights, pm_error *err)
{
    if (!device->tunes || device->trial || !weights)
        return PM_OK;
    double start = now_s();
    size_t n_before = device->tuning.n;
    bool said = false;
    for (size_t i = 0; i < graph->n_nodes && device->tunes && now_s() < start + budget_s; i++) {
        trial t;
        pm_error problem = {0};
        if (!is_new(device, weights, graph->nodes[i], &t))
            continue;
        if (!said)
            pm_vk_log(device, "measuring how %s multiplies fastest, for now and later", device->facts.title);
        said = true;
        t.until = start + budget_s;
        pm_status status = measure(&t, graph->nodes[i]->in[0], &problem);
        if (status == PM_ERR_DEVICE_LOST)
            return pm_fail(err, status, "%s (while measuring products; --tuning off does without)",
                           problem.message);
        if (status != PM_OK) {
            device->tunes = false;
            pm_vk_log(device, "products are cut by rule from here on, as measuring them failed: %s",
                      problem.message);
        }
    }
    if (device->tuning.n > n_before)
        pm_vk_tuning_write(&device->tuning, &device->cache, device->tuning_kind);
    return PM_OK;
}
