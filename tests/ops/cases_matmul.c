/* Cases of matmul: all weight types, shapes off every tile size, optional inputs, left-out rows; big ones. */
#include "op_case.h"

#include <stdio.h>

/* Tolerances (normalised mean squared error). F32 weights: float sums of K terms in any order; a sum of 4096 is
 * good to about 1e-6 of its terms' norm. F16 and BF16: as the engine's check, x may be rounded to half precision
 * (2^-11, squared and averaged 8e-8) on the way into matrix units. Quantised: x may become 8 bits a value with one
 * scale for 32 (ops.h): the error's variance is (largest / 127)^2 / 12, the largest of 32 squared is at most the
 * sum of the 32 squared, so 32 / (12 * 127^2) = 1.65e-4 at worst on average; with room for the scatter of small
 * outputs. */
static double limit_of(pm_type weight)
{
    if (weight == PM_TYPE_F32)
        return 1e-11;
    return pm_type_get(weight)->block_elems == 1 ? 1e-6 : 4e-4;
}

/* Mean square of a weight's own values times that of x, times K: what one output has on average. Outputs that
 * cancel out by chance are not measured against their own small size. */
static double natural_power(op_case *c, const pm_tensor *weight, double x_power)
{
    (void)c;
    /* random blocks: values of about 0.3 to 1 in every type (see op_case.c); F32 data has deviation 1 */
    double w_power = pm_type_get(weight->type)->block_elems == 1 ? 1 : 0.1;
    return w_power * x_power * (double)weight->dim[0];
}

typedef struct matmul_row {
    int k, n, t, t_now; /* t_now 0: all rows */
    bool bias, residual;
    fill x;
} matmul_row;

/* tile, n_parts: as in op_case. */
static void tiled_case(op_run *run, pm_type type, const matmul_row *r, uint32_t tile, uint32_t n_parts)
{
    char cut[40] = "";
    if (n_parts)
        snprintf(cut, sizeof cut, " tile %u parts %u", tile, n_parts);
    op_case *c = op_case_begin(run, PM_OP_MATMUL, "%s k=%d n=%d t=%d%s%s%s%s%.0d", pm_type_name(type), r->k, r->n,
                               r->t, cut, r->bias ? " bias" : "", r->residual ? " residual" : "",
                               r->t_now                ? " of which "
                               : r->x == FILL_OUTLIERS ? " outliers"
                                                       : "",
                               r->t_now);
    if (!c)
        return;
    c->tile = tile;
    c->n_parts = n_parts;
    pm_tensor *w = op_case_weight(c, type, PM_USE_MATMUL, FILL_NORMAL, 2, r->k, r->n);
    pm_tensor *x = op_case_input(c, r->x, PM_ROWS_TOKENS, 2, r->k, r->t);
    pm_tensor *bias = r->bias ? op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_LARGE, 1, r->n) : NULL;
    pm_tensor *residual = r->residual ? op_case_input(c, FILL_LARGE, PM_ROWS_TOKENS, 2, r->n, r->t) : NULL;
    if (r->t_now)
        c->params.n_tokens = r->t_now;
    op_case_output(c, pm_matmul(c->g, w, x, bias, residual), limit_of(type));
    if (w)
        c->outputs[0].least_power = natural_power(c, w, r->x == FILL_OUTLIERS ? 18 : 1);
    op_case_end(run, c);
}

static void one_case(op_run *run, pm_type type, const matmul_row *r)
{
    tiled_case(run, type, r, 0, 0);
}

/* Shapes for types of single values: one of everything, off by one around 4, 8, 16, 32, 64 and 256, deep, wide. */
static const matmul_row plain_rows[] = {
    {1, 1, 1, 0, 0, 0, 0},      {1, 7, 3, 0, 0, 0, 0},     {2, 3, 1, 0, 1, 0, 0},     {3, 2, 2, 0, 0, 1, 0},
    {31, 1, 5, 0, 1, 1, 0},     {33, 17, 1, 0, 1, 0, 0},   {64, 64, 1, 0, 0, 0, 0},   {65, 63, 9, 0, 0, 1, 0},
    {100, 130, 33, 0, 1, 1, 0}, {257, 5, 17, 0, 0, 0, 0},  {4096, 3, 1, 0, 0, 0, 0},  {4097, 2, 2, 0, 0, 0, 0},
    {128, 1000, 1, 0, 1, 0, 0}, {96, 129, 64, 0, 0, 0, 0}, {64, 40, 8, 5, 1, 1, 0},   {70, 33, 32, 17, 0, 0, 0},
    {48, 70, 128, 65, 0, 1, 0}, {64, 64, 8, 1, 0, 0, 0},   {11008, 4, 1, 0, 0, 0, 0}, {576, 192, 7, 0, 0, 0, 0},
    {1001, 40, 20, 0, 0, 1, 0},
};

/* In units of the type's block (k). */
static const matmul_row block_rows[] = {
    {1, 1, 1, 0, 0, 0, 0},
    {1, 1, 2, 0, 0, 0, 0},
    {1, 3, 1, 0, 1, 0, 0},
    {2, 5, 3, 0, 0, 1, 0},
    {3, 7, 1, 0, 1, 1, 0},
    {5, 31, 4, 0, 0, 0, 0},
    {7, 33, 1, 0, 0, 0, 0},
    {2, 64, 8, 0, 0, 0, 0},
    {3, 65, 9, 0, 1, 1, 0},
    {4, 100, 16, 0, 0, 0, 0},
    {9, 130, 1, 0, 0, 0, 0},
    {2, 129, 33, 0, 0, 1, 0},
    {1, 300, 65, 0, 1, 0, 0},
    {6, 17, 8, 3, 1, 1, 0},
    {2, 48, 32, 31, 0, 0, 0},
    {3, 40, 128, 70, 0, 1, 0},
    {4, 67, 1, 0, 0, 0, FILL_OUTLIERS},
    {4, 37, 11, 0, 0, 0, FILL_OUTLIERS},
    {18, 576, 1, 0, 0, 1, 0},
    {8, 40, 8, 1, 0, 0, 0},
    {2, 2, 1, 0, 0, 0, FILL_ZERO},
};

static const matmul_row deep_rows[] = {/* k in values, a multiple of 256 */
                                       {4096, 9, 1, 0, 0, 0, 0},
                                       {11008, 5, 1, 0, 0, 0, 0},
                                       {8192, 6, 5, 0, 1, 0, 0},
                                       {2048, 100, 40, 0, 0, 0, 0},
                                       /* GPU kernels cut K into 2, 3, 5, 8 and 16 parts */
                                       {1024, 37, 40, 33, 1, 1, 0},
                                       {1536, 66, 17, 0, 1, 0, 0},
                                       {2560, 20, 33, 0, 0, 1, 0},
                                       {4096, 9, 18, 17, 1, 1, FILL_OUTLIERS},
                                       {8192, 6, 64, 0, 0, 0, 0}};

/* x with NaN and infinity: rows without them are as always, the others propagate. */
static void special_values(op_run *run, pm_type type)
{
    op_case *c = op_case_begin(run, PM_OP_MATMUL, "%s NaN in one row of x", pm_type_name(type));
    if (!c)
        return;
    pm_tensor *w = op_case_weight(c, type, PM_USE_MATMUL, FILL_POSITIVE, 2, 256, 20);
    pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, 256, 3);
    float *data = op_case_data(c, x);
    if (data)
        data[256 + 70] = __builtin_nanf("");
    op_case_output(c, pm_matmul(c->g, w, x, NULL, NULL), limit_of(type));
    op_case_end(run, c);
}

/* Each size of the tiles that GPUs have (0 the largest; some kinds have one or two) with each number of
 * parts that 16 blocks can have, whatever rule or table would choose; all of it for three types, which differ in
 * how x is read and weights are, and each size and some numbers for the others. */
static void tilings(op_run *run, pm_type type)
{
    static const uint32_t parts[] = {1, 2, 3, 4, 6, 8, 16};
    bool all = type == PM_TYPE_F32 || type == PM_TYPE_F16 || type == PM_TYPE_Q4_0;
    for (uint32_t tile = 0; tile < 3; tile++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            const matmul_row row = {512, 133, 35, 0, i % 2, i % 3 == 1, 0};
            if (all || i == 2 + tile || (tile == 2 && parts[i] == 16))
                tiled_case(run, type, &row, tile, parts[i]);
        }
}

void op_cases_matmul(op_run *run)
{
    for (int type = 0; type < PM_TYPE_COUNT; type++) {
        if (type == PM_TYPE_I32)
            continue;
        int block = (int)pm_type_get((pm_type)type)->block_elems;
        const matmul_row *rows = block == 1 ? plain_rows : block_rows;
        size_t n_rows = block == 1 ? sizeof plain_rows / sizeof *rows : sizeof block_rows / sizeof *rows;
        for (size_t i = 0; i < n_rows; i++) {
            matmul_row row = rows[i];
            row.k *= block;
            one_case(run, (pm_type)type, &row);
        }
        for (size_t i = 0; i < sizeof deep_rows / sizeof *deep_rows; i++)
            one_case(run, (pm_type)type, &deep_rows[i]);
        special_values(run, (pm_type)type);
        tilings(run, (pm_type)type);
    }
}

/* A cache beyond 128 MiB, split by heads: rows are written into it and attended to, near its end. */
static void big_cache(op_run *run, int t, int window)
{
    enum { D = 128, CTX = 70001, HEADS = 8 };
    op_case *c = op_case_begin(run, PM_OP_ATTENTION, "over a cache of 137 MiB t=%d window=%d", t, window);
    if (!c)
        return;
    pm_tensor *q = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, D, 2 * HEADS, t);
    pm_tensor *rows = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, D, HEADS, t);
    pm_tensor *positions = op_case_positions(c, t, CTX - t);
    pm_tensor *cache = op_case_state(c, PM_TYPE_F16, FILL_NORMAL, 3, D, CTX, HEADS);
    c->params.n_kv = CTX;
    cache = pm_kv_store(c->g, cache, rows, positions);
    const pm_attention_args how = {.scale = 0.09f, .window = window};
    op_case_output(c, pm_attention(c->g, q, cache, cache, positions, NULL, how), 1e-6);
    op_case_end(run, c);
}

/* Tensors beyond 128 MiB, the smallest storage-buffer range that Vulkan allows: weights are split by rows. */
void op_cases_big(op_run *run)
{
    big_cache(run, 3, 300);
    big_cache(run, 1, 9000);
    static const matmul_row f32 = {2048, 16500, 1, 0, 1, 1, 0}, f32_rows = {1028, 33000, 3, 2, 0, 0, 0};
    static const matmul_row q8 = {4096, 31000, 1, 0, 0, 0, 0};
    one_case(run, PM_TYPE_F32, &f32);
    one_case(run, PM_TYPE_F32, &f32_rows);
    one_case(run, PM_TYPE_Q8_0, &q8);
}
