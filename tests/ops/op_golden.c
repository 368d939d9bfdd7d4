/* Golden cases: one op each with inputs and the result of an outside implementation (PyTorch and Hugging Face's
 * transformers, in double precision), from a file made by tests/data/make_op_golden.py, whose head describes the
 * format. What they check is the meaning of the ops, on the reference backend above all. */
#include "op_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOLDEN_WEIGHT, GOLDEN_INPUT, GOLDEN_STATE, GOLDEN_EXPECTED };
enum { GOLDEN_TENSORS = 8, GOLDEN_MAX_BYTES = 1 << 24 };

typedef struct golden_head {
    char op[16], name[48];
    int32_t ints[4];
    float floats[6]; /* of the op; of sampling: temperature, top_p, min_p, penalty */
    uint32_t n_tensors;
    double limit;
} golden_head;

typedef struct golden_tensor {
    uint32_t role, gguf_type, n_dims, dims[4];
} golden_tensor;

typedef struct golden_case {
    golden_head head;
    pm_tensor *t[GOLDEN_TENSORS]; /* all but the expected one, in the order of the op's arguments */
    int n;
} golden_case;

/* The dims of both kinds of function are a list of ints. */
#define DIMS4(g) (int)(g)->n_dims, (int)(g)->dims[0], (int)(g)->dims[1], (int)(g)->dims[2], (int)(g)->dims[3]

static pm_tensor *make_leaf(op_case *c, const golden_tensor *g, pm_type type)
{
    unsigned uses = g->n_dims != 2 || c->op == PM_OP_ATTENTION ? PM_USE_PLAIN
                    : c->op == PM_OP_MATMUL                    ? PM_USE_MATMUL
                                                               : PM_USE_EMBEDDING;
    if (g->role == GOLDEN_WEIGHT)
        return op_case_weight(c, type, uses, FILL_ZERO, DIMS4(g));
    if (g->role == GOLDEN_STATE)
        return op_case_state(c, type, FILL_ZERO, DIMS4(g));
    if (type == PM_TYPE_I32 && g->n_dims == 2)
        return op_case_spans(c, PM_ROWS_FIXED, g->dims[1], 1);
    if (type == PM_TYPE_I32)
        return op_case_ids(c, PM_ROWS_FIXED, g->dims[0], 1);
    return op_case_input(c, FILL_ZERO, PM_ROWS_FIXED, DIMS4(g));
}

static pm_tensor *build(op_case *c, golden_case *k)
{
    const golden_head *h = &k->head;
    pm_tensor **t = k->t;
    switch (c->op) {
    case PM_OP_EMBEDDING:
        return pm_embedding(c->g, t[0], t[1]);
    case PM_OP_MATMUL:
        return pm_matmul(c->g, t[0], t[1], h->ints[0] ? t[2] : NULL, h->ints[1] ? t[2 + h->ints[0]] : NULL);
    case PM_OP_RMS_NORM:
        return pm_rms_norm(c->g, t[0], k->n > 1 ? t[1] : NULL, h->floats[0]);
    case PM_OP_ROPE:
        return pm_rope(c->g, t[0], t[1], t[2], h->ints[0], h->ints[1]);
    case PM_OP_KV_STORE:
        return pm_kv_store(c->g, t[0], t[1], t[2]);
    case PM_OP_KV_COPY:
        return pm_kv_copy(c->g, t[0], t[1], t[2]);
    case PM_OP_ATTENTION:
        return pm_attention(
            c->g, t[0], t[1], t[2], t[3], t[4],
            (pm_attention_args){.scale = h->floats[0], .window = h->ints[0], .softcap = h->floats[1]});
    case PM_OP_SOFTMAX:
        return pm_softmax(c->g, t[0]);
    case PM_OP_SILU:
        return pm_silu(c->g, t[0]);
    case PM_OP_SWIGLU:
        return pm_swiglu(c->g, t[0], t[1]);
    case PM_OP_LAYER_NORM:
        return pm_layer_norm(c->g, t[0], t[1], t[2], h->floats[0]);
    case PM_OP_GELU:
        return pm_gelu(c->g, t[0], h->ints[0] ? PM_GELU_TANH : PM_GELU_ERF);
    case PM_OP_RELU:
        return pm_relu(c->g, t[0]);
    case PM_OP_TANH:
        return pm_tanh(c->g, t[0], h->floats[0]);
    case PM_OP_SCALE:
        return pm_scale(c->g, t[0], h->floats[0]);
    case PM_OP_MUL:
        return pm_mul(c->g, t[0], t[1]);
    case PM_OP_ADD:
        return pm_add(c->g, t[0], t[1]);
    case PM_OP_REPEAT_PENALTY:
        return pm_repeat_penalty(c->g, t[0], t[1], NULL);
    case PM_OP_ARGMAX:
        return pm_argmax(c->g, t[0]);
    case PM_OP_SAMPLE:
        return pm_sample(c->g, t[0], NULL);
    case PM_OP_COUNT:
        break;
    }
    return NULL;
}

static void set_params(op_case *c, const golden_head *h)
{
    if (c->op == PM_OP_REPEAT_PENALTY) {
        c->params.n_history = h->ints[0];
        c->params.repeat_penalty = h->floats[0];
    }
    if (c->op == PM_OP_SAMPLE) {
        c->params.top_k = h->ints[0];
        c->params.seed_lo = (uint32_t)h->ints[1];
        c->params.seed_hi = (uint32_t)h->ints[2];
        c->params.draw = (uint32_t)h->ints[3];
        c->params.temperature = h->floats[0];
        c->params.top_p = h->floats[1];
        c->params.min_p = h->floats[2];
    }
    if (c->op == PM_OP_ATTENTION || c->op == PM_OP_KV_STORE)
        c->params.n_kv = h->ints[1];
}

/* Reads one tensor with its data; the data is the caller's to free. NULL where the file is cut short or odd. */
static void *read_tensor(FILE *file, golden_tensor *g, pm_type *type, size_t *bytes)
{
    if (fread(g, sizeof *g, 1, file) != 1 || !pm_type_from_gguf(g->gguf_type, type) || g->n_dims < 1 ||
        g->n_dims > 4)
        return NULL;
    *bytes = pm_type_row_bytes(*type, g->dims[0]);
    for (uint32_t d = 1; d < g->n_dims && *bytes <= GOLDEN_MAX_BYTES; d++)
        *bytes *= g->dims[d];
    void *data = *bytes <= GOLDEN_MAX_BYTES ? malloc(*bytes + 1) : NULL;
    if (data && fread(data, 1, *bytes, file) != *bytes) {
        free(data);
        return NULL;
    }
    return data;
}

/* Reads the tensors of a case into c (NULL: passes over them). The expected output's data goes to *expected. */
static bool read_tensors(FILE *file, op_case *c, golden_case *k, void **expected, size_t *expected_bytes)
{
    for (uint32_t i = 0; i < k->head.n_tensors; i++) {
        golden_tensor g;
        pm_type type;
        size_t bytes;
        void *data = read_tensor(file, &g, &type, &bytes);
        if (!data)
            return false;
        if (g.role == GOLDEN_EXPECTED) {
            free(*expected);
            *expected = data;
            *expected_bytes = bytes;
            continue;
        }
        if (c) {
            pm_tensor *t = k->t[k->n++] = make_leaf(c, &g, type);
            void *to = t ? op_case_data(c, t) : NULL;
            if (to && pm_tensor_bytes(t) == bytes)
                memcpy(to, data, bytes);
        }
        free(data);
    }
    return true;
}

static bool read_case(FILE *file, op_run *run, golden_case *k)
{
    void *expected = NULL;
    size_t expected_bytes = 0;
    int op = 0;
    k->head.op[sizeof k->head.op - 1] = k->head.name[sizeof k->head.name - 1] = '\0';
    while (op < PM_OP_COUNT && strcmp(pm_op_name((pm_op)op), k->head.op) != 0)
        op++;
    if (op == PM_OP_COUNT || k->head.n_tensors > GOLDEN_TENSORS)
        return false;
    op_case *c = op_case_begin(run, (pm_op)op, "%s", k->head.name);
    bool ok = read_tensors(file, c, k, &expected, &expected_bytes);
    if (c) {
        op_case_output(c, ok ? build(c, k) : NULL, k->head.limit);
        set_params(c, &k->head);
        if (c->n_outputs == 1 && pm_tensor_bytes(c->outputs[0].tensor) == expected_bytes)
            c->golden = expected;
        else
            c->n_outputs = 0; /* reported as not built */
        op_case_end(run, c);
    }
    free(expected);
    return ok;
}

int op_cases_golden(op_run *run, const char *path)
{
    FILE *file = fopen(path, "rb");
    char magic[8];
    if (!file || fread(magic, 1, sizeof magic, file) != sizeof magic || memcmp(magic, "PMOPGLD1", 8) != 0) {
        fprintf(stderr, "op_test: %s is no file of golden cases\n", path);
        if (file)
            fclose(file);
        return 2;
    }
    int status = 0;
    golden_case k = {0};
    while (status == 0 && fread(&k.head, sizeof k.head, 1, file) == 1) {
        if (!read_case(file, run, &k)) {
            fprintf(stderr, "op_test: %s is cut short or damaged\n", path);
            status = 2;
        }
        k = (golden_case){0};
    }
    fclose(file);
    return status;
}
