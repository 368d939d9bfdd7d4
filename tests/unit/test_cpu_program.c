/* Programs of the cpu backend: a whole block of a decoder against the reference backend, with what the op test
 * table does not reach: steps done in one go, shared 8-bit activations, storage used again, runs that are stopped,
 * wrong slots.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "formats/block_types.h"
#include "ops/ops.h"

enum { C = 128, HEADS = 6, KV_HEADS = 2, D = 32, FF = 160, V = 100, T = 40, CTX = 64, N_WEIGHTS = 11, LAYERS = 2 };

static const char *const names[N_WEIGHTS] = {"norm", "wq", "wk",   "wv",    "wo",  "ffn_norm",
                                             "gate", "up", "down", "table", "rope"};
static const int64_t shapes[N_WEIGHTS][2] = {
    {C, 0},  {C, HEADS *D}, {C, KV_HEADS *D}, {C, KV_HEADS *D}, {HEADS * D, C}, {C, 0},
    {C, FF}, {C, FF},       {FF, C},          {C, V},           {0, 0}};
enum { ROPE_PAIRS = D / 2, ROPE_ROWS = PM_ROPE_FINE + 1 };

typedef struct decoder {
    pm_weight weights[N_WEIGHTS];
    unsigned char *memory[N_WEIGHTS];
    pm_graph *graph;
    pm_tensor *tokens, *positions, *logits;
} decoder;

static float noise(uint32_t i)
{
    i = (i ^ 61u ^ i >> 16) * 9u;
    i = (i ^ i >> 4) * 0x27d4eb2du;
    return (float)(int32_t)(i ^ i >> 15) * 0x1p-31f;
}

/* Weight i with random values. */
static void make_weight(decoder *d, int i, pm_type type, bool odd)
{
    bool norm = shapes[i][1] == 0 && shapes[i][0] > 0, rope = shapes[i][0] == 0;
    int64_t k = rope ? 2 : shapes[i][0], rows = rope ? ROPE_PAIRS * ROPE_ROWS : norm ? 1 : shapes[i][1];
    type = norm || rope ? PM_TYPE_F32 : type;
    size_t row_bytes = pm_type_row_bytes(type, k), bytes = row_bytes * (size_t)rows;
    d->memory[i] = malloc(bytes + 1);
    float *row = malloc((size_t)k * sizeof *row);
    assert_true(d->memory[i] && row);
    unsigned char *at = d->memory[i] + (norm && odd ? 1 : 0);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < k; j++)
            row[j] = norm ? 1 + 0.1f * noise((uint32_t)j) : noise((uint32_t)(i * 100003 + r * k + j)) * 0.3f;
        if (rope) {
            double angle = (double)(r / ROPE_PAIRS % PM_ROPE_FINE) * pow(0.5, (double)(r % ROPE_PAIRS));
            row[0] = r / ROPE_PAIRS < PM_ROPE_FINE ? (float)cos(angle) : 1;
            row[1] = r / ROPE_PAIRS < PM_ROPE_FINE ? (float)sin(angle) : 0;
        }
        if (type == PM_TYPE_F32)
            memcpy(at + (size_t)r * row_bytes, row, row_bytes);
        else
            pm_quantize_row(type, row, at + (size_t)r * row_bytes, k);
    }
    free(row);
    d->weights[i] = (pm_weight){.name = names[i],
                                .type = type,
                                .n_dims = rope   ? 3
                                          : norm ? 1
                                                 : 2,
                                .dim = {k, rows, 1, 1},
                                .data = at,
                                .n_bytes = bytes,
                                .uses = norm || rope ? PM_USE_PLAIN
                                        : i == 9     ? PM_USE_MATMUL | PM_USE_EMBEDDING
                                                     : PM_USE_MATMUL};
    if (rope) {
        d->weights[i].dim[1] = ROPE_PAIRS;
        d->weights[i].dim[2] = ROPE_ROWS;
    }
}

static pm_tensor *weight(decoder *d, int i)
{
    const pm_weight *w = &d->weights[i];
    return pm_graph_weight(d->graph, i, w->type, w->n_dims, w->dim, w->data, w->name);
}

static pm_tensor *layer(decoder *d, pm_tensor *x, int l)
{
    pm_graph *g = d->graph;
    const int64_t dims_q[] = {D, HEADS, T}, dims_k[] = {D, KV_HEADS, T}, cache[] = {D, CTX, KV_HEADS},
                  flat[] = {HEADS * D, T};
    pm_tensor *h = pm_rms_norm(g, x, weight(d, 0), 1e-5f);
    pm_tensor *q = pm_reshape(g, pm_matmul(g, weight(d, 1), h, NULL, NULL), 3, dims_q);
    pm_tensor *k = pm_reshape(g, pm_matmul(g, weight(d, 2), h, NULL, NULL), 3, dims_k);
    pm_tensor *v = pm_reshape(g, pm_matmul(g, weight(d, 3), h, NULL, NULL), 3, dims_k);
    q = pm_rope(g, q, d->positions, weight(d, 10), D, l % 2 == 0);
    k = pm_rope(g, k, d->positions, weight(d, 10), D, l % 2 == 0);
    pm_tensor *keys = pm_kv_store(g, pm_graph_state(g, 2 * l, PM_TYPE_F16, 3, cache, "k"), k, d->positions);
    pm_tensor *values = pm_kv_store(g, pm_graph_state(g, 2 * l + 1, PM_TYPE_F16, 3, cache, "v"), v, d->positions);
    pm_tensor *a = pm_attention(g, q, keys, values, d->positions, NULL, (pm_attention_args){.scale = 0.18f});
    x = pm_add(g, x, pm_matmul(g, weight(d, 4), pm_reshape(g, a, 2, flat), NULL, NULL));
    h = pm_rms_norm(g, x, weight(d, 5), 1e-5f);
    pm_tensor *gated =
        pm_swiglu(g, pm_matmul(g, weight(d, 6), h, NULL, NULL), pm_matmul(g, weight(d, 7), h, NULL, NULL));
    return pm_add(g, x, pm_matmul(g, weight(d, 8), gated, NULL, NULL));
}

static bool always(void *context, const pm_node *node)
{
    (void)context;
    (void)node;
    return true;
}

/* odd: norms start at odd addresses, as a file may have them. */
static void make_decoder_at(decoder *d, pm_type type, bool odd)
{
    pm_error err = {0};
    const int64_t dims_t[] = {T};
    memset(d, 0, sizeof *d);
    for (int i = 0; i < N_WEIGHTS; i++)
        make_weight(d, i, type, odd);
    assert_int_equal(pm_graph_create(&d->graph, &err), PM_OK);
    d->tokens = pm_graph_input(d->graph, PM_INPUT_TOKENS, PM_TYPE_I32, 1, dims_t, PM_ROWS_TOKENS, "tokens");
    d->positions =
        pm_graph_input(d->graph, PM_INPUT_POSITIONS, PM_TYPE_I32, 1, dims_t, PM_ROWS_TOKENS, "positions");
    pm_tensor *x = pm_embedding(d->graph, weight(d, 9), d->tokens);
    for (int l = 0; l < LAYERS; l++)
        x = layer(d, x, l);
    d->logits = pm_matmul(d->graph, weight(d, 9), pm_rms_norm(d->graph, x, weight(d, 0), 1e-5f), NULL, NULL);
    pm_graph_output(d->graph, d->logits);
    if (pm_graph_fuse(d->graph, always, NULL, &err) != PM_OK)
        fail_msg("%s", err.message);
}

static void make_decoder(decoder *d, pm_type type)
{
    make_decoder_at(d, type, false);
}

static void free_decoder(decoder *d)
{
    pm_graph_destroy(d->graph);
    for (int i = 0; i < N_WEIGHTS; i++)
        free(d->memory[i]);
}

/* The decoder on one device. */
typedef struct loaded {
    pm_device *device;
    pm_weights *weights;
    pm_states *states;
    pm_program *program;
} loaded;

static void load(const decoder *d, const char *name, bool by_node, loaded *on)
{
    pm_error err = {0};
    pm_state_desc states[2 * LAYERS];
    for (int i = 0; i < 2 * LAYERS; i++)
        states[i] =
            (pm_state_desc){.name = "cache", .type = PM_TYPE_F16, .n_dims = 3, .dim = {D, CTX, KV_HEADS, 1}};
    memset(on, 0, sizeof *on);
    pm_status status = pm_device_open(&(pm_device_options){.name = name, .n_threads = 3}, &on->device, &err);
    if (status == PM_OK)
        status =
            on->device->backend->weights_create(on->device, d->weights, N_WEIGHTS, NULL, NULL, &on->weights, &err);
    if (status == PM_OK)
        status = on->device->backend->states_create(on->device, states, 2 * LAYERS, &on->states, &err);
    if (status == PM_OK)
        status =
            on->device->backend->program_create(on->device, d->graph, on->weights, on->states,
                                                &(pm_program_options){.by_node = by_node}, &on->program, &err);
    if (status != PM_OK)
        fail_msg("%s: %s", name, err.message);
}

static void unload(loaded *on)
{
    on->device->backend->program_destroy(on->device, on->program);
    on->device->backend->states_destroy(on->device, on->states);
    on->device->backend->weights_destroy(on->device, on->weights);
    pm_device_close(on->device);
}

/* Runs n tokens from position `first` on. */
static pm_status run(const decoder *d, const loaded *on, int n, int first, const pm_run_options *options,
                     pm_error *err)
{
    int32_t tokens[T], positions[T];
    for (int i = 0; i < n; i++) {
        tokens[i] = (first + i) * 31 % V;
        positions[i] = first + i;
    }
    const pm_backend *b = on->device->backend;
    const pm_run_params params = {.n_tokens = n, .n_outputs = n, .n_kv = first + n};
    PM_TRY(b->tensor_write(on->device, on->program, d->tokens, 0, tokens, (size_t)n * sizeof *tokens, err));
    PM_TRY(
        b->tensor_write(on->device, on->program, d->positions, 0, positions, (size_t)n * sizeof *positions, err));
    return b->program_run(on->device, on->program, &params, options, err);
}

static void get_logits(const decoder *d, const loaded *on, int n, float *logits)
{
    assert_int_equal(on->device->backend->tensor_read(on->device, on->program, d->logits, 0, logits,
                                                      (size_t)n * V * sizeof *logits, NULL),
                     PM_OK);
}

static double nmse(const float *got, const float *want, int n)
{
    double error = 0, power = 0;
    for (int i = 0; i < n; i++) {
        error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        power += (double)want[i] * (double)want[i];
    }
    return error / power;
}

/* A prompt, then tokens one by one, then part of a bucket, on both; 8-bit activations cost up to 4e-3
 * after two layers of random weights, and a forgotten wait or a buffer used too early costs everything (1 and
 * more). */
static void like_the_reference(pm_type type, bool by_node, double limit)
{
    static const int passes[][2] = {{T, 0}, {1, T}, {1, T + 1}, {7, T + 2}, {1, T + 9}, {2, 3}};
    static float got[T * V], want[T * V];
    decoder d;
    loaded cpu, reference;
    make_decoder(&d, type);
    load(&d, "cpu", by_node, &cpu);
    load(&d, "reference", false, &reference);
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        pm_error err = {0};
        int n = passes[i][0];
        if (run(&d, &cpu, n, passes[i][1], NULL, &err) != PM_OK ||
            run(&d, &reference, n, passes[i][1], NULL, &err) != PM_OK)
            fail_msg("%s", err.message);
        get_logits(&d, &cpu, n, got);
        get_logits(&d, &reference, n, want);
        double error = nmse(got, want, n * V);
        if (!(error <= limit))
            fail_msg("%s, pass %zu%s: error %g", pm_type_name(type), i, by_node ? " by node" : "", error);
    }
    unload(&cpu);
    unload(&reference);
    free_decoder(&d);
}

static void every_type_like_the_reference(void **state)
{
    (void)state;
    for (int type = 0; type < PM_TYPE_COUNT; type++) {
        if (type == PM_TYPE_I32 || C % pm_type_get((pm_type)type)->block_elems != 0)
            continue; /* blocks of 256 are covered by the op test table */
        bool quantized = pm_type_get((pm_type)type)->block_elems > 1;
        like_the_reference((pm_type)type, false, quantized ? 1e-2 : 1e-6);
    }
}

static void by_node_like_the_reference(void **state)
{
    (void)state;
    like_the_reference(PM_TYPE_Q4_0, true, 1e-2);
    like_the_reference(PM_TYPE_F16, true, 1e-6);
}

/* The same pass twice gives the same bits, whichever thread does what. */
static void runs_repeat_exactly(void **state)
{
    (void)state;
    static float first[T * V], again[T * V];
    decoder d;
    loaded cpu;
    make_decoder(&d, PM_TYPE_Q8_0);
    load(&d, "cpu", false, &cpu);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(run(&d, &cpu, i % 2 ? T : 9, 0, NULL, NULL), PM_OK);
        get_logits(&d, &cpu, 9, i == 0 ? first : again);
        if (i > 0)
            assert_memory_equal(again, first, 9 * V * sizeof *first);
    }
    unload(&cpu);
    free_decoder(&d);
}

static void weights_at_odd_addresses(void **state)
{
    (void)state;
    static float logits[2][T * V];
    for (int odd = 0; odd < 2; odd++) {
        decoder d;
        loaded cpu;
        make_decoder_at(&d, PM_TYPE_BF16, odd);
        load(&d, "cpu", false, &cpu);
        assert_int_equal(run(&d, &cpu, T, 0, NULL, NULL), PM_OK);
        get_logits(&d, &cpu, T, logits[odd]);
        unload(&cpu);
        free_decoder(&d);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
}

static int stop_after(void *user)
{
    return atomic_fetch_sub((atomic_int *)user, 1) <= 0;
}

static void a_run_can_be_stopped(void **state)
{
    (void)state;
    decoder d;
    loaded cpu;
    make_decoder(&d, PM_TYPE_Q4_1);
    load(&d, "cpu", false, &cpu);
    for (int n = 0; n < 12; n++) {
        atomic_int left = n;
        pm_error err = {0};
        const pm_run_options options = {.should_stop = stop_after, .stop_user = &left};
        assert_int_equal(run(&d, &cpu, T, 0, &options, &err), PM_ERR_CANCELLED);
        assert_int_equal(err.status, PM_ERR_CANCELLED);
    }
    assert_int_equal(run(&d, &cpu, T, 0, NULL, NULL), PM_OK);
    unload(&cpu);
    free_decoder(&d);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    decoder d;
    loaded cpu;
    pm_error err = {0};
    float value;
    make_decoder(&d, PM_TYPE_Q8_0);
    load(&d, "cpu", false, &cpu);
    const pm_backend *b = cpu.device->backend;
    const pm_tensor *inner = d.graph->nodes[0]->out;
    assert_int_equal(b->tensor_read(cpu.device, cpu.program, inner, 0, &value, sizeof value, &err),
                     PM_ERR_ARGUMENT);
    assert_int_equal(b->tensor_write(cpu.device, cpu.program, d.logits, 0, &value, sizeof value, &err),
                     PM_ERR_ARGUMENT);
    assert_int_equal(b->tensor_read(cpu.device, cpu.program, d.logits, sizeof(float) * V * T, &value, 1, &err),
                     PM_ERR_ARGUMENT);
    assert_int_equal(b->tensor_read(cpu.device, cpu.program, d.logits, SIZE_MAX, &value, 2, &err),
                     PM_ERR_ARGUMENT);

    pm_weight broken[N_WEIGHTS];
    pm_weights *weights = NULL;
    memcpy(broken, d.weights, sizeof broken);
    broken[4].n_bytes--;
    assert_int_equal(b->weights_create(cpu.device, broken, N_WEIGHTS, NULL, NULL, &weights, &err),
                     PM_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "'wo'"));

    pm_program *program = NULL;
    pm_weights *few = NULL;
    assert_int_equal(b->weights_create(cpu.device, d.weights, 3, NULL, NULL, &few, &err), PM_OK);
    assert_int_equal(b->program_create(cpu.device, d.graph, few, cpu.states, NULL, &program, &err),
                     PM_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "slot"));
    b->weights_destroy(cpu.device, few);
    unload(&cpu);
    free_decoder(&d);
}

static int cancel_at_half(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    ++*(int *)user;
    return done > total / 2;
}

static void loading_can_be_cancelled(void **state)
{
    (void)state;
    decoder d;
    pm_device *device;
    pm_weights *weights = NULL;
    pm_error err = {0};
    int calls = 0;
    make_decoder(&d, PM_TYPE_Q4_0);
    assert_int_equal(pm_device_open(&(pm_device_options){.name = "cpu", .n_threads = 2}, &device, &err), PM_OK);
    assert_int_equal(
        device->backend->weights_create(device, d.weights, N_WEIGHTS, cancel_at_half, &calls, &weights, &err),
        PM_ERR_CANCELLED);
    assert_true(calls > 1 && calls < N_WEIGHTS);
    pm_device_close(device);
    free_decoder(&d);
}

typedef struct explanation {
    int lines, fused, eight_bits;
} explanation;

static void count_line(void *user, const char *line)
{
    explanation *e = user;
    e->lines++;
    e->fused += strstr(line, "rope and kv_store") != NULL;
    e->eight_bits += strstr(line, "written in 8 bits only") != NULL;
}

static void steps_are_fused_and_explained(void **state)
{
    (void)state;
    decoder d;
    make_decoder(&d, PM_TYPE_Q4_0);
    for (int by_node = 0; by_node < 2; by_node++) {
        loaded cpu;
        explanation e = {0};
        load(&d, "cpu", by_node, &cpu);
        cpu.device->backend->explain(cpu.device, cpu.program, count_line, &e);
        assert_int_equal(e.fused, by_node ? 0 : LAYERS);
        /* two norms, attention and a gate a layer; the last norm */
        assert_int_equal(e.eight_bits, by_node ? 0 : 4 * LAYERS + 1);
        assert_true(e.lines > 10 * LAYERS);
        assert_true(cpu.device->backend->program_bytes(cpu.program) > 0);
        assert_true(cpu.device->backend->weights_bytes(cpu.weights) > 0);
        unload(&cpu);
    }
    free_decoder(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_like_the_reference), cmocka_unit_test(by_node_like_the_reference),
        cmocka_unit_test(runs_repeat_exactly),           cmocka_unit_test(weights_at_odd_addresses),
        cmocka_unit_test(a_run_can_be_stopped),          cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(loading_can_be_cancelled),      cmocka_unit_test(steps_are_fused_and_explained),
    };
    return cmocka_run_group_tests_name("cpu programs", tests, NULL, NULL);
}
