/* Cases of ops that know positions: rope, kv_store, kv_copy, attention. */
#include "op_case.h"

#include <math.h>
#include <stdlib.h>

/* ---- rope --------------------------------------------------------------------------------------------------- */

typedef struct rope_row {
    int d, n_rot, heads, t, t_now, first;
    bool interleaved;
    pm_rope_form form;
} rope_row;

static pm_tensor *rope_table(op_case *c, int n_rot, pm_rope_form form, int64_t n_positions)
{
    const pm_rope_scaling scaling = {.n_rot = n_rot,
                                     .base = 10000,
                                     .form = form,
                                     .factor = 4,
                                     .n_ctx_original = 2048,
                                     .low_freq_factor = 1,
                                     .high_freq_factor = 4,
                                     .beta_fast = 32,
                                     .beta_slow = 1};
    float *data = NULL;
    int64_t dims[3];
    pm_tensor *table = NULL;
    if (pm_rope_table(&scaling, n_positions, &data, dims, NULL) == PM_OK)
        table = op_case_table(c, data, 3, dims);
    free(data);
    return table;
}

/* Two products and a sum of floats for the angle, the same for the values: some 2^-23, squared about 1e-14. */
static void rope_case(op_run *run, const rope_row *r)
{
    op_case *c =
        op_case_begin(run, PM_OP_ROPE, "d=%d n_rot=%d h=%d t=%d now=%d first=%d%s form=%d", r->d, r->n_rot,
                      r->heads, r->t, r->t_now, r->first, r->interleaved ? " interleaved" : "", r->form);
    if (!c)
        return;
    pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, r->d, r->heads, r->t);
    pm_tensor *positions = op_case_positions(c, r->t, r->first);
    pm_tensor *table = rope_table(c, r->n_rot, r->form, 131072);
    c->params.n_tokens = r->t_now;
    op_case_output(c, pm_rope(c->g, x, positions, table, r->n_rot, r->interleaved), 1e-12);
    op_case_end(run, c);
}

static const rope_row rope_rows[] = {
    {2, 2, 1, 1, 1, 0, 0, 0},
    {2, 2, 1, 1, 1, 7, 1, 0},
    {64, 64, 9, 1, 1, 0, 0, 0},
    {64, 64, 3, 5, 5, 0, 1, 0},
    {64, 64, 9, 8, 3, 100, 0, 0},
    {128, 128, 4, 3, 3, 126, 0, PM_ROPE_YARN},
    {128, 64, 2, 3, 3, 1000, 0, 0},
    {80, 32, 5, 4, 4, 65, 1, 0},
    {96, 96, 3, 7, 7, 127, 1, PM_ROPE_LINEAR},
    {65, 64, 1, 2, 2, 50, 0, 0},
    {7, 6, 3, 3, 3, 9, 1, 0},
    {7, 2, 3, 3, 3, 9, 0, 0},
    {128, 128, 2, 5, 5, 100000, 0, 0},
    {64, 64, 2, 5, 5, 131067, 1, 0},
    {128, 128, 8, 1, 1, 100001, 0, PM_ROPE_LLAMA3},
    {512, 512, 1, 2, 2, 5000, 0, 0},
    {64, 64, 32, 128, 65, 1000, 1, 0},
    {18, 10, 3, 33, 33, 120, 0, PM_ROPE_YARN},
    {1026, 4, 2, 2, 2, 3, 0, 0},
    {64, 62, 1, 17, 17, 4090, 1, PM_ROPE_LLAMA3},
};

/* ---- kv_store ----------------------------------------------------------------------------------------------- */

typedef struct kv_row {
    int d, heads, ctx, t, t_now, first;
} kv_row;

static const kv_row kv_rows[] = {
    {1, 1, 1, 1, 1, 0},     {64, 3, 16, 1, 1, 5},   {64, 3, 300, 8, 3, 290},  {65, 2, 33, 5, 5, 0},
    {7, 5, 11, 4, 4, 7},    {3, 1, 9, 9, 9, 0},     {128, 8, 64, 32, 17, 20}, {1, 7, 40, 33, 33, 2},
    {33, 3, 50, 12, 1, 49}, {512, 1, 20, 3, 3, 17}, {80, 4, 128, 128, 65, 0},
};

/* F32 is copied. F16: rounded to nearest by the reference; Vulkan leaves the direction open, one unit is 2^-10 of
 * the value: squared at most 1e-6. Q8_0: a number between two levels may become either, and a level is a 127th of
 * the block's largest: 0.03 deviations. The rest of the cache must keep its bits, which this limit cannot hide: a value
 * written to a wrong place is off by about its own size. */
static void kv_case(op_run *run, pm_type type, const kv_row *r, bool shuffled)
{
    op_case *c =
        op_case_begin(run, PM_OP_KV_STORE, "%s d=%d h=%d ctx=%d t=%d now=%d first=%d%s", pm_type_name(type), r->d,
                      r->heads, r->ctx, r->t, r->t_now, r->first, shuffled ? " shuffled" : "");
    if (!c)
        return;
    pm_tensor *cache = op_case_state(c, type, FILL_NORMAL, 3, r->d, r->ctx, r->heads);
    pm_tensor *rows = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, r->d, r->heads, r->t);
    pm_tensor *positions = op_case_positions(c, r->t, r->first);
    int32_t *at = op_case_data(c, positions);
    for (int i = 0; at && shuffled && i < r->t_now; i++) /* 7 is coprime to the numbers of rows */
        at[i] = r->first + i * 7 % r->t_now;
    c->params.n_tokens = r->t_now;
    c->params.n_kv = r->first + r->t_now;
    op_case_output(c, pm_kv_store(c->g, cache, rows, positions),
                   type == PM_TYPE_Q8_0 ? 1e-5 : type == PM_TYPE_F16 ? 1e-6 : 0);
    op_case_end(run, c);
}

/* ---- kv_copy ------------------------------------------------------------------------------------------------ */

/* The first n slots, in another order, to the last ones. Bits are copied. */
static void kv_copy_case(op_run *run, pm_type type, int d, int heads, int ctx, int n, int n_now)
{
    op_case *c = op_case_begin(run, PM_OP_KV_COPY, "%s d=%d h=%d ctx=%d n=%d now=%d", pm_type_name(type), d, heads,
                               ctx, n, n_now);
    if (!c)
        return;
    pm_tensor *cache = op_case_state(c, type, FILL_NORMAL, 3, d, ctx, heads);
    pm_tensor *from = op_case_positions(c, n, 0), *to = op_case_positions(c, n, ctx - n);
    int32_t *at = op_case_data(c, to);
    for (int i = 0; at && i < n_now; i++)
        at[i] = ctx - 1 - i;
    c->params.n_tokens = n_now;
    op_case_output(c, pm_kv_copy(c->g, cache, from, to), 0);
    op_case_end(run, c);
}

static void cases_kv_copy(op_run *run)
{
    kv_copy_case(run, PM_TYPE_F32, 1, 1, 2, 1, 1);
    kv_copy_case(run, PM_TYPE_F32, 11, 3, 40, 20, 20);
    kv_copy_case(run, PM_TYPE_F32, 64, 8, 300, 128, 77);
    kv_copy_case(run, PM_TYPE_F16, 2, 1, 2, 1, 1);
    kv_copy_case(run, PM_TYPE_F16, 64, 4, 100, 32, 32);
    kv_copy_case(run, PM_TYPE_F16, 10, 5, 70, 33, 3);
    kv_copy_case(run, PM_TYPE_Q8_0, 64, 1, 2, 1, 1);
    kv_copy_case(run, PM_TYPE_Q8_0, 128, 5, 100, 33, 20);
}

/* ---- attention ---------------------------------------------------------------------------------------------- */

typedef struct attention_row {
    int d, heads, kv_heads, ctx, t, t_now, first, window;
    float scale; /* 0: 1 / sqrt(d) */
} attention_row;

static const attention_row attention_rows[] = {
    {1, 1, 1, 1, 1, 1, 0, 0, 0},          {1, 3, 1, 40, 1, 1, 39, 0, 0},      {2, 2, 2, 9, 3, 3, 2, 0, 0},
    {64, 9, 3, 64, 1, 1, 0, 0, 0},        {64, 9, 3, 64, 1, 1, 63, 0, 0},     {64, 9, 3, 300, 1, 1, 255, 0, 0},
    {64, 9, 3, 300, 8, 8, 0, 0, 0},       {64, 9, 3, 300, 8, 5, 77, 0, 0},    {64, 32, 4, 100, 3, 3, 50, 0, 0},
    {128, 4, 4, 70, 4, 4, 66, 0, 0},      {128, 14, 2, 200, 33, 33, 0, 0, 0}, {80, 5, 1, 130, 5, 5, 100, 0, 0},
    {96, 6, 3, 50, 2, 2, 31, 0, 0},       {33, 3, 3, 40, 4, 4, 9, 0, 0},      {7, 4, 2, 33, 5, 5, 20, 0, 0},
    {3, 2, 1, 17, 17, 17, 0, 0, 0},       {65, 2, 1, 65, 3, 3, 60, 0, 0},     {127, 2, 2, 129, 2, 2, 127, 0, 0},
    {192, 2, 1, 66, 2, 2, 64, 0, 0},      {256, 4, 2, 40, 3, 3, 30, 0, 0},    {257, 1, 1, 20, 2, 2, 15, 0, 0},
    {511, 2, 1, 19, 2, 2, 10, 0, 0},      {512, 1, 1, 33, 1, 1, 32, 0, 0},    {64, 2, 1, 2000, 1, 1, 1999, 0, 0},
    {64, 3, 1, 1500, 1, 1, 1023, 0, 0},   {64, 2, 2, 600, 4, 4, 512, 0, 0},   {64, 4, 2, 256, 128, 65, 100, 0, 0},
    {64, 4, 1, 256, 128, 128, 0, 0, 0},   {64, 4, 2, 200, 1, 1, 150, 1, 0},   {64, 4, 2, 200, 1, 1, 150, 7, 0},
    {64, 4, 2, 200, 9, 9, 60, 64, 0},     {64, 4, 2, 200, 32, 20, 0, 16, 0},  {128, 2, 1, 600, 5, 5, 500, 256, 0},
    {48, 4, 2, 90, 3, 3, 80, 1000, 0},    {64, 9, 3, 100, 1, 1, 99, 0, 3.0f}, {40, 4, 4, 77, 6, 6, 70, 33, 0.5f},
    {64, 2, 1, 64, 2, 2, 30, 0, 0.0001f}, {64, 71, 1, 40, 1, 1, 20, 0, 0},    {16, 8, 8, 3000, 2, 2, 2990, 0, 0},
};

/* Scores are float dot products, weights exp of them: about 1e-6, squared 1e-12. With an F16 cache the kernel may
 * hold queries and weights in half precision too: 2^-11, squared and averaged 8e-8. */
static void attention_case(op_run *run, pm_type type, const attention_row *r)
{
    op_case *c = op_case_begin(
        run, PM_OP_ATTENTION, "%s d=%d h=%d/%d ctx=%d t=%d now=%d first=%d window=%d scale=%g", pm_type_name(type),
        r->d, r->heads, r->kv_heads, r->ctx, r->t, r->t_now, r->first, r->window, (double)r->scale);
    if (!c)
        return;
    pm_tensor *q = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, r->d, r->heads, r->t);
    pm_tensor *positions = op_case_positions(c, r->t, r->first);
    pm_tensor *k = op_case_state(c, type, FILL_NORMAL, 3, r->d, r->ctx, r->kv_heads);
    pm_tensor *v = op_case_state(c, type, FILL_NORMAL, 3, r->d, r->ctx, r->kv_heads);
    float scale = r->scale != 0 ? r->scale : 1 / sqrtf((float)r->d);
    c->params.n_tokens = r->t_now;
    c->params.n_kv = r->first + r->t_now;
    const pm_attention_args how = {.scale = scale, .window = r->window};
    op_case_output(c, pm_attention(c->g, q, k, v, positions, NULL, how), type == PM_TYPE_F32 ? 1e-10 : 1e-6);
    op_case_end(run, c);
}

/* Tokens of one pass at positions that do not follow each other, as in a batch of sequences. */
static void attention_scattered(op_run *run, pm_type type)
{
    static const int32_t at[6] = {50, 0, 17, 63, 1, 32};
    op_case *c = op_case_begin(run, PM_OP_ATTENTION, "%s scattered positions", pm_type_name(type));
    if (!c)
        return;
    pm_tensor *q = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, 64, 4, 6);
    pm_tensor *positions = op_case_positions(c, 6, 0);
    pm_tensor *k = op_case_state(c, type, FILL_NORMAL, 3, 64, 64, 2);
    pm_tensor *v = op_case_state(c, type, FILL_NORMAL, 3, 64, 64, 2);
    int32_t *data = op_case_data(c, positions);
    for (int i = 0; data && i < 6; i++)
        data[i] = at[i];
    c->params.n_kv = 64;
    op_case_output(c, pm_attention(c->g, q, k, v, positions, NULL, (pm_attention_args){.scale = 0.125f}),
                   type == PM_TYPE_F32 ? 1e-10 : 1e-6);
    op_case_end(run, c);
}

/* Spans of slots, soft caps and relative positions, alone and together. */
typedef struct span_row {
    int d, heads, kv_heads, ctx, t, t_now;
    int m;         /* of the bias; -1: none */
    float softcap; /* 0: none */
    bool spans;
} span_row;

static const span_row span_rows[] = {
    {64, 4, 4, 40, 1, 1, -1, 0, true},     {64, 4, 2, 40, 7, 7, -1, 0, true},
    {32, 6, 6, 300, 33, 20, -1, 0, true},  {64, 4, 4, 40, 1, 1, 5, 0, false},
    {64, 8, 8, 300, 9, 9, 128, 0, true},   {33, 3, 3, 50, 17, 17, 20, 0, true},
    {64, 4, 2, 90, 1, 1, -1, 2.5f, false}, {128, 4, 1, 70, 5, 5, -1, 50, false},
    {256, 2, 1, 66, 3, 3, -1, 1, true},    {64, 6, 2, 130, 12, 9, 7, 3, true},
    {7, 4, 2, 33, 5, 5, 0, 0, true},       {64, 4, 4, 2000, 1, 1, 100, 0, true},
    {80, 5, 1, 700, 2, 2, 300, 4, true},   {64, 12, 12, 512, 128, 100, -1, 0, true},
};

static void attention_span_case(op_run *run, pm_type type, const span_row *r)
{
    op_case *c = op_case_begin(run, PM_OP_ATTENTION, "%s d=%d h=%d/%d ctx=%d t=%d now=%d%s m=%d softcap=%g",
                               pm_type_name(type), r->d, r->heads, r->kv_heads, r->ctx, r->t, r->t_now,
                               r->spans ? " spans" : "", r->m, (double)r->softcap);
    if (!c)
        return;
    pm_tensor *q = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, r->d, r->heads, r->t);
    pm_tensor *positions =
        r->spans ? op_case_spans(c, PM_ROWS_TOKENS, r->t, r->ctx) : op_case_positions(c, r->t, r->ctx - r->t);
    pm_tensor *k = op_case_state(c, type, FILL_NORMAL, 3, r->d, r->ctx, r->kv_heads);
    pm_tensor *v = op_case_state(c, type, FILL_NORMAL, 3, r->d, r->ctx, r->kv_heads);
    pm_tensor *bias =
        r->m < 0 ? NULL : op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_NORMAL, 2, 2 * r->m + 1, r->heads);
    c->params.n_tokens = r->t_now;
    c->params.n_kv = r->ctx;
    const pm_attention_args how = {.scale = 1 / sqrtf((float)r->d), .softcap = r->softcap};
    op_case_output(c, pm_attention(c->g, q, k, v, positions, bias, how), type == PM_TYPE_F32 ? 1e-10 : 1e-6);
    op_case_end(run, c);
}

/* Several sequences over pages in any order: rows of the table that are not used hold numbers outside. */
typedef struct paged_row {
    int d, heads, kv_heads, page, n_pages, n_sequences, most; /* most: pages of a sequence */
    int t, t_now, run;                                        /* tokens of a sequence that follow each other */
    int window;
    float softcap;
} paged_row;

static const paged_row paged_rows[] = {
    {64, 9, 3, 16, 20, 4, 6, 1, 1, 1, 0, 0},      {64, 9, 3, 16, 20, 4, 6, 8, 4, 1, 0, 0},
    {64, 9, 3, 64, 12, 3, 5, 32, 20, 7, 0, 0},    {64, 4, 4, 1, 90, 5, 30, 9, 9, 2, 0, 0},
    {32, 6, 2, 7, 30, 6, 9, 33, 33, 11, 0, 0},    {128, 8, 2, 32, 40, 16, 9, 16, 16, 1, 0, 0},
    {33, 3, 3, 5, 25, 3, 8, 12, 9, 3, 0, 0},      {64, 8, 2, 16, 64, 3, 20, 128, 100, 33, 40, 0},
    {256, 2, 1, 16, 10, 2, 4, 3, 3, 1, 0, 30.0f}, {80, 5, 1, 64, 30, 7, 8, 8, 8, 1, 100, 0},
    {64, 71, 1, 16, 6, 2, 3, 4, 4, 1, 0, 0},      {16, 8, 8, 128, 24, 2, 12, 2, 2, 1, 0, 0},
};

static void attention_paged_case(op_run *run, pm_type type, const paged_row *r)
{
    op_case *c =
        op_case_begin(run, PM_OP_ATTENTION, "%s paged d=%d h=%d/%d page=%d n=%d s=%d t=%d now=%d run=%d window=%d",
                      pm_type_name(type), r->d, r->heads, r->kv_heads, r->page, r->n_pages, r->n_sequences, r->t,
                      r->t_now, r->run, r->window);
    if (!c)
        return;
    pm_tensor *q = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, r->d, r->heads, r->t);
    pm_tensor *places = op_case_integers(c, PM_ROWS_TOKENS, 2, r->t);
    pm_tensor *pages = op_case_integers(c, PM_ROWS_FIXED, r->most, r->n_sequences);
    pm_tensor *k = op_case_state(c, type, FILL_NORMAL, 3, r->d, r->page * r->n_pages, r->kv_heads);
    pm_tensor *v = op_case_state(c, type, FILL_NORMAL, 3, r->d, r->page * r->n_pages, r->kv_heads);
    int32_t *at = op_case_data(c, places), *table = op_case_data(c, pages);
    for (int i = 0; table && i < r->most * r->n_sequences; i++)
        table[i] = op_random(c) % 8 ? (int32_t)(op_random(c) % (uint32_t)r->n_pages) : (int32_t)op_random(c);
    for (int i = 0, s = 0, p = 0; at && i < r->t; i++) {
        if (i % r->run == 0) {
            s = (s + 1) % r->n_sequences;
            p = (int)(op_random(c) % (uint32_t)(r->most * r->page));
        }
        at[2 * i] = p + i % r->run; /* the last may be outside, and is clamped */
        at[2 * i + 1] = s;
    }
    c->params.n_tokens = r->t_now;
    const pm_attention_args how = {
        .scale = 1 / sqrtf((float)r->d), .window = r->window, .softcap = r->softcap, .page = r->page};
    op_case_output(c, pm_attention_paged(c->g, q, k, v, places, pages, how), type == PM_TYPE_F32 ? 1e-10 : 1e-6);
    op_case_end(run, c);
}

/* NaN in slots behind a token's position, as unused parts of a cache may hold anything: they must not be looked
 * at. */
static void attention_unused_slots(op_run *run, int t, int first)
{
    op_case *c = op_case_begin(run, PM_OP_ATTENTION, "NaN in unused slots t=%d first=%d", t, first);
    if (!c)
        return;
    pm_tensor *q = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, 64, 4, t);
    pm_tensor *positions = op_case_positions(c, t, first);
    pm_tensor *k = op_case_state(c, PM_TYPE_F32, FILL_NORMAL, 3, 64, 100, 2);
    pm_tensor *v = op_case_state(c, PM_TYPE_F32, FILL_NORMAL, 3, 64, 100, 2);
    float *keys = op_case_data(c, k), *values = op_case_data(c, v);
    for (int head = 0; keys && values && head < 2; head++)
        for (int i = (head * 100 + first + t) * 64; i < (head + 1) * 6400; i++)
            keys[i] = values[i] = NAN;
    c->params.n_kv = first + t;
    op_case_output(c, pm_attention(c->g, q, k, v, positions, NULL, (pm_attention_args){.scale = 0.125f}), 1e-10);
    op_case_end(run, c);
}

/* Whether a cache of this type can have rows of d numbers. */
static bool keeps(pm_type type, int d)
{
    return type != PM_TYPE_Q8_0 || d % 64 == 0;
}

void op_cases_positions(op_run *run)
{
    static const pm_type cache_types[] = {PM_TYPE_F32, PM_TYPE_F16, PM_TYPE_Q8_0};
    for (size_t i = 0; i < sizeof rope_rows / sizeof *rope_rows; i++)
        rope_case(run, &rope_rows[i]);
    for (int type = 0; type < 3; type++) {
        for (size_t i = 0; i < sizeof kv_rows / sizeof *kv_rows; i++) {
            if (!keeps(cache_types[type], kv_rows[i].d))
                continue;
            kv_case(run, cache_types[type], &kv_rows[i], false);
            if (kv_rows[i].t_now > 1 && kv_rows[i].t_now % 7)
                kv_case(run, cache_types[type], &kv_rows[i], true);
        }
    }
    cases_kv_copy(run);
    for (int type = 0; type < 3; type++) {
        for (size_t i = 0; i < sizeof attention_rows / sizeof *attention_rows; i++)
            if (keeps(cache_types[type], attention_rows[i].d))
                attention_case(run, cache_types[type], &attention_rows[i]);
        for (size_t i = 0; i < sizeof span_rows / sizeof *span_rows; i++)
            if (keeps(cache_types[type], span_rows[i].d))
                attention_span_case(run, cache_types[type], &span_rows[i]);
        for (size_t i = 0; i < sizeof paged_rows / sizeof *paged_rows; i++)
            if (keeps(cache_types[type], paged_rows[i].d))
                attention_paged_case(run, cache_types[type], &paged_rows[i]);
        attention_scattered(run, cache_types[type]);
    }
    attention_unused_slots(run, 1, 0);
    attention_unused_slots(run, 1, 40);
    attention_unused_slots(run, 5, 33);
    attention_unused_slots(run, 20, 0);
}
