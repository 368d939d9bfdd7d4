/* The ops: what each means. One builder a op, its arguments, and its reference kernel.
 *
 * Shapes are written innermost first: [C, T] is T rows of C contiguous values. F32 unless said otherwise. T may be
 * counted by a run parameter (pm_tensor.rows): only the rows of the run are computed, the others are left as they
 * were. Builders check types and shapes, and on a mistake mark the graph as failed and return NULL.
 *
 * NaN and Inf: arithmetic ops propagate them as IEEE arithmetic does. Ops that choose (argmax, sample) never
 * choose a NaN while there is another value. Inputs that index (ids, positions, rows) are clamped into range by
 * every kernel, so that a wrong one reads a wrong row but never outside the tensor; the host checks them before
 * the run.
 */
#ifndef PUMICE_OPS_OPS_H
#define PUMICE_OPS_OPS_H

#include "graph/graph.h"

/* out[C, T] = table[:, ids[t]], table: any float or quantised type [C, V], ids: I32 [T].
 * Also selects rows of activations: table F32 [C, V]. */
pm_tensor *pm_embedding(pm_graph *g, const pm_tensor *table, const pm_tensor *ids);

/* out[N, T] = weight[K, N]^T x[K, T] (+ bias[N]) (+ residual[N, T]). weight: any float or quantised type; bias and
 * residual: F32 or NULL. Kernels may quantise x to 8 bits a value with one scale for 32 values where the weight is
 * quantised. */
pm_tensor *pm_matmul(pm_graph *g, const pm_tensor *weight, const pm_tensor *x, const pm_tensor *bias,
                     const pm_tensor *residual);

/* RMSNorm over dim[0]: out = x / sqrt(mean(x^2) + eps) * weight. weight: F32 [C] or NULL.
 * x: [C, ...]. Source: Zhang and Sennrich 2019, arXiv:1910.07467. */
typedef struct pm_rms_norm_args {
    float eps;
} pm_rms_norm_args;
pm_tensor *pm_rms_norm(pm_graph *g, const pm_tensor *x, const pm_tensor *weight, float eps);

/* LayerNorm over dim[0]: out = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, var with divisor C. weight and
 * bias: F32 [C] or NULL. x: [C, ...]. Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450. */
typedef struct pm_layer_norm_args {
    float eps;
} pm_layer_norm_args;
pm_tensor *pm_layer_norm(pm_graph *g, const pm_tensor *x, const pm_tensor *weight, const pm_tensor *bias,
                         float eps);

/* Rotary position embedding of x [D, H, T] at positions I32 [T], on the first n_rot values of each head; the rest
 * is copied. Pairs: (i, i + n_rot/2) as in GPT-NeoX, or (2i, 2i + 1) when interleaved, as in LLaMA's own files.
 * Angles come from a table that the model makes once in double precision, whatever the scaling form (linear, LLaMA
 * 3, YaRN): table F32 [2, n_rot/2, PM_ROPE_FINE + n_coarse], entry p < PM_ROPE_FINE holding (cos, sin) of the
 * angle at position p, and entry PM_ROPE_FINE + c that at position c * PM_ROPE_FINE (times the form's magnitude).
 * The angle addition formula then gives any position exactly enough, which float range reduction on a GPU does
 * not. Source: Su et al. 2021, arXiv:2104.09864; Peng et al. 2023 (YaRN), arXiv:2309.00071. */
enum { PM_ROPE_FINE = 128 };
typedef struct pm_rope_args {
    int32_t n_rot;
    int32_t interleaved; /* 0 or 1 */
} pm_rope_args;
pm_tensor *pm_rope(pm_graph *g, const pm_tensor *x, const pm_tensor *positions, const pm_tensor *table,
                   int32_t n_rot, bool interleaved);

/* The scaling forms of RoPE, and the table of angles for all positions below max_position. dims: [2, n_rot/2,
 * PM_ROPE_FINE + n_coarse]. *table is the caller's to free(). Computed in double. */
typedef enum pm_rope_form { PM_ROPE_NONE, PM_ROPE_LINEAR, PM_ROPE_LLAMA3, PM_ROPE_YARN } pm_rope_form;
typedef struct pm_rope_scaling {
    int32_t n_rot;
    float base;
    pm_rope_form form;
    float factor;           /* how many times longer the context became; 1: not */
    int32_t n_ctx_original; /* context that the model was trained on before scaling: LLaMA 3, YaRN */
    float low_freq_factor, high_freq_factor; /* LLaMA 3 */
    float beta_fast, beta_slow;              /* YaRN; 32 and 1 in the paper */
    float attn_factor; /* YaRN: multiplies the magnitude 0.1 ln(factor) + 1 of cosines and sines; 0 means 1 */
    const float *freq_factors; /* [n_rot/2]: angles are divided by it, as GGUF's rope_freqs.weight; NULL: none */
} pm_rope_scaling;
pm_status pm_rope_table(const pm_rope_scaling *scaling, int64_t max_position, float **table, int64_t dims[3],
                        pm_error *err);

/* Writes rows into a KV cache: cache[:, positions[t], h] = rows[:, h, t], converted to the cache's type.
 * rows [D, H, T]; cache: state, [D, ctx, H], of F32, F16, or Q8_0 with D a multiple of 64 (in all ops on caches).
 * Returns the cache. */
pm_tensor *pm_kv_store(pm_graph *g, pm_tensor *cache, const pm_tensor *rows, const pm_tensor *positions);

/* Copies slots within a KV cache: cache[:, to[n], h] = cache[:, from[n], h] for every head. from and to: I32 [N],
 * counted alike; no slot of `to` may occur twice, or in `from`. cache: state, [D, ctx, H], of F32, Q8_0, or F16
 * with an even D. Returns the cache. */
pm_tensor *pm_kv_copy(pm_graph *g, pm_tensor *cache, const pm_tensor *from, const pm_tensor *to);

/* Attention over the cache. Row t has a slot p of its own and sees the slots first .. last:
 *     score_j = cap(scale * q[:, h, t] . k[:, j, h / (H / H_kv)]) + bias[clamp(j - p, -M, M) + M, h]
 *     out[:, h, t] = sum_j softmax_j(score_j) v[:, j, h / (H / H_kv)]
 * q [D, H, T]; k_cache, v_cache [D, ctx, H_kv]; out [D, H, T]. D: any from 1 to 512; H a multiple of H_kv.
 * positions: I32 [T], p alone: causal, first = max(0, p - window + 1) (0 where window is 0) and last = p;
 *            or I32 [3, T], (p, first, last) of each row: bidirectional (the sequence's ends), cross-attention,
 * and several sequences in one pass. first is taken as no more than last. bias: F32 [2 M + 1, H] by distance, as
 * T5's relative positions are; or NULL. cap(x) = softcap * tanh(x / softcap), or x where softcap is 0. Sources:
 * Vaswani et al. 2017, arXiv:1706.03762; Raffel et al. 2019 (T5), arXiv:1910.10683; Gemma 2, arXiv:2408.00118. */
typedef struct pm_attention_args {
    float scale;
    int32_t window; /* 0: none; with positions [T], and with pages */
    float softcap;  /* 0: none */
    int32_t page;   /* with pages: slots of one; else 0 */
} pm_attention_args;
pm_tensor *pm_attention(pm_graph *g, const pm_tensor *q, const pm_tensor *k_cache, const pm_tensor *v_cache,
                        const pm_tensor *positions, const pm_tensor *bias, pm_attention_args args);

/* The same over caches that several sequences share page by page: position j of sequence s lies in slot
 * pages[j / page, s] * page + j % page. places: I32 [2, T], (p, s) of each row, which sees its own sequence
 * causally, as positions [T] do. pages: I32 [N, S]; a sequence has up to N * page positions. args.page: at least
 * 1, ctx a multiple of it. Source: Kwon et al. 2023 (PagedAttention), arXiv:2309.06180. */
pm_tensor *pm_attention_paged(pm_graph *g, const pm_tensor *q, const pm_tensor *k_cache, const pm_tensor *v_cache,
                              const pm_tensor *places, const pm_tensor *pages, pm_attention_args args);

/* What row t sees: slots of the cache; with pages, positions of its sequence, whose slots are pm_attention_slot's.
 * positions: the data of node->in[3]; pages: of node->in[5]. */
typedef struct pm_attention_span {
    int64_t own, first, last;
    int64_t sequence; /* with pages; else 0 */
} pm_attention_span;
pm_attention_span pm_attention_span_of(const pm_node *node, const int32_t *positions, int64_t t);
int64_t pm_attention_slot(const pm_node *node, const int32_t *pages, int64_t sequence, int64_t j);

/* Softmax over dim[0] with the maximum subtracted. A row of -Inf only gives NaN. x: [C, ...]. */
pm_tensor *pm_softmax(pm_graph *g, const pm_tensor *x);

/* SiLU: x / (1 + exp(-x)), element by element. */
pm_tensor *pm_silu(pm_graph *g, const pm_tensor *x);

/* SwiGLU: silu(gate) * up, element by element. Source: Shazeer 2020, arXiv:2002.05202. */
pm_tensor *pm_swiglu(pm_graph *g, const pm_tensor *gate, const pm_tensor *up);

/* GELU: x Phi(x), Phi the distribution function of the standard normal, element by element: exactly, or
 * 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). Source: Hendrycks and Gimpel 2016, arXiv:1606.08415. */
typedef enum pm_gelu_form { PM_GELU_ERF, PM_GELU_TANH } pm_gelu_form;
typedef struct pm_gelu_args {
    pm_gelu_form form;
} pm_gelu_args;
pm_tensor *pm_gelu(pm_graph *g, const pm_tensor *x, pm_gelu_form form);

/* ReLU: max(x, 0), element by element. */
pm_tensor *pm_relu(pm_graph *g, const pm_tensor *x);

/* cap * tanh(x / cap), element by element: tanh where cap is 1, else the soft cap of Gemma 2's logits. */
typedef struct pm_tanh_args {
    float cap;
} pm_tanh_args;
pm_tensor *pm_tanh(pm_graph *g, const pm_tensor *x, float cap);

/* x * factor. */
typedef struct pm_scale_args {
    float factor;
} pm_scale_args;
pm_tensor *pm_scale(pm_graph *g, const pm_tensor *x, float factor);

/* a * b, element by element, both alike. */
pm_tensor *pm_mul(pm_graph *g, const pm_tensor *a, const pm_tensor *b);

/* a + b; b of a's shape, or [C]: added to every row. */
pm_tensor *pm_add(pm_graph *g, const pm_tensor *a, const pm_tensor *b);

/* The sampling settings that the next two ops follow are those of the run parameters for all rows, or, with
 * settings I32 [PM_ROW_SAMPLING_WORDS, R], each row's own: struct pm_row_sampling. settings may be NULL. The run
 * parameters as a kernel should read them for row `row`, draw included: */
pm_run_params pm_row_params(const pm_run_params *params, const int32_t *settings, int64_t row);

/* A copy of logits [V, R] in which every token of history I32 [H], or with settings [H, R] (the first n_history of
 * them) is made less likely: divided by repeat_penalty where positive, else multiplied; each token once, however
 * often it occurs; ids outside 0..V-1 are passed over. Source: Keskar et al. 2019, arXiv:1909.05858. */
pm_tensor *pm_repeat_penalty(pm_graph *g, const pm_tensor *logits, const pm_tensor *history,
                             const pm_tensor *settings);

/* I32 [R]: the index of the largest value of each row; the lowest index among equals; 0 where all are NaN.
 * x [V, R]. */
pm_tensor *pm_argmax(pm_graph *g, const pm_tensor *x);

/* I32 [R]: one draw from each row of logits [V, R] under the sampling settings, applied in
 * the order top-k, top-p, min-p, temperature; temperature 0 is argmax. Exactly: keep_k: logits >= the top_k-th
 * largest (ties kept); all when top_k is 0; keep_p: with P the softmax over keep_k, the largest set {logit >=
 * theta} with the smallest sum of P that is
 *           >= top_p (ties kept); all when top_p >= 1;
 *   keep_m: P >= min_p * max P;
 *   draw i with probability proportional to exp((logit_i - max) / temperature) over what is kept, by walking the
 *   kept tokens in order of index until their running sum exceeds u times the whole, u in [0, 1) from
 *   pm_random_unit(seed, draw + row), of a row with settings of its own (seed, draw). NaN logits count as -Inf. */
pm_tensor *pm_sample(pm_graph *g, const pm_tensor *logits, const pm_tensor *settings);

/* u in [0, 1) with 24 random bits: a counter-based hash of 32-bit integers, the same on every backend; its few
 * lines are in ops/random_unit.h, which C and GLSL both include. */
float pm_random_unit(uint32_t seed_lo, uint32_t seed_hi, uint32_t counter);

/* A view of all of x under another shape, no work: same number of elements; a counted outermost dimension stays
 * outermost: dims[n_dims - 1] must be that of x where x's rows are counted. */
pm_tensor *pm_reshape(pm_graph *g, const pm_tensor *x, int n_dims, const int64_t *dims);

/* One execution of a node on host memory. Data pointers are of the tensors' own types (weights as in the file). */
typedef struct pm_op_call {
    const pm_node *node;
    const pm_run_params *params;
    const void *in[PM_MAX_INPUTS];
    void *out;
    int part, n_parts; /* the kernel does its share part of n_parts; parts may run at the same time */
} pm_op_call;

/* The share of n_items that belongs to call->part: [*begin, *end). */
void pm_op_share(const pm_op_call *call, int64_t n_items, int64_t *begin, int64_t *end);

/* The reference kernel of each op: pm_ref_<op>. Slow and obvious, double accumulators: the meaning of the op. */
typedef void (*pm_reference_fn)(const pm_op_call *call);
#define PM_REFERENCE_PROTO(upper, lower) void pm_ref_##lower(const pm_op_call *call);
PM_OP_LIST(PM_REFERENCE_PROTO)
#undef PM_REFERENCE_PROTO
pm_reference_fn pm_op_reference(pm_op op);

#endif
