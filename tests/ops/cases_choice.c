/* Cases of ops that choose tokens: repeat_penalty, argmax, sample. */
#include "op_case.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- repeat_penalty ----------------------------------------------------------------------------------------- */

/* A division that Vulkan lets be off by 2.5 units: below 1e-12 squared. */
static void penalty_case(op_run *run, int vocab, int rows, int rows_now, int cap, int n_history, float penalty,
                         bool wild)
{
    op_case *c = op_case_begin(run, PM_OP_REPEAT_PENALTY, "v=%d r=%d now=%d history=%d of %d penalty=%g%s", vocab,
                               rows, rows_now, n_history, cap, (double)penalty, wild ? " ids out of range" : "");
    if (!c)
        return;
    pm_tensor *logits = op_case_input(c, FILL_NORMAL, PM_ROWS_OUTPUTS, 2, vocab, rows);
    pm_tensor *history = op_case_ids(c, PM_ROWS_FIXED, cap, vocab);
    int32_t *ids = op_case_data(c, history);
    for (int i = 0; ids && i < cap; i++) {
        if (i % 3 == 2)
            ids[i] = ids[i / 2]; /* repeated ones count once */
        if (wild && i % 4 == 1)
            ids[i] = i % 8 == 1 ? -1 - i : vocab + i;
    }
    if (ids && wild && cap > 9) {
        ids[3] = INT32_MIN;
        ids[7] = INT32_MAX;
    }
    c->params.n_outputs = rows_now;
    c->params.n_history = n_history;
    c->params.repeat_penalty = penalty;
    op_case_output(c, pm_repeat_penalty(c->g, logits, history, NULL), 1e-12);
    op_case_end(run, c);
}

static void cases_repeat_penalty(op_run *run)
{
    penalty_case(run, 1, 1, 1, 1, 1, 1.5f, false);
    penalty_case(run, 1, 1, 1, 64, 64, 1.5f, false);
    penalty_case(run, 50, 3, 3, 64, 64, 1.1f, false);
    penalty_case(run, 1000, 8, 5, 64, 17, 1.3f, true);
    penalty_case(run, 1000, 2, 2, 64, 0, 1.3f, false);
    penalty_case(run, 333, 1, 1, 7, 7, 0.5f, true);
    penalty_case(run, 49152, 1, 1, 64, 64, 1.2f, true);
    penalty_case(run, 151937, 2, 2, 256, 200, 1.05f, false);
    penalty_case(run, 129, 1, 1, 1000, 1000, 1.1f, false);
    penalty_case(run, 4097, 1, 1, 64, 33, 1.0f, false);
}

/* ---- argmax ------------------------------------------------------------------------------------------------- */

static void argmax_case(op_run *run, int vocab, int rows, int rows_now, fill how)
{
    op_case *c = op_case_begin(run, PM_OP_ARGMAX, "v=%d r=%d now=%d fill=%d", vocab, rows, rows_now, how);
    if (!c)
        return;
    pm_tensor *x = op_case_input(c, how, PM_ROWS_OUTPUTS, 2, vocab, rows);
    float *data = op_case_data(c, x);
    for (int row = 0; data && row < rows && how != FILL_ZERO; row++) /* the best anywhere: first, last, between */
        data[row * vocab + (row == 0 ? vocab - 1 : row == 1 ? 0 : (int)(op_random(c) % (uint32_t)vocab))] = 50;
    c->params.n_outputs = rows_now;
    op_case_output(c, pm_argmax(c->g, x), 0);
    op_case_end(run, c);
}

/* One row each: what the contract says about ties, NaN and infinities. */
static void argmax_special(op_run *run)
{
    enum { ROWS = 9, V = 300 };
    op_case *c = op_case_begin(run, PM_OP_ARGMAX, "ties, NaN and infinities");
    if (!c)
        return;
    pm_tensor *x = op_case_input(c, FILL_NORMAL, PM_ROWS_OUTPUTS, 2, V, ROWS);
    float *rows = op_case_data(c, x);
    if (rows) {
        for (int i = 0; i < V; i++) {
            rows[i] = 1;                                 /* all equal: 0 */
            rows[V + i] = NAN;                           /* all NaN: 0 */
            rows[2 * V + i] = i == 211 ? -1e30f : NAN;   /* one number */
            rows[3 * V + i] = -INFINITY;                 /* all -Inf: 0 */
            rows[4 * V + i] = i < 150 ? NAN : -INFINITY; /* the first -Inf */
        }
        rows[5 * V + 77] = rows[5 * V + 78] = rows[5 * V + 299] = 9; /* the lowest of three */
        rows[6 * V + 250] = rows[6 * V + 130] = INFINITY;
        rows[7 * V] = NAN;
        for (int i = 0; i < V; i++)
            rows[8 * V + i] = i % 2 ? 0.0f : -0.0f; /* equal: 0 */
    }
    op_case_output(c, pm_argmax(c->g, x), 0);
    op_case_end(run, c);
}

static void cases_argmax(op_run *run)
{
    static const int vocabs[] = {1,   2,   3,   7,   31,  32,   33,   63,    65,
                                 127, 129, 255, 256, 257, 1000, 4097, 32000, 49152};
    for (size_t i = 0; i < sizeof vocabs / sizeof vocabs[0]; i++) {
        argmax_case(run, vocabs[i], 3, 3, FILL_NORMAL);
        argmax_case(run, vocabs[i], 1, 1, i % 2 ? FILL_ZERO : FILL_NORMAL);
    }
    argmax_case(run, 100, 32, 17, FILL_NORMAL);
    argmax_case(run, 151937, 2, 2, FILL_NORMAL);
    argmax_case(run, 262144, 1, 1, FILL_NORMAL);
    argmax_special(run);
}

/* ---- sample ------------------------------------------------------------------------------------------------- */

typedef struct sample_settings {
    float temperature;
    int top_k;
    float top_p, min_p;
} sample_settings;

static const sample_settings settings[] = {
    {0, 0, 1, 0},       {1, 0, 1, 0},         {0.7f, 0, 1, 0},      {1.5f, 0, 1, 0},     {1, 1, 1, 0},
    {1, 5, 1, 0},       {0.8f, 40, 0.95f, 0}, {1, 0, 0.9f, 0},      {1, 0, 0.1f, 0},     {1, 0, 0, 0},
    {1, 0, 0.999f, 0},  {1, 0, 1, 0.05f},     {1.2f, 0, 1, 0.5f},   {1, 0, 1, 1},        {0.9f, 50, 0.9f, 0.1f},
    {1, 1000000, 1, 0}, {2, 3, 0.5f, 0.2f},   {0.05f, 0, 0.95f, 0}, {0, 10, 0.5f, 0.1f}, {10, 0, 1, 0},
};

static void sample_case(op_run *run, int vocab, int rows, int rows_now, const sample_settings *s, fill how,
                        const char *note)
{
    op_case *c =
        op_case_begin(run, PM_OP_SAMPLE, "v=%d r=%d now=%d temp=%g k=%d p=%g min_p=%g fill=%d%s", vocab, rows,
                      rows_now, (double)s->temperature, s->top_k, (double)s->top_p, (double)s->min_p, how, note);
    if (!c)
        return;
    pm_tensor *logits = op_case_input(c, how, PM_ROWS_OUTPUTS, 2, vocab, rows);
    float *data = op_case_data(c, logits);
    int64_t n = (int64_t)vocab * rows;
    for (int64_t i = 0; data && i < n; i++) {
        data[i] *= how == FILL_NORMAL ? 3 : 1; /* as peaked as logits are */
        if (note[0] == ' ' && note[1] == 't')  /* ties */
            data[i] = roundf(data[i] * 0.5f);
        if (note[0] == ' ' && note[1] == 'n' && i % 3 == 0)
            data[i] = i % 2 ? NAN : -INFINITY;
    }
    c->sampled = true;
    c->params.n_outputs = rows_now;
    c->params.temperature = s->temperature;
    c->params.top_k = s->top_k;
    c->params.top_p = s->top_p;
    c->params.min_p = s->min_p;
    c->params.seed_lo = op_random(c);
    c->params.seed_hi = op_random(c);
    c->params.draw = op_random(c) % 5000;
    op_case_output(c, pm_sample(c->g, logits, NULL), 0);
    op_case_end(run, c);
}

/* Every row with settings of its own; those of the run parameters must not count. */
static void own_settings(op_run *run, pm_op op, int vocab, int rows, int rows_now)
{
    enum { HISTORY = 20, N = sizeof settings / sizeof settings[0] };
    op_case *c =
        op_case_begin(run, op, "v=%d r=%d now=%d, each row with settings of its own", vocab, rows, rows_now);
    if (!c)
        return;
    pm_tensor *logits = op_case_input(c, FILL_NORMAL, PM_ROWS_OUTPUTS, 2, vocab, rows);
    pm_tensor *own = op_case_integers(c, PM_ROWS_OUTPUTS, PM_ROW_SAMPLING_WORDS, rows);
    pm_tensor *history = op_case_integers(c, PM_ROWS_OUTPUTS, HISTORY, rows);
    int32_t *words = op_case_data(c, own), *ids = op_case_data(c, history);
    for (int r = 0; words && ids && r < rows; r++) {
        const sample_settings *s = &settings[r % N];
        const struct pm_row_sampling row = {.n_history = r * 3 % (HISTORY + 9),
                                            .repeat_penalty = 1.0f + 0.1f * (float)(r % 5),
                                            .temperature = s->temperature,
                                            .top_k = s->top_k,
                                            .top_p = s->top_p,
                                            .min_p = s->min_p,
                                            .seed_lo = op_random(c),
                                            .seed_hi = op_random(c),
                                            .draw = op_random(c) % 5000};
        memcpy(words + r * PM_ROW_SAMPLING_WORDS, &row, sizeof row);
        for (int i = 0; i < HISTORY; i++)
            ids[r * HISTORY + i] = (int32_t)(op_random(c) % (uint32_t)(vocab + 2)) - 1;
    }
    c->sampled = op == PM_OP_SAMPLE;
    c->params.n_outputs = rows_now;
    c->params.n_history = 1;
    c->params.repeat_penalty = 7;
    c->params.temperature = 3;
    c->params.draw = 5;
    if (op == PM_OP_SAMPLE)
        op_case_output(c, pm_sample(c->g, logits, own), 0);
    else
        op_case_output(c, pm_repeat_penalty(c->g, logits, history, own), 1e-12);
    op_case_end(run, c);
}

/* Rows of nothing but NaN or -Inf: token 0, as argmax has it. */
static void sample_nothing(op_run *run)
{
    op_case *c = op_case_begin(run, PM_OP_SAMPLE, "all NaN, all -Inf, one number");
    if (!c)
        return;
    pm_tensor *logits = op_case_input(c, FILL_NORMAL, PM_ROWS_OUTPUTS, 2, 100, 3);
    float *data = op_case_data(c, logits);
    for (int i = 0; data && i < 100; i++) {
        data[i] = NAN;
        data[100 + i] = -INFINITY;
        data[200 + i] = i == 63 ? -5.0f : NAN;
    }
    c->sampled = true;
    c->params.temperature = 1;
    c->params.top_k = 10;
    c->params.top_p = 0.9f;
    op_case_output(c, pm_sample(c->g, logits, NULL), 0);
    op_case_end(run, c);
}

static void cases_sample(op_run *run)
{
    static const int vocabs[] = {1, 2, 3, 33, 257, 1000};
    enum { N_SETTINGS = sizeof settings / sizeof settings[0] };
    for (int k = 0; k < N_SETTINGS; k++) {
        for (size_t i = 0; i < sizeof vocabs / sizeof vocabs[0]; i++)
            sample_case(run, vocabs[i], i % 2 ? 16 : 3, i % 2 ? 16 : 3, &settings[k], FILL_NORMAL, "");
        sample_case(run, 200, 32, 20, &settings[k], FILL_NORMAL, " ties");
        sample_case(run, 150, 8, 8, &settings[k], FILL_NORMAL, " nan");
        sample_case(run, 600, 4, 4, &settings[k], FILL_ZERO, "");
    }
    for (int k = 5; k < N_SETTINGS; k += 4) {
        sample_case(run, 49152, 2, 2, &settings[k], FILL_NORMAL, "");
        sample_case(run, 151937, 1, 1, &settings[k], FILL_NORMAL, "");
    }
    sample_nothing(run);
    own_settings(run, PM_OP_SAMPLE, 300, 40, 40);
    own_settings(run, PM_OP_SAMPLE, 4097, 20, 13);
    own_settings(run, PM_OP_REPEAT_PENALTY, 300, 40, 33);
    own_settings(run, PM_OP_REPEAT_PENALTY, 49152, 3, 3);
}

void op_cases_choice(op_run *run)
{
    cases_repeat_penalty(run);
    cases_argmax(run);
    cases_sample(run);
}
