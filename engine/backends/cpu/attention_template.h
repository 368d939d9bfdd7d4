/* Attention with an online softmax, written once in the vectors of simd_<isa>.h.
 *
 * Many queries (attention_tile): a lane is a query, so that maxima, sums and rescaling need no sums across lanes.
 * The queries of a kv head (tokens times heads of its group) are taken 2 VF_N at a time, transposed to [D][lanes];
 * keys and values come 64 at a time as floats. Scores and the weighted sum of values are then the same small
 * product: a value of K or V repeated over the lanes, times a row of queries or of weights.
 *
 * One query a head (attention_part): a lane is a dimension; the group's heads share each key and value that is
 * read. Parts over ranges of slots are merged later by their highest scores and sums (attention_cpu.c).
 */
#include "backends/cpu/cpu_kernels.h"

#ifndef ATTENTION_ROWS
#error "define ATTENTION_ROWS: the rows of the small product that are held in registers"
#endif

enum { LANES = 2 * VF_N, HEADS = 4 };

/* n_rows rows of C [.., LANES] (each scaled by `keep` first where it is not NULL, else from zero) plus
 * sum over k of A(row, k) B[k][LANES], where A(row, k) = a[row * row_step + k * k_step]. */
SIMD void lane_product(const float *a, int64_t row_step, int64_t k_step, const float *b, int64_t n_k,
                       const vf *keep, float *c, int n_rows)
{
    vf sums[ATTENTION_ROWS][2];
    for (int r = 0; r < n_rows; r++)
        for (int v = 0; v < 2; v++) {
            sums[r][v] = vf_set1(0);
            if (keep)
                sums[r][v] = vf_load(c + r * LANES + v * VF_N) * keep[v];
        }
    for (int64_t k = 0; k < n_k; k++) {
        vf b0 = vf_load(b + k * LANES), b1 = vf_load(b + k * LANES + VF_N);
        for (int r = 0; r < n_rows; r++) {
            vf value = vf_set1(a[r * row_step + k * k_step]);
            sums[r][0] = vf_fma(value, b0, sums[r][0]);
            sums[r][1] = vf_fma(value, b1, sums[r][1]);
        }
    }
    for (int r = 0; r < n_rows; r++)
        for (int v = 0; v < 2; v++)
            vf_store(c + r * LANES + v * VF_N, sums[r][v]);
}

static void lane_products(const float *a, int64_t row_step, int64_t k_step, const float *b, int64_t n_k,
                          const vf *keep, float *c, int64_t n_rows)
{
    int64_t r = 0;
    for (; r + ATTENTION_ROWS <= n_rows; r += ATTENTION_ROWS)
        lane_product(a + r * row_step, row_step, k_step, b, n_k, keep, c + r * LANES, ATTENTION_ROWS);
    for (; r < n_rows; r++)
        lane_product(a + r * row_step, row_step, k_step, b, n_k, keep, c + r * LANES, 1);
}

/* Where slot (with pages: position) `at` lies, and how many of at most `n` follow it there. */
static inline int64_t slot_of(const pm_cpu_attention *job, int64_t at, int64_t *n)
{
    if (!job->pages)
        return at;
    int64_t within = at % job->page, left = job->page - within;
    *n = *n < left ? *n : left;
    int64_t page = job->pages[at / job->page];
    return (page < 0 ? 0 : page < job->n_pages ? page : job->n_pages - 1) * job->page + within;
}

/* Numbers at .. at + VF_N of a cache, counted from its first; in Q8_0 all of one block. */
SIMD vf cache_vector(pm_type type, const void *cache, int64_t at)
{
    enum { BLOCK = 32, BLOCK_BYTES = 34 };
    if (type == PM_TYPE_F32)
        return vf_load((const float *)cache + at);
    if (type == PM_TYPE_F16)
        return vf_load_f16((const uint16_t *)cache + at);
    const char *block = (const char *)cache + at / BLOCK * BLOCK_BYTES;
    uint16_t scale, scales[VF_N];
    memcpy(&scale, block, sizeof scale);
    for (int i = 0; i < VF_N; i++)
        scales[i] = scale;
    return vf_load_i8((const int8_t *)block + 2 + at % BLOCK) * vf_load_f16(scales);
}

/* n_slots rows of the cache from `slot` on as floats: where they lie, or converted into scratch. */
static const float *cache_rows(const pm_cpu_attention *job, const void *cache, int64_t slot, int64_t n_slots,
                               float *scratch)
{
    int64_t n = n_slots * job->head_dim, first = slot * job->head_dim, i = 0;
    if (job->cache_type == PM_TYPE_F32)
        return (const float *)cache + first;
    if (job->cache_type == PM_TYPE_Q8_0)
        for (; i < n; i += VF_N)
            vf_store(scratch + i, cache_vector(PM_TYPE_Q8_0, cache, first + i));
    for (; i + VF_N <= n; i += VF_N)
        vf_store(scratch + i, cache_vector(PM_TYPE_F16, cache, first + i));
    if (i < n) {
        uint16_t last[VF_N] = {0};
        memcpy(last, (const uint16_t *)cache + first + i, (size_t)(n - i) * sizeof *last);
        vf_store_part(scratch + i, vf_load_f16(last), n - i);
    }
    return scratch;
}

typedef struct lane_state {
    float first[LANES], last[LANES];   /* the slots that each query sees */
    int64_t all_first, all_last;       /* of all queries together */
    int64_t common_first, common_last; /* the slots that all of them see */
    int64_t own[LANES];                /* the slot of each query */
    vf highest[2], sum[2];
} lane_state;

static void take_queries(const pm_cpu_attention *job, int64_t first, int64_t n, float *queries, lane_state *state)
{
    state->all_first = state->common_last = INT64_MAX;
    state->all_last = state->common_first = 0;
    for (int64_t lane = 0; lane < LANES; lane++) {
        int64_t query = first + (lane < n ? lane : n - 1), token = query / job->group;
        pm_attention_span span = pm_attention_span_of(job->node, job->positions, token);
        int64_t begin = span.first, last = span.last;
        state->own[lane] = span.own;
        state->first[lane] = (float)begin;
        state->last[lane] = (float)last;
        state->all_first = begin < state->all_first ? begin : state->all_first;
        state->all_last = last > state->all_last ? last : state->all_last;
        state->common_first = begin > state->common_first ? begin : state->common_first;
        state->common_last = last < state->common_last ? last : state->common_last;
        const float *q = job->q + token * job->row_stride + query % job->group * job->head_dim;
        for (int64_t d = 0; d < job->head_dim; d++)
            queries[d * LANES + lane] = q[d] * job->scale;
    }
    for (int v = 0; v < 2; v++) {
        state->highest[v] = vf_set1(-INFINITY);
        state->sum[v] = vf_set1(0);
    }
}

/* The bias of the score that a query at slot `own` gives slot j. */
static inline float bias_of(const float *bias, int64_t n_bias, int64_t own, int64_t j)
{
    int64_t most = n_bias / 2, distance = j - own;
    return bias[(distance < -most ? -most : distance > most ? most : distance) + most];
}

/* Soft cap and relative positions on the scores of n_slots slots from `slot` on. */
static void adjust_lanes(const pm_cpu_attention *job, const lane_state *state, int64_t first, int64_t n,
                         int64_t slot, int64_t n_slots, float *scores)
{
    if (job->softcap > 0)
        rows_softcap(scores, n_slots * LANES, job->softcap, scores);
    for (int64_t lane = 0; job->bias && lane < n; lane++) {
        const float *bias = job->bias + (first + lane) % job->group * job->n_bias;
        for (int64_t i = 0; i < n_slots; i++)
            scores[i * LANES + lane] += bias_of(bias, job->n_bias, state->own[lane], slot + i);
    }
}

/* Scores to weights, exp(score - highest); keep: by how much what was summed before shrinks. */
static void weigh(lane_state *state, float *scores, int64_t slot, int64_t n_slots, vf *keep)
{
    bool mask = slot < state->common_first || slot + n_slots - 1 > state->common_last;
    vf low = vf_set1(-INFINITY);
    for (int v = 0; v < 2; v++) {
        vf first = vf_load(state->first + v * VF_N), last = vf_load(state->last + v * VF_N);
        float *column = scores + v * VF_N;
        vf top = state->highest[v];
        for (int64_t i = 0; i < n_slots; i++) {
            vf score = vf_load(column + i * LANES);
            if (mask) {
                vf at = vf_set1((float)(slot + i));
                score = vf_where_le(first, at, vf_where_le(at, last, score, low), low);
                vf_store(column + i * LANES, score);
            }
            top = vf_max(score, top);
        }
        vf base = vf_where_le(top, low, vf_set1(0), top); /* nothing seen yet: any base but -Inf */
        keep[v] = vf_exp(state->highest[v] - base);
        vf sum = state->sum[v] * keep[v];
        for (int64_t i = 0; i < n_slots; i++) {
            vf weight = vf_exp(vf_load(column + i * LANES) - base);
            vf_store(column + i * LANES, weight);
            sum = sum + weight;
        }
        state->highest[v] = top;
        state->sum[v] = sum;
    }
}

static void attention_tile(const pm_cpu_attention *job, int64_t first, int64_t n, float *scratch)
{
    int64_t head_dim = job->head_dim;
    float *queries = scratch, *mixed = queries + head_dim * LANES, *scores = mixed + head_dim * LANES;
    float *rows = scores + PM_CPU_KEYS * LANES;
    lane_state state;
    take_queries(job, first, n, queries, &state);
    memset(mixed, 0, (size_t)head_dim * LANES * sizeof *mixed);
    for (int64_t slot = state.all_first, n_slots; slot <= state.all_last; slot += n_slots) {
        int64_t left = state.all_last - slot + 1;
        n_slots = left < PM_CPU_KEYS ? left : PM_CPU_KEYS;
        int64_t at = slot_of(job, slot, &n_slots);
        vf keep[2];
        const float *keys = cache_rows(job, job->keys, at, n_slots, rows);
        lane_products(keys, head_dim, 1, queries, head_dim, NULL, scores, n_slots);
        adjust_lanes(job, &state, first, n, slot, n_slots, scores);
        weigh(&state, scores, slot, n_slots, keep);
        const float *values = cache_rows(job, job->values, at, n_slots, rows);
        lane_products(values, 1, head_dim, scores, n_slots, keep, mixed, head_dim);
    }
    float inverse[LANES];
    for (int v = 0; v < 2; v++)
        vf_store(inverse + v * VF_N, vf_set1(1.0f) / state.sum[v]);
    for (int64_t lane = 0; lane < n; lane++) {
        int64_t query = first + lane;
        float *out = job->out + query / job->group * job->row_stride + query % job->group * head_dim;
        for (int64_t d = 0; d < head_dim; d++)
            out[d] = mixed[d * LANES + lane] * inverse[lane];
    }
}

/* ---- one token ---------------------------------------------------------------------------------------------- */

/* Memory that will be read soon, asked for little by little while other work goes on: a page of the cache is too
 * short for the processor to see a stream, and without this attention of many sequences mostly waits. */
typedef struct fetch_ahead {
    const unsigned char *at, *end;
    int64_t step;
} fetch_ahead;

/* `rows` rows of the cache from `at` on (NULL: none), in n steps. */
static inline fetch_ahead fetch_of(const pm_cpu_attention *job, const void *at, int64_t rows, int64_t n)
{
    int64_t bytes = at ? rows * job->row_bytes : 0;
    return (fetch_ahead){
        .at = at, .end = (const unsigned char *)at + bytes, .step = (rows + n - 1) / n * job->row_bytes};
}

static inline void fetch_some(fetch_ahead *f)
{
    if (f->at >= f->end)
        return;
    pm_cpu_fetch(f->at, f->step);
    f->at += f->step;
}

static inline const void *row_of(const pm_cpu_attention *job, const void *cache, int64_t slot)
{
    return (const char *)cache + slot * job->row_bytes;
}

/* scores[h][i] = scale q_h . k_(slot + i) for n_heads (constant at each call) heads from q on. */
SIMD void part_scores(const pm_cpu_attention *job, const float *q, int n_heads, int64_t slot, int64_t n_slots,
                      float (*scores)[PM_CPU_KEYS])
{
    vf scale = vf_set1(job->scale);
    fetch_ahead values = fetch_of(job, row_of(job, job->values, slot), n_slots, n_slots);
    for (int64_t first = 0; first < n_slots; first += VF_N) {
        vf sums[HEADS][VF_N];
        int64_t n = n_slots - first < VF_N ? n_slots - first : VF_N;
        for (int h = 0; h < n_heads && n < VF_N; h++)
            for (int64_t i = n; i < VF_N; i++)
                sums[h][i] = vf_set1(0);
        for (int64_t i = 0; i < n; i++) {
            vf dot[HEADS];
            for (int h = 0; h < n_heads; h++)
                dot[h] = vf_set1(0);
            fetch_some(&values);
            for (int64_t d = 0; d < job->head_dim; d += VF_N) {
                vf key = cache_vector(job->cache_type, job->keys, (slot + first + i) * job->head_dim + d);
                for (int h = 0; h < n_heads; h++)
                    dot[h] = vf_fma(key, vf_load(q + h * job->head_dim + d), dot[h]);
            }
            for (int h = 0; h < n_heads; h++)
                sums[h][i] = dot[h];
        }
        for (int h = 0; h < n_heads; h++)
            vf_store(scores[h] + first, vf_sums(sums[h]) * scale);
    }
}

/* Likewise for one head of the one token. */
static void adjust_head(const pm_cpu_attention *job, int64_t head, int64_t slot, int64_t n_slots, float *scores)
{
    if (job->softcap > 0)
        rows_softcap(scores, n_slots, job->softcap, scores);
    if (!job->bias)
        return;
    int64_t own = pm_attention_span_of(job->node, job->positions, 0).own;
    for (int64_t i = 0; i < n_slots; i++)
        scores[i] += bias_of(job->bias + head * job->n_bias, job->n_bias, own, slot + i);
}

/* partial[h][0 .. D) = keep[h] * itself + sum_i scores[h][i] v_(slot + i) */
SIMD void part_values(const pm_cpu_attention *job, int n_heads, int64_t slot, int64_t n_slots,
                      float (*scores)[PM_CPU_KEYS], const float *keep, float *partial, int n_vectors, int64_t d0,
                      fetch_ahead *next)
{
    int64_t stride = job->head_dim + 2;
    vf sums[HEADS][4];
    for (int h = 0; h < n_heads; h++)
        for (int v = 0; v < n_vectors; v++)
            sums[h][v] = vf_load(partial + h * stride + d0 + v * VF_N) * vf_set1(keep[h]);
    for (int64_t i = 0; i < n_slots; i++) {
        fetch_some(next);
        for (int v = 0; v < n_vectors; v++) {
            vf value = cache_vector(job->cache_type, job->values, (slot + i) * job->head_dim + d0 + v * VF_N);
            for (int h = 0; h < n_heads; h++)
                sums[h][v] = vf_fma(value, vf_set1(scores[h][i]), sums[h][v]);
        }
    }
    for (int h = 0; h < n_heads; h++)
        for (int v = 0; v < n_vectors; v++)
            vf_store(partial + h * stride + d0 + v * VF_N, sums[h][v]);
}

/* The keys from slot (with pages: position) `at` on, or where that is the end those of the work that follows. */
static inline fetch_ahead next_keys(const pm_cpu_attention *job, int64_t at, int64_t end, int64_t n_steps)
{
    int64_t rows = job->pages && job->page < PM_CPU_KEYS ? job->page : PM_CPU_KEYS;
    if (at >= end)
        return fetch_of(job, job->next, rows, n_steps);
    rows = end - at < rows ? end - at : rows;
    return fetch_of(job, row_of(job, job->keys, slot_of(job, at, &rows)), rows, n_steps);
}

/* Heads [head, head + n_heads) of the group. */
SIMD void part_heads(const pm_cpu_attention *job, int64_t head, int n_heads, int64_t begin, int64_t end,
                     float *partial)
{
    const float *q = job->q + head * job->head_dim;
    int64_t head_dim = job->head_dim, stride = head_dim + 2;
    partial += head * stride;
    float scores[HEADS][PM_CPU_KEYS], keep[HEADS];
    for (int h = 0; h < n_heads; h++) {
        memset(partial + h * stride, 0, (size_t)stride * sizeof *partial);
        partial[h * stride + head_dim] = -INFINITY;
    }
    for (int64_t slot = begin, n_slots; slot < end; slot += n_slots) {
        n_slots = end - slot < PM_CPU_KEYS ? end - slot : PM_CPU_KEYS;
        int64_t at = slot_of(job, slot, &n_slots);
        part_scores(job, q, n_heads, at, n_slots, scores);
        for (int h = 0; h < n_heads && (job->softcap > 0 || job->bias); h++)
            adjust_head(job, head + h, slot, n_slots, scores[h]);
        for (int h = 0; h < n_heads; h++) {
            float *highest = partial + h * stride + head_dim, *sum = highest + 1;
            float top = rows_highest(scores[h], n_slots);
            top = top > *highest ? top : *highest;
            float base = top > -INFINITY ? top : 0, shrink[1] = {*highest};
            rows_exp_scaled(shrink, 1, base, 1, keep + h);
            rows_exp_scaled(scores[h], n_slots, base, 1, scores[h]);
            *highest = top;
            *sum *= keep[h];
            for (int64_t i = 0; i < n_slots; i++)
                *sum += scores[h][i];
        }
        fetch_ahead next = next_keys(job, slot + n_slots, end, n_slots);
        int64_t d = 0;
        for (; d + 4 * VF_N <= head_dim; d += 4 * VF_N)
            part_values(job, n_heads, at, n_slots, scores, keep, partial, 4, d, &next);
        for (; d < head_dim; d += VF_N)
            part_values(job, n_heads, at, n_slots, scores, keep, partial, 1, d, &next);
    }
}

static void attention_part(const pm_cpu_attention *job, int64_t begin, int64_t end, float *partial)
{
    int64_t h = 0;
    for (; h + 4 <= job->group; h += 4)
        part_heads(job, h, 4, begin, end, partial);
    if (job->group - h == 3)
        part_heads(job, h, 3, begin, end, partial);
    else
        for (; h < job->group; h++)
            part_heads(job, h, 1, begin, end, partial);
}
