/* The op test table: every case is one op (or a short chain) with deterministic data, run on the device under test
 * and on the reference backend, and compared.
 *
 * A group of cases is a function that goes through its rows; for each it calls op_case_begin, makes the tensors
 * and the op with the functions below, and ends with op_case_end, which runs and judges it:
 *
 *     op_case *c = op_case_begin(run, PM_OP_SILU, "c=%d t=%d", n, t);
 *     if (!c)
 *         continue;                                     (left out by --op or --case, or only listed)
 *     pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_TOKENS, 2, n, t);
 *     op_case_output(c, pm_silu(c->g, x), 1e-9);
 *     op_case_end(run, c);
 *
 * Random data depends on the case's name alone, so that a case is the same whichever others run.
 */
#ifndef PUMICE_TESTS_OPS_OP_CASE_H
#define PUMICE_TESTS_OPS_OP_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "ops/ops.h"

enum { CASE_WEIGHTS = 12, CASE_INPUTS = 6, CASE_STATES = 4, CASE_OUTPUTS = 4 };

typedef enum fill {
    FILL_NORMAL,   /* about normal, deviation 1 */
    FILL_OUTLIERS, /* the same, but one value in about 50 is 30 times as large */
    FILL_LARGE,    /* deviation 100 */
    FILL_POSITIVE, /* uniform in 0.5 .. 1.5 */
    FILL_ZERO
} fill;

typedef struct case_tensor {
    pm_tensor *tensor;
    void *data;      /* what the host writes before the run that counts */
    void *warm_data; /* inputs: what it writes before the run that leaves canaries; made by op_case_end */
    size_t bytes;
} case_tensor;

typedef struct case_output {
    const pm_tensor *tensor;
    double nmse_limit;  /* largest normalised mean squared error; 0: every bit counts */
    double least_power; /* mean square below which errors are not measured relative to the values themselves */
    void *want, *got, *canary;
} case_output;

typedef struct op_case {
    pm_op op;
    char name[160];
    pm_graph *g;
    pm_run_params params; /* n_tokens and n_outputs are set from the tensors' shapes unless the case sets them */
    case_tensor weights[CASE_WEIGHTS], inputs[CASE_INPUTS], states[CASE_STATES];
    unsigned weight_uses[CASE_WEIGHTS];
    int n_weights, n_inputs, n_states, n_outputs;
    case_output outputs[CASE_OUTPUTS];
    const void *golden; /* the expected output from outside, in place of the reference's; borrowed */
    uint32_t tile, n_parts; /* GPUs cut products so (pm_vk_tiling); n_parts 0: as they like */
    bool fuse;          /* run the fusion pass with what the device supports */
    bool sampled;       /* outputs are draws: judged as such, see op_judge_draws */
    bool out_of_memory;
    uint64_t random;
} op_case;

typedef struct op_run {
    pm_device *device, *reference;
    int only_op;           /* -1: all */
    const char *only_case; /* NULL: all */
    bool list, quiet;
    int repeat;
    int n_passed, n_failed, n_skipped, n_listed;
    int n_messages; /* of the Vulkan validation layer */
    bool validation;
} op_run;

/* ---- making a case: op_case.c ------------------------------------------------------------------------------- */

op_case *op_case_begin(op_run *run, pm_op op, const char *format, ...) PM_PRINTF(3, 4);

/* dims follow n_dims as int64_t or int. Weights of quantised types get random bits in every field. */
pm_tensor *op_case_weight(op_case *c, pm_type type, unsigned uses, fill how, int n_dims, ...);
pm_tensor *op_case_input(op_case *c, fill how, pm_rows rows, int n_dims, ...);
pm_tensor *op_case_state(op_case *c, pm_type type, fill how, int n_dims, ...);
/* I32 [n]: random below `below`, or first, first + 1, ... */
pm_tensor *op_case_ids(op_case *c, pm_rows rows, int64_t n, int64_t below);
pm_tensor *op_case_positions(op_case *c, int64_t n, int64_t first);
/* I32 [3, n]: for each row a slot of its own below n_ctx and the first and last of those it sees; some rows
 * outside. */
pm_tensor *op_case_spans(op_case *c, pm_rows rows, int64_t n, int64_t n_ctx);
/* I32 [n, rows] of zeros, for the case to fill in. */
pm_tensor *op_case_integers(op_case *c, pm_rows counted, int64_t n, int64_t rows);
/* A weight with data of the caller's, which is copied: tables. */
pm_tensor *op_case_table(op_case *c, const float *data, int n_dims, const int64_t *dims);
/* The data of a weight, input or state, to be changed before op_case_end. NULL when memory has run out. */
void *op_case_data(op_case *c, const pm_tensor *tensor);

void op_case_output(op_case *c, pm_tensor *tensor, double nmse_limit);
/* Runs, judges, reports, frees. */
void op_case_end(op_run *run, op_case *c);

uint32_t op_random(op_case *c);
float op_random_normal(op_case *c);

/* ---- running it: op_run.c ----------------------------------------------------------------------------------- */

/* Writes the inputs (twice where rows are left out, for canaries), runs, reads outputs into `got` or `want`. */
pm_status op_case_run(op_case *c, pm_device *device, bool is_reference, pm_error *err);
bool op_case_has_left_out_rows(const op_case *c);
/* Sets n_tokens and n_outputs to what the inputs' shapes hold. */
void op_case_full_counts(const op_case *c, pm_run_params *params);
/* NULL, or why the device says that it cannot run the case. */
const pm_node *op_case_unsupported(const op_case *c, const pm_device *device);

/* ---- judging it: op_judge.c --------------------------------------------------------------------------------- */

typedef struct op_verdict {
    bool ok;
    double nmse, max_error;
    double got, want; /* at the worst element */
    int64_t worst;
    char problem[200]; /* what else is wrong; empty: only the numbers */
} op_verdict;

op_verdict op_judge(const op_case *c, const case_output *output);
/* The token that contract and arithmetic allow for row `row` of the logits, found by sorting; the random number is
 * given, and the thresholds can be moved a little. Independent of the reference kernel. */
int32_t op_expected_draw(const float *logits, int64_t n, const pm_run_params *params, double u, double nudge);

/* ---- the groups --------------------------------------------------------------------------------------------- */

void op_cases_matmul(op_run *run);
void op_cases_big(op_run *run); /* tensors beyond a storage-buffer range of 128 MiB */
void op_cases_embedding(op_run *run);
void op_cases_rows(op_run *run);      /* the norms, softmax, and element by element */
void op_cases_positions(op_run *run); /* rope, kv_store, attention */
void op_cases_choice(op_run *run);    /* repeat_penalty, argmax, sample */
void op_cases_chains(op_run *run);
/* Cases of a file made by tests/data/make_op_golden.py: the device against an outside implementation. */
int op_cases_golden(op_run *run, const char *path);

#endif
