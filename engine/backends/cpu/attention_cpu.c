/* attention on the cpu backend: which queries and slots a thread takes. The arithmetic is in attention_template.h.
 *
 * Several tokens: an item is a tile of queries of one kv head, the longest first. One token: an item is a kv head
 * and a part of the slots; the thread that finishes a kv head's last part merges them, by
 *     out = sum_i exp(highest_i - highest) mixed_i / sum_i exp(highest_i - highest) sum_i
 *
 * Where only products with quantised weights read the result, whoever has finished heads of a token brings these
 * to 8 bits.
 *
 * Several sequences over pages: an item is a tile of queries of one kv head and one sequence, or a single token of
 * a sequence, taken as one part.
 */
#include "backends/cpu/cpu_backend.h"

#include <math.h>

enum { PART_SLOTS = 64 };
enum { Q, K_CACHE, V_CACHE, POSITIONS, BIAS, PAGES };

typedef struct attention_shape {
    int64_t head_dim, n_heads, n_kv_heads, group, n_ctx, n_tokens, n_tiles;
    bool one_token, by_sequence;
    int64_t begin, end, n_parts; /* of one token: the slots it sees, and in how many parts they are taken */
} attention_shape;

static attention_shape shape_of(const pm_cpu_step *step, const pm_cpu_context *context)
{
    const pm_tensor *q = step->node->in[Q], *k = step->node->in[K_CACHE];
    attention_shape s = {.head_dim = q->dim[0], .n_heads = q->dim[1], .n_kv_heads = k->dim[2], .n_ctx = k->dim[1]};
    s.group = s.n_heads / s.n_kv_heads;
    s.n_tokens = pm_tensor_rows_now(q, context->params) / s.n_heads;
    int64_t lanes = context->kernels->attention_lanes;
    s.n_tiles = (s.n_tokens * s.group + lanes - 1) / lanes;
    s.by_sequence = s.n_tokens > 1 && step->node->in[PAGES];
    s.one_token = s.n_tokens == 1 && s.head_dim % context->kernels->attention_vector == 0;
    if (s.one_token) {
        pm_attention_span span = pm_attention_span_of(step->node, step->in[POSITIONS], 0);
        s.begin = span.first;
        s.end = span.last + 1;
        int64_t wanted = (4 * context->n_threads + s.n_kv_heads - 1) / s.n_kv_heads;
        s.n_parts = (s.end - s.begin + PART_SLOTS - 1) / PART_SLOTS;
        s.n_parts = s.n_parts < wanted ? s.n_parts : wanted;
        s.n_parts = s.n_parts < PM_CPU_ATTENTION_PARTS ? s.n_parts : PM_CPU_ATTENTION_PARTS;
    }
    return s;
}

/* A run of tokens of one sequence, [first, end), and the items that each kv head has of it. */
typedef struct token_run {
    int64_t first, end, n_items;
    bool alone; /* one token, taken as a part: its sums fit the scratch memory of a tile */
} token_run;

static token_run run_from(const pm_cpu_step *step, const pm_cpu_context *context, const attention_shape *s,
                          int64_t first)
{
    const int32_t *places = step->in[POSITIONS];
    int64_t lanes = context->kernels->attention_lanes;
    token_run r = {.first = first, .end = first + 1};
    while (r.end < s->n_tokens && places[2 * r.end + 1] == places[2 * first + 1])
        r.end++;
    r.alone = r.end == first + 1 && s->head_dim % context->kernels->attention_vector == 0 &&
              (size_t)(s->group * (s->head_dim + 2)) <= PM_CPU_ATTENTION_SCRATCH(s->head_dim);
    r.n_items = r.alone ? 1 : ((r.end - first) * s->group + lanes - 1) / lanes;
    return r;
}

static int64_t items(const pm_cpu_step *step, const pm_cpu_context *context)
{
    attention_shape s = shape_of(step, context);
    if (s.by_sequence) {
        int64_t n = 0;
        for (int64_t t = 0; t < s.n_tokens;) {
            token_run r = run_from(step, context, &s, t);
            n += r.n_items * s.n_kv_heads;
            t = r.end;
        }
        return n;
    }
    return s.one_token ? s.n_kv_heads * s.n_parts : s.n_kv_heads * s.n_tiles;
}

/* The tokens of the job are those from `token` on; with pages all of them must be of one sequence. */
static pm_cpu_attention job_of(const pm_cpu_step *step, const attention_shape *s, int64_t token, int64_t kv_head)
{
    const pm_attention_args *args = PM_ARGS(step->node, pm_attention_args);
    const pm_tensor *bias = step->node->in[BIAS], *pages = step->node->in[PAGES];
    const int32_t *positions = step->in[POSITIONS];
    int64_t sequence = pages ? pm_attention_span_of(step->node, positions, token).sequence : 0;
    pm_type type = step->node->in[K_CACHE]->type;
    size_t row_bytes = pm_type_row_bytes(type, s->head_dim), cache_at = (size_t)(kv_head * s->n_ctx) * row_bytes;
    int64_t head_at = (token * s->n_heads + kv_head * s->group) * s->head_dim;
    return (pm_cpu_attention){
        .q = (const float *)step->in[Q] + head_at,
        .out = (float *)step->out + head_at,
        .row_stride = s->n_heads * s->head_dim,
        .keys = (const char *)step->in[K_CACHE] + cache_at,
        .values = (const char *)step->in[V_CACHE] + cache_at,
        .cache_type = type,
        .row_bytes = (int64_t)row_bytes,
        .node = step->node,
        .positions =
            positions + token * (step->node->in[POSITIONS]->n_dims == 1 ? 1 : step->node->in[POSITIONS]->dim[0]),
        .pages = pages ? (const int32_t *)step->in[PAGES] + sequence * pages->dim[0] : NULL,
        .page = args->page,
        .n_pages = pages ? s->n_ctx / args->page : 0,
        .bias = bias ? (const float *)step->in[BIAS] + kv_head * s->group * bias->dim[0] : NULL,
        .n_bias = bias ? bias->dim[0] : 0,
        .head_dim = s->head_dim,
        .group = s->group,
        .n_tokens = s->n_tokens - token,
        .scale = args->scale,
        .softcap = args->softcap,
    };
}

/* The result of n heads of a token, from `head` on, to 8 bits where these are wanted. */
static void finish_heads(const pm_cpu_step *step, const pm_cpu_context *context, const attention_shape *s,
                         int64_t token, int64_t head, int64_t n)
{
    const float *out = (const float *)step->out + (token * s->n_heads + head) * s->head_dim;
    if (step->made_acts.blocks)
        pm_cpu_quantize_part(step, context, out, token, head * s->head_dim, n * s->head_dim);
}

/* A tile: queries [first, first + n) of the tokens from `token` on. */
static void run_tile(const pm_cpu_step *step, const pm_cpu_context *context, const attention_shape *s,
                     int64_t token, int64_t kv_head, int64_t first, int64_t n)
{
    pm_cpu_attention job = job_of(step, s, token, kv_head);
    context->kernels->attention_tile(&job, first, n, context->scratch);
    for (int64_t query = first; query < first + n; query++)
        finish_heads(step, context, s, token + query / s->group, kv_head * s->group + query % s->group, 1);
}

static float *partial_at(const pm_cpu_step *step, const attention_shape *s, int64_t kv_head, int64_t part)
{
    return step->packed + (kv_head * PM_CPU_ATTENTION_PARTS + part) * s->group * (s->head_dim + 2);
}

/* One head of the group: its n_parts parts, each `stride` behind the one before. */
static void merge_head(const float *parts, int64_t n_parts, int64_t stride, int64_t n, float *out)
{
    float highest = -INFINITY, total = 0;
    for (int64_t part = 0; part < n_parts; part++)
        highest = fmaxf(highest, parts[part * stride + n]);
    for (int64_t d = 0; d < n; d++)
        out[d] = 0;
    for (int64_t part = 0; part < n_parts; part++) {
        const float *mixed = parts + part * stride;
        float weight = n_parts == 1 || mixed[n] == highest ? 1 : expf(mixed[n] - highest);
        total += weight * mixed[n + 1];
        for (int64_t d = 0; d < n; d++)
            out[d] += weight * mixed[d];
    }
    float inverse = 1 / total;
    for (int64_t d = 0; d < n; d++)
        out[d] *= inverse;
}

static void run_part(const pm_cpu_step *step, const pm_cpu_context *context, const attention_shape *s,
                     int64_t item)
{
    int64_t kv_head = item / s->n_parts, part = item % s->n_parts, n = s->end - s->begin;
    pm_cpu_attention job = job_of(step, s, 0, kv_head);
    context->kernels->attention_part(&job, s->begin + n * part / s->n_parts,
                                     s->begin + n * (part + 1) / s->n_parts, partial_at(step, s, kv_head, part));
    if (atomic_fetch_add(&step->done[kv_head], 1) + 1 < s->n_parts)
        return;
    for (int64_t head = 0; head < s->group; head++)
        merge_head(partial_at(step, s, kv_head, 0) + head * (s->head_dim + 2), s->n_parts,
                   s->group * (s->head_dim + 2), s->head_dim, job.out + head * s->head_dim);
    finish_heads(step, context, s, 0, kv_head * s->group, s->group);
}

/* The first keys of the kv head after this one, be it of the next token. */
static const void *keys_after(const pm_cpu_step *step, const attention_shape *s, int64_t token, int64_t kv_head)
{
    token += kv_head + 1 == s->n_kv_heads;
    if (token == s->n_tokens)
        return NULL;
    pm_cpu_attention job = job_of(step, s, token, (kv_head + 1) % s->n_kv_heads);
    int64_t first = pm_attention_span_of(step->node, step->in[POSITIONS], token).first;
    int64_t page = pm_cpu_clamp(job.pages[first / job.page], job.n_pages);
    return (const char *)job.keys + page * job.page * job.row_bytes;
}

/* One token of a sequence that has no other in this pass. */
static void run_alone(const pm_cpu_step *step, const pm_cpu_context *context, const attention_shape *s,
                      int64_t token, int64_t kv_head)
{
    pm_cpu_attention job = job_of(step, s, token, kv_head);
    pm_attention_span span = pm_attention_span_of(step->node, step->in[POSITIONS], token);
    job.next = keys_after(step, s, token, kv_head);
    context->kernels->attention_part(&job, span.first, span.last + 1, context->scratch);
    for (int64_t head = 0; head < s->group; head++) {
        const float *mixed = context->scratch + head * (s->head_dim + 2);
        context->kernels->scale(mixed, s->head_dim, 1 / mixed[s->head_dim + 1], job.out + head * s->head_dim);
    }
    finish_heads(step, context, s, token, kv_head * s->group, s->group);
}

static void run_by_sequence(const pm_cpu_step *step, const pm_cpu_context *context, const attention_shape *s,
                            int64_t begin, int64_t end)
{
    int64_t lanes = context->kernels->attention_lanes, at = 0;
    for (int64_t t = 0; t < s->n_tokens && at < end;) {
        token_run r = run_from(step, context, s, t);
        for (int64_t i = 0; i < r.n_items * s->n_kv_heads; i++, at++) {
            int64_t kv_head = i % s->n_kv_heads, first = i / s->n_kv_heads * lanes;
            int64_t left = (r.end - r.first) * s->group - first;
            if (at < begin || at >= end)
                continue;
            if (r.alone) {
                run_alone(step, context, s, t, kv_head);
                continue;
            }
            run_tile(step, context, s, t, kv_head, first, left < lanes ? left : lanes);
        }
        t = r.end;
    }
}

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    attention_shape s = shape_of(step, context);
    if (s.by_sequence) {
        run_by_sequence(step, context, &s, begin, end);
        return;
    }
    for (int64_t item = begin; item < end; item++) {
        if (s.one_token) {
            run_part(step, context, &s, item);
            continue;
        }
        int64_t lanes = context->kernels->attention_lanes, first = (s.n_tiles - 1 - item / s.n_kv_heads) * lanes;
        int64_t left = s.n_tokens * s.group - first;
        run_tile(step, context, &s, 0, item % s.n_kv_heads, first, left < lanes ? left : lanes);
    }
}

static size_t scratch(const pm_cpu_step *step)
{
    return PM_CPU_ATTENTION_SCRATCH(step->node->in[0]->dim[0]);
}

const pm_cpu_step_kind pm_cpu_step_attention = {
    .name = "attention", .items = items, .run = run, .grain = pm_cpu_grain_one, .scratch = scratch};
