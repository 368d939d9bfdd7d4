/* Short chains of ops: what one node leaves must be seen by the next, storage is reused, a state is written and
 * read in the same run, and fused nodes mean what the plain ones meant. */
#include "op_case.h"

/* Keys and values of this run go into caches that hold earlier ones, and are attended to at once. */
static void store_and_attend(op_run *run, pm_type type, int t, int t_now, int first)
{
    op_case *c = op_case_begin(run, PM_OP_ATTENTION, "after kv_store %s t=%d now=%d first=%d", pm_type_name(type),
                               t, t_now, first);
    if (!c)
        return;
    pm_tensor *q = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, 64, 6, t);
    pm_tensor *k = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, 64, 2, t);
    pm_tensor *v = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 3, 64, 2, t);
    pm_tensor *positions = op_case_positions(c, t, first);
    pm_tensor *keys = op_case_state(c, type, FILL_NORMAL, 3, 64, 150, 2);
    pm_tensor *values = op_case_state(c, type, FILL_NORMAL, 3, 64, 150, 2);
    keys = pm_kv_store(c->g, keys, k, positions);
    values = pm_kv_store(c->g, values, v, positions);
    c->params.n_tokens = t_now;
    c->params.n_kv = first + t_now;
    op_case_output(c, pm_attention(c->g, q, keys, values, positions, NULL, (pm_attention_args){.scale = 0.125f}),
                   type == PM_TYPE_F32   ? 1e-10
                   : type == PM_TYPE_F16 ? 1e-6
                                         : 1e-5 /* cases_positions.c: kv_store */);
    op_case_end(run, c);
}

/* A feed-forward block with its residual, plain and fused. Quantised: two products with 8-bit inputs after each
 * other, with a gate between that may double a relative error: three times the limit of one (cases_matmul.c). */
static void feed_forward(op_run *run, pm_type type, int t, int t_now, bool fuse)
{
    op_case *c = op_case_begin(run, PM_OP_MATMUL, "feed-forward block %s t=%d now=%d%s", pm_type_name(type), t,
                               t_now, fuse ? " fused" : "");
    if (!c)
        return;
    enum { C = 256, F = 768 };
    pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, C, t);
    pm_tensor *norm = op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_POSITIVE, 1, C);
    pm_tensor *gate = op_case_weight(c, type, PM_USE_MATMUL, FILL_NORMAL, 2, C, F);
    pm_tensor *up = op_case_weight(c, type, PM_USE_MATMUL, FILL_NORMAL, 2, C, F);
    pm_tensor *down = op_case_weight(c, type, PM_USE_MATMUL, FILL_NORMAL, 2, F, C);
    pm_tensor *h = pm_rms_norm(c->g, x, norm, 1e-5f);
    pm_tensor *gated = pm_swiglu(c->g, pm_matmul(c->g, gate, h, NULL, NULL), pm_matmul(c->g, up, h, NULL, NULL));
    c->params.n_tokens = t_now;
    c->fuse = fuse;
    bool quantised = pm_type_get(type)->block_elems > 1;
    op_case_output(c, pm_add(c->g, x, pm_matmul(c->g, down, gated, NULL, NULL)), quantised ? 1.2e-3 : 1e-10);
    op_case_end(run, c);
}

typedef struct block_row {
    pm_type type, v_type, cache;
    int t, bias, interleaved, first;
} block_row;

/* The first half of a decoder layer, from its norm to the residual: products that read the same x, queries and
 * keys turned and stored, attention. With one token devices may do several of these nodes in one go. The values'
 * weight may have another type. Limits: as above; scores are kept small, as a softmax would enlarge errors of
 * 8-bit inputs. */
static void attention_block(op_run *run, const block_row *r)
{
    op_case *c = op_case_begin(run, PM_OP_MATMUL, "attention block %s/%s cache %s t=%d%s%s first=%d",
                               pm_type_name(r->type), pm_type_name(r->v_type), pm_type_name(r->cache), r->t,
                               r->bias ? " bias" : "", r->interleaved ? " interleaved" : "", r->first);
    if (!c)
        return;
    enum { C = 256, D = 64, KV = 2, H = C / D, CTX = 150 };
    pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, C, r->t);
    pm_tensor *positions = op_case_positions(c, r->t, r->first);
    pm_tensor *norm = op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_POSITIVE, 1, C);
    pm_tensor *table = op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_NORMAL, 3, 2, D / 2, PM_ROPE_FINE + 4);
    pm_tensor *caches[2], *heads[3], *h = pm_rms_norm(c->g, x, norm, 1e-5f);
    for (int i = 0; i < 3; i++) {
        int64_t n_heads = i ? KV : H;
        pm_tensor *w =
            op_case_weight(c, i == 2 ? r->v_type : r->type, PM_USE_MATMUL, FILL_NORMAL, 2, C, (int)n_heads * D);
        pm_tensor *bias =
            r->bias ? op_case_weight(c, PM_TYPE_F32, PM_USE_PLAIN, FILL_NORMAL, 1, (int)n_heads * D) : NULL;
        const int64_t dims[3] = {D, n_heads, r->t};
        heads[i] = pm_reshape(c->g, pm_matmul(c->g, w, h, bias, NULL), 3, dims);
    }
    for (int i = 0; i < 2; i++) {
        heads[i] = pm_rope(c->g, heads[i], positions, table, D, r->interleaved);
        caches[i] = op_case_state(c, r->cache, FILL_NORMAL, 3, D, CTX, KV);
    }
    caches[0] = pm_kv_store(c->g, caches[0], heads[1], positions);
    caches[1] = pm_kv_store(c->g, caches[1], heads[2], positions);
    c->params.n_tokens = r->t;
    c->params.n_kv = r->first + r->t;
    pm_tensor *mixed =
        pm_attention(c->g, heads[0], caches[0], caches[1], positions, NULL, (pm_attention_args){.scale = 5e-4f});
    const int64_t flat[2] = {C, r->t};
    pm_tensor *out = op_case_weight(c, r->type, PM_USE_MATMUL, FILL_NORMAL, 2, C, C);
    c->fuse = true;
    bool quantised = pm_type_get(r->type)->block_elems > 1;
    op_case_output(c, pm_add(c->g, x, pm_matmul(c->g, out, pm_reshape(c->g, mixed, 2, flat), NULL, NULL)),
                   quantised                 ? 1.2e-3
                   : r->cache == PM_TYPE_F32 ? 1e-9
                                             : 1e-6);
    op_case_end(run, c);
}

/* A long row of small ops over one buffer of activations: every barrier that is missing shows. */
static void ladder(op_run *run, int width, int t)
{
    op_case *c = op_case_begin(run, PM_OP_ADD, "ladder of 24 nodes c=%d t=%d", width, t);
    if (!c)
        return;
    pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, width, t), *y = x;
    for (int i = 0; i < 8; i++) {
        pm_tensor *s = pm_silu(c->g, y);
        y = pm_add(c->g, x, pm_rms_norm(c->g, s, NULL, 1e-5f));
    }
    op_case_output(c, y, 1e-10);
    op_case_end(run, c);
}

/* Two outputs, one of them in the middle of the graph, and a reshape between. */
static void two_outputs(op_run *run)
{
    op_case *c = op_case_begin(run, PM_OP_RMS_NORM, "two outputs and a view");
    if (!c)
        return;
    const int64_t heads[3] = {33, 4, 6};
    pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, 132, 6);
    pm_tensor *sum = pm_add(c->g, x, x);
    pm_tensor *norm = pm_rms_norm(c->g, pm_reshape(c->g, sum, 3, heads), NULL, 1e-5f);
    pm_tensor *last = pm_silu(c->g, norm);
    op_case_output(c, sum, 0);
    op_case_output(c, last, 1e-10);
    op_case_end(run, c);
}

/* The end of a model: selected rows, logits, penalty, choice. Integers, so exact. */
static void choose(op_run *run)
{
    op_case *c = op_case_begin(run, PM_OP_ARGMAX, "after embedding, matmul and penalty");
    if (!c)
        return;
    pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, 64, 8);
    pm_tensor *rows = op_case_ids(c, PM_ROWS_OUTPUTS, 3, 5);
    pm_tensor *history = op_case_ids(c, PM_ROWS_FIXED, 64, 500);
    pm_tensor *weight = op_case_weight(c, PM_TYPE_F32, PM_USE_MATMUL, FILL_NORMAL, 2, 64, 500);
    pm_tensor *logits = pm_matmul(c->g, weight, pm_embedding(c->g, x, rows), NULL, NULL);
    c->params.n_tokens = 5;
    c->params.n_outputs = 2;
    c->params.n_history = 40;
    c->params.repeat_penalty = 1.3f;
    op_case_output(c, pm_argmax(c->g, pm_repeat_penalty(c->g, logits, history, NULL)), 0);
    op_case_end(run, c);
}

/* One table for two uses: an embedding and, tied, the output matrix. */
static void tied(op_run *run, pm_type type)
{
    op_case *c = op_case_begin(run, PM_OP_EMBEDDING, "%s tied with the output matrix", pm_type_name(type));
    if (!c)
        return;
    pm_tensor *table = op_case_weight(c, type, PM_USE_EMBEDDING | PM_USE_MATMUL, FILL_NORMAL, 2, 256, 300);
    pm_tensor *ids = op_case_ids(c, PM_ROWS_TOKENS, 5, 300);
    pm_tensor *x = pm_embedding(c->g, table, ids);
    bool quantised = pm_type_get(type)->block_elems > 1;
    op_case_output(c, pm_matmul(c->g, table, x, NULL, NULL),
                   quantised             ? 4e-4
                   : type == PM_TYPE_F32 ? 1e-11
                                         : 1e-6);
    op_case_end(run, c);
}

void op_cases_chains(op_run *run)
{
    static const pm_type types[] = {PM_TYPE_F32,  PM_TYPE_F16,  PM_TYPE_Q8_0,
                                    PM_TYPE_Q4_1, PM_TYPE_Q4_K, PM_TYPE_Q6_K};
    store_and_attend(run, PM_TYPE_F32, 1, 1, 0);
    store_and_attend(run, PM_TYPE_F16, 1, 1, 70);
    store_and_attend(run, PM_TYPE_F32, 8, 5, 33);
    store_and_attend(run, PM_TYPE_F16, 32, 32, 100);
    store_and_attend(run, PM_TYPE_Q8_0, 1, 1, 70);
    store_and_attend(run, PM_TYPE_Q8_0, 32, 30, 100);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        for (int fused = 0; fused < 2; fused++) {
            feed_forward(run, types[i], 1, 1, fused);
            feed_forward(run, types[i], 8, 5, fused);
        }
        tied(run, types[i]);
    }
    static const block_row blocks[] = {
        {PM_TYPE_Q4_0, PM_TYPE_Q4_0, PM_TYPE_F16, 1, 0, 0, 70},
        {PM_TYPE_Q4_K, PM_TYPE_Q6_K, PM_TYPE_F16, 1, 0, 0, 0},
        {PM_TYPE_Q8_0, PM_TYPE_Q8_0, PM_TYPE_F32, 1, 1, 1, 149},
        {PM_TYPE_F16, PM_TYPE_F32, PM_TYPE_F32, 1, 1, 0, 9},
        {PM_TYPE_Q5_1, PM_TYPE_Q5_0, PM_TYPE_F16, 1, 0, 1, 30},
        {PM_TYPE_F32, PM_TYPE_F32, PM_TYPE_F16, 1, 0, 1, 3},
        {PM_TYPE_Q4_0, PM_TYPE_Q4_0, PM_TYPE_F16, 7, 1, 0, 40},
        {PM_TYPE_Q4_0, PM_TYPE_Q4_0, PM_TYPE_Q8_0, 1, 0, 0, 70},
        {PM_TYPE_Q8_0, PM_TYPE_Q8_0, PM_TYPE_Q8_0, 7, 0, 1, 40},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        attention_block(run, &blocks[i]);
    ladder(run, 7, 1);
    ladder(run, 1000, 9);
    two_outputs(run);
    choose(run);
}
