/* Graphs: what builders accept and refuse, leaves, views, counted rows, fusion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ops/ops.h"

typedef struct fixture {
    pm_graph *g;
    pm_tensor *x, *ids, *w, *norm, *q, *cache_k, *cache_v, *table, *history, *ids_in;
} fixture;

enum { C = 64, N = 96, T = 8, V = 100 };

static const int64_t dims_x[] = {C, T}, dims_w[] = {C, N}, dims_t[] = {T}, dims_c[] = {C}, dims_q[] = {16, 4, T},
                     dims_cache[] = {16, 32, 2}, dims_table[] = {2, 8, PM_ROPE_FINE + 1}, dims_h[] = {10};

static int set_up(void **state)
{
    static fixture f;
    if (pm_graph_create(&f.g, NULL) != PM_OK)
        return -1;
    f.x = pm_graph_input(f.g, PM_INPUT_TEST, PM_TYPE_F32, 2, dims_x, PM_ROWS_TOKENS, "x");
    f.ids = pm_graph_input(f.g, PM_INPUT_POSITIONS, PM_TYPE_I32, 1, dims_t, PM_ROWS_TOKENS, "positions");
    f.history = pm_graph_input(f.g, PM_INPUT_HISTORY, PM_TYPE_I32, 1, dims_h, PM_ROWS_FIXED, "history");
    f.q = pm_graph_input(f.g, PM_INPUT_TEST + 1, PM_TYPE_F32, 3, dims_q, PM_ROWS_TOKENS, "q");
    f.w = pm_graph_weight(f.g, 0, PM_TYPE_Q8_0, 2, dims_w, NULL, "blk.0.attn_q.weight");
    f.norm = pm_graph_weight(f.g, 1, PM_TYPE_F32, 1, dims_c, NULL, "norm");
    f.table = pm_graph_weight(f.g, 2, PM_TYPE_F32, 3, dims_table, NULL, "rope_table");
    f.cache_k = pm_graph_state(f.g, 0, PM_TYPE_F16, 3, dims_cache, "k_cache");
    f.cache_v = pm_graph_state(f.g, 1, PM_TYPE_F16, 3, dims_cache, "v_cache");
    *state = &f;
    return pm_graph_status(f.g, NULL) == PM_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    pm_graph_destroy(((fixture *)*state)->g);
    return 0;
}

static void assert_built(const fixture *f, const pm_tensor *t, pm_type type, int n_dims, const int64_t *dims,
                         const char *name)
{
    pm_error err = {0};
    if (pm_graph_status(f->g, &err) != PM_OK)
        fail_msg("%s", err.message);
    assert_non_null(t);
    assert_int_equal(t->type, type);
    assert_int_equal(t->n_dims, n_dims);
    assert_memory_equal(t->dim, dims, (size_t)n_dims * sizeof *dims);
    assert_int_equal(t->rows, PM_ROWS_TOKENS);
    assert_string_equal(t->name, name);
}

static void builders_give_shapes_and_names(void **state)
{
    fixture *f = *state;
    const int64_t dims_y[] = {N, T};
    f->g->prefix = "blk.0.";
    assert_built(f, pm_matmul(f->g, f->w, f->x, NULL, NULL), PM_TYPE_F32, 2, dims_y, "blk.0.attn_q");
    assert_built(f, pm_rms_norm(f->g, f->x, f->norm, 1e-5f), PM_TYPE_F32, 2, dims_x, "blk.0.rms_norm");
    assert_built(f, pm_embedding(f->g, f->w, f->ids), PM_TYPE_F32, 2, dims_x, "blk.0.embedding");
    assert_built(f, pm_rope(f->g, f->q, f->ids, f->table, 16, true), PM_TYPE_F32, 3, dims_q, "blk.0.rope");
    assert_built(f,
                 pm_attention(f->g, f->q, f->cache_k, f->cache_v, f->ids, NULL, (pm_attention_args){.scale = 1}),
                 PM_TYPE_F32, 3, dims_q, "blk.0.attention");
    assert_built(f, pm_softmax(f->g, f->x), PM_TYPE_F32, 2, dims_x, "blk.0.softmax");
    assert_built(f, pm_add(f->g, f->x, f->norm), PM_TYPE_F32, 2, dims_x, "blk.0.add");
    f->g->prefix = NULL;
    assert_built(f, pm_swiglu(f->g, f->x, f->x), PM_TYPE_F32, 2, dims_x, "swiglu");
    assert_built(f, pm_repeat_penalty(f->g, f->x, f->history, NULL), PM_TYPE_F32, 2, dims_x, "repeat_penalty");
    assert_built(f, pm_argmax(f->g, f->x), PM_TYPE_I32, 1, dims_t, "argmax");
    assert_built(f, pm_sample(f->g, f->x, NULL), PM_TYPE_I32, 1, dims_t, "sample");
    assert_int_equal(f->g->n_nodes, 11);
    const pm_rms_norm_args *args = PM_ARGS(f->g->nodes[1], pm_rms_norm_args);
    assert_true(args->eps == 1e-5f);
    assert_true(PM_ARGS(f->g->nodes[3], pm_rope_args)->interleaved == 1);
}

static void kv_store_gives_the_cache(void **state)
{
    fixture *f = *state;
    const int64_t dims[] = {16, 2, T};
    pm_tensor *rows = pm_reshape(
        f->g, pm_graph_input(f->g, 30, PM_TYPE_F32, 2, (const int64_t[]){32, T}, PM_ROWS_TOKENS, "rows"), 3, dims);
    assert_ptr_equal(pm_kv_store(f->g, f->cache_k, rows, f->ids), f->cache_k);
    assert_ptr_equal(f->g->nodes[0]->out, f->cache_k);
}

/* Each call is a mistake; it must be refused with a message that has `text` in it. */
#define REFUSED(call, text)                                                                                       \
    do {                                                                                                          \
        pm_error refused_err = {0};                                                                               \
        assert_null(call);                                                                                        \
        assert_int_equal(pm_graph_status(f->g, &refused_err), PM_ERR_ARGUMENT);                                   \
        if (!strstr(refused_err.message, text))                                                                   \
            fail_msg("'%s' is not in: %s", text, refused_err.message);                                            \
        f->g->error.status = PM_OK;                                                                               \
    } while (0)

static void wrong_inputs_are_refused(void **state)
{
    fixture *f = *state;
    pm_graph *g = f->g;
    pm_tensor *other = pm_graph_input(g, 20, PM_TYPE_F32, 2, (const int64_t[]){C, T + 1}, PM_ROWS_TOKENS, "other");
    pm_tensor *fixed = pm_graph_input(g, 21, PM_TYPE_F32, 2, dims_x, PM_ROWS_FIXED, "fixed");
    pm_tensor *wide = pm_graph_input(g, 22, PM_TYPE_F32, 3, (const int64_t[]){513, 4, T}, PM_ROWS_TOKENS, "wide");
    pm_tensor *flat = pm_graph_input(g, 23, PM_TYPE_F32, 1, dims_t, PM_ROWS_TOKENS, "flat");
    REFUSED(pm_matmul(g, f->w, f->q, NULL, NULL),
            "matmul('blk.0.attn_q.weight' Q8_0 [64, 96], 'q' F32 [16, 4, 8]");
    REFUSED(pm_matmul(g, f->x, f->w, NULL, NULL), "x must be F32");
    REFUSED(pm_matmul(g, f->w, NULL, NULL, NULL), "input 1 is missing");
    REFUSED(pm_matmul(g, f->w, f->x, f->norm, NULL), "bias");
    REFUSED(pm_matmul(g, f->w, f->x, NULL, f->x), "residual");
    REFUSED(pm_embedding(g, f->norm, f->ids), "table");
    REFUSED(pm_embedding(g, f->w, f->x), "row numbers");
    REFUSED(pm_rms_norm(g, f->ids, NULL, 0), "F32");
    REFUSED(pm_rms_norm(g, flat, NULL, 0), "F32");
    REFUSED(pm_rms_norm(g, f->q, f->norm, 0), "weight");
    REFUSED(pm_rms_norm(g, f->x, NULL, -1), "eps");
    REFUSED(pm_rms_norm(g, f->x, NULL, __builtin_nanf("")), "eps");
    REFUSED(pm_rope(g, f->x, f->ids, f->table, 16, false), "[D, H, T]");
    REFUSED(pm_rope(g, f->q, f->history, f->table, 16, false), "positions");
    REFUSED(pm_rope(g, f->q, f->ids, f->table, 15, false), "even");
    REFUSED(pm_rope(g, f->q, f->ids, f->table, 18, false), "even");
    REFUSED(pm_rope(g, f->q, f->ids, f->table, 14, false), "table");
    REFUSED(pm_kv_store(g, f->q, f->q, f->ids), "state");
    REFUSED(pm_kv_store(g, f->cache_k, f->q, f->ids), "D and H");
    REFUSED(pm_attention(g, f->q, f->cache_k, f->q, f->ids, NULL, (pm_attention_args){.scale = 1}), "caches");
    REFUSED(pm_attention(g, wide, f->cache_k, f->cache_v, f->ids, NULL, (pm_attention_args){.scale = 1}), "512");
    REFUSED(pm_attention(g, f->q, f->cache_k, f->cache_v, f->ids, NULL,
                         (pm_attention_args){.scale = __builtin_inff()}),
            "finite");
    REFUSED(
        pm_attention(g, f->q, f->cache_k, f->cache_v, f->ids, NULL, (pm_attention_args){.scale = 1, .window = -1}),
        "window");
    REFUSED(pm_attention(g, f->q, f->cache_k, f->cache_v, f->history, NULL, (pm_attention_args){.scale = 1}),
            "positions");
    REFUSED(pm_softmax(g, f->ids), "F32");
    REFUSED(pm_silu(g, f->ids), "F32");
    REFUSED(pm_swiglu(g, f->x, f->q), "alike");
    REFUSED(pm_add(g, f->x, other), "like a");
    REFUSED(pm_add(g, f->x, fixed), "like a");
    REFUSED(pm_repeat_penalty(g, f->q, f->history, NULL), "[V, R]");
    REFUSED(pm_repeat_penalty(g, f->x, f->ids, NULL), "history");
    REFUSED(pm_argmax(g, f->q), "[V, R]");
    REFUSED(pm_sample(g, f->norm, NULL), "[V, R]");
    assert_int_equal(g->n_nodes, 0);
}

static void wrong_shapes_are_refused(void **state)
{
    fixture *f = *state;
    pm_graph *g = f->g;
    const int64_t zero[] = {4, 0}, huge[] = {1 << 30, 1 << 30}, ragged[] = {33, 2}, square[] = {C * T},
                  moved[] = {T, C};
    REFUSED(pm_graph_input(g, 20, PM_TYPE_F32, 2, zero, PM_ROWS_FIXED, "zero"), "dimension 1 is 0");
    REFUSED(pm_graph_input(g, 20, PM_TYPE_F32, 2, huge, PM_ROWS_FIXED, "huge"), "2^48");
    REFUSED(pm_graph_input(g, 20, PM_TYPE_F32, 5, zero, PM_ROWS_FIXED, "deep"), "5 dimensions");
    REFUSED(pm_graph_weight(g, 20, PM_TYPE_Q4_0, 2, ragged, NULL, "ragged"), "Q4_0 blocks");
    REFUSED(pm_graph_weight(g, 0, PM_TYPE_F16, 2, dims_w, NULL, "again"), "slot 0");
    REFUSED(pm_graph_weight(g, -1, PM_TYPE_F16, 2, dims_w, NULL, "nowhere"), "slot -1");
    REFUSED(pm_reshape(g, f->x, 1, square), "counted");
    REFUSED(pm_reshape(g, f->x, 2, moved), "counted");
    REFUSED(pm_reshape(g, f->w, 2, dims_x), "elements");
    REFUSED(pm_reshape(g, NULL, 2, dims_x), "missing");
}

static void the_first_mistake_stays(void **state)
{
    fixture *f = *state;
    pm_error err;
    pm_tensor *bad = pm_rms_norm(f->g, f->x, NULL, -1);
    assert_null(bad);
    assert_null(pm_silu(f->g, bad));
    assert_null(pm_add(f->g, f->x, f->x)); /* right, but the graph has failed */
    assert_null(pm_reshape(f->g, f->x, 2, dims_x));
    assert_null(pm_graph_input(f->g, 40, PM_TYPE_F32, 2, dims_x, PM_ROWS_FIXED, "late"));
    pm_graph_output(f->g, bad);
    assert_int_equal(pm_graph_status(f->g, &err), PM_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "eps"));
    assert_int_equal(f->g->n_nodes, 0);
}

static void leaves_are_shared_by_slot(void **state)
{
    fixture *f = *state;
    size_t n = f->g->n_tensors;
    assert_ptr_equal(pm_graph_weight(f->g, 0, PM_TYPE_Q8_0, 2, dims_w, NULL, "blk.0.attn_q.weight"), f->w);
    assert_ptr_equal(pm_graph_state(f->g, 1, PM_TYPE_F16, 3, dims_cache, "v_cache"), f->cache_v);
    assert_int_equal(f->g->n_tensors, n);
    for (int32_t slot = 100; slot < 400; slot++) /* lists grow */
        assert_non_null(pm_graph_weight(f->g, slot, PM_TYPE_F32, 1, dims_c, NULL, "w"));
    for (size_t i = 0; i < f->g->n_tensors; i++)
        assert_int_equal(f->g->tensors[i]->id, i);
}

static void views_share_storage(void **state)
{
    fixture *f = *state;
    const int64_t heads[] = {16, 4, T}, pairs[] = {2, 8, 4, T};
    pm_tensor *y = pm_silu(f->g, f->x);
    pm_tensor *view = pm_reshape(f->g, y, 3, heads);
    pm_tensor *view_of_view = pm_reshape(f->g, view, 4, pairs);
    assert_ptr_equal(pm_tensor_storage(view_of_view), y);
    assert_ptr_equal(view_of_view->view_of, y);
    assert_int_equal(pm_tensor_bytes(view_of_view), pm_tensor_bytes(y));
    pm_graph_output(f->g, view);
    assert_true(y->is_output);
}

static void rows_are_counted(void **state)
{
    fixture *f = *state;
    const pm_run_params some = {.n_tokens = 5}, none = {.n_tokens = -3}, many = {.n_tokens = 1000};
    assert_int_equal(pm_tensor_rows(f->q), 4 * T);
    assert_int_equal(pm_tensor_rows_now(f->q, &some), 20);
    assert_int_equal(pm_tensor_rows_now(f->ids, &some), 5);
    assert_int_equal(pm_tensor_rows_now(f->x, &none), 0);
    assert_int_equal(pm_tensor_rows_now(f->q, &many), 4 * T);
    assert_int_equal(pm_tensor_rows_now(f->w, &some), N);
    assert_int_equal(pm_tensor_rows_now(f->history, &some), 1);
    assert_int_equal(pm_tensor_bytes(f->w), N * 2 * 34);
}

static void shares_cover_everything_once(void **state)
{
    (void)state;
    for (int n_parts = 1; n_parts < 20; n_parts++) {
        for (int64_t n = 0; n < 50; n++) {
            int64_t at = 0;
            for (int part = 0; part < n_parts; part++) {
                const pm_op_call call = {.part = part, .n_parts = n_parts};
                int64_t begin, end;
                pm_op_share(&call, n, &begin, &end);
                assert_int_equal(begin, at);
                assert_true(end >= begin && end - begin <= n / n_parts + 1);
                at = end;
            }
            assert_int_equal(at, n);
        }
    }
}

/* ---- fusion ------------------------------------------------------------------------------------------------- */

static bool always(void *context, const pm_node *node)
{
    assert_non_null(node->in[3]); /* asked about the richer node */
    ++*(int *)context;
    return true;
}

static bool never(void *context, const pm_node *node)
{
    (void)node;
    ++*(int *)context;
    return false;
}

static pm_tensor *square_product(fixture *f, const pm_tensor *x, int32_t slot)
{
    const int64_t dims[] = {C, C};
    return pm_matmul(f->g, pm_graph_weight(f->g, slot, PM_TYPE_F32, 2, dims, NULL, "blk.1.wo.weight"), x, f->norm,
                     NULL);
}

static size_t fuse(fixture *f, pm_supports_fn supports, int *asked)
{
    *asked = 0;
    assert_int_equal(pm_graph_fuse(f->g, supports, asked, NULL), PM_OK);
    return f->g->n_nodes;
}

static void a_residual_is_fused(void **state)
{
    fixture *f = *state;
    int asked;
    pm_tensor *sum = pm_add(f->g, f->x, square_product(f, f->x, 10));
    pm_tensor *last = pm_silu(f->g, sum);
    pm_graph_output(f->g, last);
    assert_int_equal(fuse(f, never, &asked), 3);
    assert_int_equal(asked, 1);
    assert_int_equal(fuse(f, always, &asked), 2);
    const pm_node *node = f->g->nodes[0];
    assert_int_equal(node->op, PM_OP_MATMUL);
    assert_ptr_equal(node->in[1], f->x);
    assert_ptr_equal(node->in[2], f->norm);
    assert_ptr_equal(node->in[3], f->x);
    assert_ptr_equal(node->out, sum);
    assert_string_equal(sum->name, "blk.1.wo");
    assert_int_equal(fuse(f, always, &asked), 2); /* nothing more to do */
    assert_int_equal(asked, 0);
}

static void either_side_and_both_are_fused(void **state)
{
    fixture *f = *state;
    int asked;
    pm_tensor *a = pm_add(f->g, square_product(f, f->x, 10), f->x);
    pm_tensor *b = pm_add(f->g, square_product(f, a, 11), square_product(f, f->x, 12));
    pm_graph_output(f->g, b);
    assert_int_equal(fuse(f, always, &asked), 3);
    pm_plan_item items[64];
    assert_int_equal(pm_graph_lifetimes(f->g, items, NULL), PM_OK); /* everything is made before it is read */
    assert_int_equal(f->g->nodes[2]->op, PM_OP_MATMUL);
    assert_ptr_equal(f->g->nodes[2]->out, b);
}

static void what_others_need_is_left_alone(void **state)
{
    fixture *f = *state;
    int asked;
    pm_tensor *read_twice = square_product(f, f->x, 10);
    pm_add(f->g, f->x, read_twice);
    pm_silu(f->g, read_twice);
    pm_tensor *doubled = square_product(f, f->x, 11);
    pm_add(f->g, doubled, doubled);
    pm_tensor *host_reads = square_product(f, f->x, 12);
    pm_graph_output(f->g, host_reads);
    pm_add(f->g, f->x, host_reads);
    pm_add(f->g, square_product(f, f->x, 13), f->norm); /* a row for every row is no residual */
    pm_tensor *viewed = square_product(f, f->x, 14);
    pm_add(f->g, pm_reshape(f->g, viewed, 3, dims_q), f->q);
    pm_add(f->g, f->x, pm_silu(f->g, square_product(f, f->x, 15)));
    assert_int_equal(pm_graph_status(f->g, NULL), PM_OK);
    size_t n = f->g->n_nodes;
    assert_int_equal(fuse(f, always, &asked), n);
    assert_int_equal(asked, 0);
}

static void a_failed_graph_is_not_fused(void **state)
{
    fixture *f = *state;
    int asked = 0;
    pm_error err;
    pm_rms_norm(f->g, f->x, NULL, -1);
    assert_int_equal(pm_graph_fuse(f->g, always, &asked, &err), PM_ERR_ARGUMENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(builders_give_shapes_and_names),
        TEST(kv_store_gives_the_cache),
        TEST(wrong_inputs_are_refused),
        TEST(wrong_shapes_are_refused),
        TEST(the_first_mistake_stays),
        TEST(leaves_are_shared_by_slot),
        TEST(views_share_storage),
        TEST(rows_are_counted),
        TEST(shares_cover_everything_once),
        TEST(a_residual_is_fused),
        TEST(either_side_and_both_are_fused),
        TEST(what_others_need_is_left_alone),
        TEST(a_failed_graph_is_not_fused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
