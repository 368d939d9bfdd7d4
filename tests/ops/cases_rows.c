/* Cases of ops on rows: embedding, the norms, softmax, and what goes element by element. */
#include "op_case.h"

#include <math.h>

static const int widths[] = {1,  2,  3,  4,  5,   7,   8,   9,   15,  16,  17,   31,
                             33, 63, 64, 65, 127, 128, 129, 255, 257, 576, 1000, 4097};
enum { N_WIDTHS = sizeof widths / sizeof widths[0] };

/* ---- embedding ---------------------------------------------------------------------------------------------- */

/* Plain types are copied or widened exactly. Blocks are scale * integer (+ minimum) in float, where a fused
 * multiply-add rounds once instead of twice: 1e-13 is 2^-22 squared. */
static void embedding_case(op_run *run, pm_type type, int width, int n_table, int t, int t_now, const char *note)
{
    op_case *c = op_case_begin(run, PM_OP_EMBEDDING, "%s c=%d v=%d t=%d now=%d%s", pm_type_name(type), width,
                               n_table, t, t_now, note);
    if (!c)
        return;
    pm_tensor *table = op_case_weight(c, type, PM_USE_EMBEDDING, FILL_NORMAL, 2, width, n_table);
    pm_tensor *ids = op_case_ids(c, PM_ROWS_TOKENS, t, n_table);
    int32_t *data = op_case_data(c, ids);
    if (data && t > 2) { /* the table's ends, and ids out of range, which are clamped */
        data[0] = n_table - 1;
        data[1] = 0;
        if (t > 4) {
            data[2] = -1;
            data[3] = n_table;
        }
        if (t > 6) {
            data[4] = INT32_MIN;
            data[5] = INT32_MAX;
        }
    }
    c->params.n_tokens = t_now;
    op_case_output(c, pm_embedding(c->g, table, ids), pm_type_get(type)->block_elems == 1 ? 0 : 1e-13);
    op_case_end(run, c);
}

void op_cases_embedding(op_run *run)
{
    for (int type = 0; type < PM_TYPE_COUNT; type++) {
        if (type == PM_TYPE_I32)
            continue;
        int block = (int)pm_type_get((pm_type)type)->block_elems;
        embedding_case(run, (pm_type)type, block, 1, 1, 1, "");
        embedding_case(run, (pm_type)type, 3 * block, 5, 7, 7, "");
        embedding_case(run, (pm_type)type, 5 * block, 37, 33, 20, "");
        embedding_case(run, (pm_type)type, block == 1 ? 577 : 2304, 300, 9, 9, "");
    }
    for (int i = 0; i < N_WIDTHS; i++)
        embedding_case(run, PM_TYPE_F16, widths[i], 11, 5, 5, " widths");
    embedding_case(run, PM_TYPE_F32, 1024, 33000, 40, 33, " beyond 128 MiB");
    op_case *c = op_case_begin(run, PM_OP_EMBEDDING, "rows of an activation");
    if (c) {
        pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, 65, 32);
        pm_tensor *rows = op_case_ids(c, PM_ROWS_OUTPUTS, 8, 20);
        c->params.n_tokens = 20;
        c->params.n_outputs = 5;
        op_case_output(c, pm_embedding(c->g, x, rows), 0);
        op_case_end(run, c);
    }
}

/* ---- rms_norm ----------------------------------------------------------------------------------------------- */

/* A float sum of up to 4097 squares and an inverse square root that Vulkan lets be off by 2 units: 1e-12 is 1e-6
 * squared. */
static void rms_norm_case(op_run *run, int width, int heads, int t, int t_now, float eps, fill how, bool weight)
{
    op_case *c = op_case_begin(run, PM_OP_RMS_NORM, "c=%d h=%d t=%d now=%d eps=%g fill=%d%s", width, heads, t,
                               t_now, (double)eps, how, weight ? " weight" : "");
    if (!c)
        return;
    pm_tensor *x = heads ? op_case_input(c, how, PM_ROWS_TOKENS, 3, width, heads, t)
                         : op_case_input(c, how, PM_ROWS_TOKENS, 2, width, t);
    pm_tensor *w = weight ? op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_POSITIVE, 1, width) : NULL;
    c->params.n_tokens = t_now;
    op_case_output(c, pm_rms_norm(c->g, x, w, eps), 1e-12);
    op_case_end(run, c);
}

static void cases_rms_norm(op_run *run)
{
    for (int i = 0; i < N_WIDTHS; i++) {
        rms_norm_case(run, widths[i], 0, 3, 3, 1e-5f, FILL_NORMAL, i % 2);
        rms_norm_case(run, widths[i], 0, 1, 1, 1e-6f, FILL_LARGE, i % 3);
    }
    rms_norm_case(run, 64, 9, 5, 5, 1e-6f, FILL_NORMAL, true);
    rms_norm_case(run, 128, 3, 32, 17, 1e-6f, FILL_NORMAL, true);
    rms_norm_case(run, 80, 0, 128, 65, 1e-5f, FILL_OUTLIERS, false);
    rms_norm_case(run, 576, 0, 8, 1, 1e-5f, FILL_NORMAL, true);
    rms_norm_case(run, 48, 0, 4, 4, 1e-5f, FILL_ZERO, true);
    rms_norm_case(run, 16384, 0, 2, 2, 1e-5f, FILL_NORMAL, true);
    rms_norm_case(run, 40000, 0, 1, 1, 0.0f, FILL_NORMAL, false);
    op_case *c = op_case_begin(run, PM_OP_RMS_NORM, "NaN in one row of three");
    if (c) {
        pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, 100, 3);
        float *data = op_case_data(c, x);
        if (data)
            data[150] = NAN;
        op_case_output(c, pm_rms_norm(c->g, x, NULL, 1e-5f), 1e-12);
        op_case_end(run, c);
    }
}

/* ---- layer_norm --------------------------------------------------------------------------------------------- */

typedef struct layer_norm_row {
    int width, heads, t, t_now; /* heads 0: two dimensions */
    float eps, shift;
    fill how;
    int weight, bias;
} layer_norm_row;

/* As rms_norm, with a float mean more: values shifted by 30 deviations lose 30 times 2^-24, squared 3e-12. */
static void layer_norm_case(op_run *run, const layer_norm_row *r)
{
    op_case *c = op_case_begin(run, PM_OP_LAYER_NORM, "c=%d h=%d t=%d now=%d eps=%g shift=%g fill=%d%s%s",
                               r->width, r->heads, r->t, r->t_now, (double)r->eps, (double)r->shift, r->how,
                               r->weight ? " weight" : "", r->bias ? " bias" : "");
    if (!c)
        return;
    pm_tensor *x = r->heads ? op_case_input(c, r->how, PM_ROWS_TOKENS, 3, r->width, r->heads, r->t)
                            : op_case_input(c, r->how, PM_ROWS_TOKENS, 2, r->width, r->t);
    pm_tensor *w = r->weight ? op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_POSITIVE, 1, r->width) : NULL;
    pm_tensor *b = r->bias ? op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_NORMAL, 1, r->width) : NULL;
    float *data = op_case_data(c, x);
    for (int64_t i = 0; data && i < pm_tensor_elems(x); i++)
        data[i] += r->shift;
    c->params.n_tokens = r->t_now;
    op_case_output(c, pm_layer_norm(c->g, x, w, b, r->eps), 1e-11);
    op_case_end(run, c);
}

static void cases_layer_norm(op_run *run)
{
    static const layer_norm_row rows[] = {
        {64, 9, 5, 5, 1e-6f, 0, FILL_NORMAL, 1, 1},      {128, 3, 32, 17, 1e-6f, 1, FILL_NORMAL, 1, 0},
        {80, 0, 128, 65, 1e-5f, 0, FILL_OUTLIERS, 0, 0}, {576, 0, 8, 1, 1e-5f, 30, FILL_NORMAL, 1, 1},
        {48, 0, 4, 4, 1e-5f, 0, FILL_ZERO, 1, 1},        {16384, 0, 2, 2, 1e-5f, 2, FILL_NORMAL, 1, 1},
        {40000, 0, 1, 1, 0.0f, 0, FILL_NORMAL, 0, 1},    {100, 0, 3, 3, 1e-12f, 0, FILL_LARGE, 1, 1},
    };
    for (int i = 0; i < N_WIDTHS; i++) {
        const layer_norm_row r = {widths[i], 0, 3, 3, 1e-5f, 0, FILL_NORMAL, i % 2, i / 2 % 2};
        layer_norm_case(run, &r);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        layer_norm_case(run, &rows[i]);
    op_case *c = op_case_begin(run, PM_OP_LAYER_NORM, "NaN in one row of three");
    if (c) {
        pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, 100, 3);
        float *data = op_case_data(c, x);
        if (data)
            data[150] = NAN;
        op_case_output(c, pm_layer_norm(c->g, x, NULL, NULL, 1e-5f), 1e-11);
        op_case_end(run, c);
    }
}

/* ---- softmax ------------------------------------------------------------------------------------------------ */

/* exp of -x is good to 3 + 2 |x| units in Vulkan: for the values that matter (x to about 10) 1.4e-6, squared
 * 2e-12. */
static void softmax_case(op_run *run, int width, int t, int t_now, fill how)
{
    op_case *c = op_case_begin(run, PM_OP_SOFTMAX, "c=%d t=%d now=%d fill=%d", width, t, t_now, how);
    if (!c)
        return;
    pm_tensor *x = op_case_input(c, how, PM_ROWS_TOKENS, 2, width, t);
    c->params.n_tokens = t_now;
    op_case_output(c, pm_softmax(c->g, x), 1e-10);
    op_case_end(run, c);
}

static void softmax_special(op_run *run, const char *what, const float *values, int n)
{
    op_case *c = op_case_begin(run, PM_OP_SOFTMAX, "%s", what);
    if (!c)
        return;
    pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, 70, 3);
    float *data = op_case_data(c, x);
    for (int i = 0; data && i < 70; i++)
        data[70 + i] = i < n ? values[i] : n == 1 ? values[0] : data[70 + i];
    op_case_output(c, pm_softmax(c->g, x), 1e-10);
    op_case_end(run, c);
}

static void cases_softmax(op_run *run)
{
    for (int i = 0; i < N_WIDTHS; i++) {
        softmax_case(run, widths[i], 3, 3, FILL_NORMAL);
        softmax_case(run, widths[i], 1, 1, FILL_LARGE);
    }
    softmax_case(run, 49152, 2, 2, FILL_NORMAL);
    softmax_case(run, 151936, 1, 1, FILL_OUTLIERS);
    softmax_case(run, 33, 32, 17, FILL_NORMAL);
    softmax_case(run, 1000, 4, 4, FILL_ZERO);
    softmax_special(run, "a row of -Inf only", (const float[]){-INFINITY}, 1);
    softmax_special(run, "some -Inf", (const float[]){-INFINITY, 3, -INFINITY, -INFINITY}, 4);
    softmax_special(run, "NaN in a row", (const float[]){0, NAN}, 2);
    softmax_special(run, "+Inf in a row", (const float[]){0, INFINITY}, 2);
    softmax_special(run, "values near the largest float", (const float[]){3e38f, 3.1e38f, -3e38f}, 3);
}

/* ---- element by element ------------------------------------------------------------------------------------- */

static pm_tensor *build_silu(op_case *c, pm_tensor *a, pm_tensor *b)
{
    (void)b;
    return pm_silu(c->g, a);
}

static pm_tensor *build_swiglu(op_case *c, pm_tensor *a, pm_tensor *b)
{
    return pm_swiglu(c->g, a, b);
}

static pm_tensor *build_add(op_case *c, pm_tensor *a, pm_tensor *b)
{
    return pm_add(c->g, a, b);
}

static pm_tensor *build_gelu_erf(op_case *c, pm_tensor *a, pm_tensor *b)
{
    (void)b;
    return pm_gelu(c->g, a, PM_GELU_ERF);
}

static pm_tensor *build_gelu_tanh(op_case *c, pm_tensor *a, pm_tensor *b)
{
    (void)b;
    return pm_gelu(c->g, a, PM_GELU_TANH);
}

static pm_tensor *build_relu(op_case *c, pm_tensor *a, pm_tensor *b)
{
    (void)b;
    return pm_relu(c->g, a);
}

static pm_tensor *build_tanh(op_case *c, pm_tensor *a, pm_tensor *b)
{
    (void)b;
    return pm_tanh(c->g, a, 1);
}

static pm_tensor *build_softcap(op_case *c, pm_tensor *a, pm_tensor *b)
{
    (void)b;
    return pm_tanh(c->g, a, 30);
}

static pm_tensor *build_scale(op_case *c, pm_tensor *a, pm_tensor *b)
{
    (void)b;
    return pm_scale(c->g, a, 0.37f);
}

static pm_tensor *build_mul(op_case *c, pm_tensor *a, pm_tensor *b)
{
    return pm_mul(c->g, a, b);
}

typedef struct elementwise {
    pm_op op;
    const char *form;
    int n_inputs;
    pm_tensor *(*build)(op_case *c, pm_tensor *a, pm_tensor *b);
    double limit;
} elementwise;

/* silu, swiglu, gelu and tanh hold one or two exps and divisions; the others are exact: IEEE, but that Vulkan may
 * make a subnormal product zero, which 1e-60 lets pass beside values of order one. */
static const elementwise elementwise_ops[] = {
    {PM_OP_SILU, "", 1, build_silu, 1e-11},
    {PM_OP_SWIGLU, "", 2, build_swiglu, 1e-11},
    {PM_OP_GELU, "erf ", 1, build_gelu_erf, 1e-11},
    {PM_OP_GELU, "tanh ", 1, build_gelu_tanh, 1e-11},
    {PM_OP_TANH, "", 1, build_tanh, 1e-11},
    {PM_OP_TANH, "soft cap ", 1, build_softcap, 1e-11},
    {PM_OP_RELU, "", 1, build_relu, 0},
    {PM_OP_SCALE, "", 1, build_scale, 1e-60},
    {PM_OP_MUL, "", 2, build_mul, 1e-60},
    {PM_OP_ADD, "", 2, build_add, 0},
};

static void elementwise_case(op_run *run, const elementwise *e, int width, int t, int t_now, fill how)
{
    op_case *c = op_case_begin(run, e->op, "%sc=%d t=%d now=%d fill=%d", e->form, width, t, t_now, how);
    if (!c)
        return;
    pm_tensor *a = op_case_input(c, how, PM_ROWS_TOKENS, 2, width, t);
    pm_tensor *b = e->n_inputs == 1 ? NULL : op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, width, t);
    c->params.n_tokens = t_now;
    op_case_output(c, e->build(c, a, b), e->limit);
    op_case_end(run, c);
}

/* Inf, NaN, and where exp over- and underflows. -Inf is left out: -Inf / (1 + Inf) is NaN by IEEE. */
static void elementwise_special(op_run *run, const elementwise *e)
{
    static const float values[] = {0,   -0.0f, INFINITY, NAN,    88.8f, -88.8f,
                                   104, -104,  1e30f,    -1e30f, 3e38f, 1e-38f};
    op_case *c = op_case_begin(run, e->op, "%sNaN, Inf and extremes", e->form);
    if (!c)
        return;
    pm_tensor *a = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, 12, 3);
    pm_tensor *b = e->n_inputs == 1 ? NULL : op_case_input(c, FILL_POSITIVE, PM_ROWS_TOKENS, 2, 12, 3);
    float *data = op_case_data(c, a);
    for (int i = 0; data && i < 12; i++)
        data[12 + i] = values[i];
    op_case_output(c, e->build(c, a, b), e->limit);
    op_case_end(run, c);
}

static void add_row_cases(op_run *run)
{
    for (int i = 0; i < N_WIDTHS; i++) {
        op_case *c = op_case_begin(run, PM_OP_ADD, "a row to every row, c=%d", widths[i]);
        if (!c)
            continue;
        pm_tensor *a = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, widths[i], 9);
        pm_tensor *b = op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_NORMAL, 1, widths[i]);
        c->params.n_tokens = 6;
        op_case_output(c, pm_add(c->g, a, b), 0);
        op_case_end(run, c);
    }
}

void op_cases_rows(op_run *run)
{
    cases_rms_norm(run);
    cases_layer_norm(run);
    cases_softmax(run);
    for (size_t k = 0; k < sizeof elementwise_ops / sizeof *elementwise_ops; k++) {
        const elementwise *e = &elementwise_ops[k];
        for (int i = 0; i < N_WIDTHS; i++)
            elementwise_case(run, e, widths[i], i % 2 ? 5 : 1, i % 2 ? 5 : 1, FILL_NORMAL);
        elementwise_case(run, e, 100, 32, 17, FILL_NORMAL);
        elementwise_case(run, e, 11008, 8, 3, FILL_NORMAL);
        elementwise_case(run, e, 300, 128, 128, FILL_OUTLIERS);
        elementwise_special(run, e);
    }
    add_row_cases(run);
}
