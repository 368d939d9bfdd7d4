/* The kernels of the cpu backend: one table of functions for each instruction set, and the layouts they share.
 *
 * Layouts are the same for every instruction set, so that weights are repacked in one way only.
 *
 * Weights of matrix products lie in panels of 16 rows, one panel after the other. A panel of quantised weights
 * goes in blocks of 32 values of k, two blocks after another: the scales of both, 16 side by side, the minima of
 * both, the values of both, so that a panel is read as one stream of whole cache lines (with scales apart from
 * values the processor's prefetcher loses its way, and decoding takes twice as long). Values are vectors of 64
 * bytes, each with 4 consecutive k of every row (row r in bytes 4 r to 4 r + 3): what one multiply-add of four
 * bytes a lane wants. The meaning of a value is scale * (q - offset) + min, q unsigned. Scales and minima are F16,
 * or of Q4_K, Q5_K and Q6_K as in the file signed bytes times an F16 that 256 values share: these factors, 16 of
 * the scales and 16 of the minima, lie before every four pairs.
 *
 * Nibbles: 4 vectors a block; vector j holds k = 4 j .. 4 j + 3 in the low halves, 16 + 4 j .. in the high ones.
 * Values of 5 or 6 bits have the bits above in one or two vectors more: those of k = 4 j .. 4 j + 3 side by side
 * for j from 0 on, in the lowest bits first.
 *
 * Bytes: 8 vectors a block; vector j holds k = 4 j .. 4 j + 3.
 *
 * Floats: k after k, 16 values each, in the weight's own type; any k.
 *
 * Activations that meet quantised weights are quantised to 8 bits in blocks of 32, which lie in tiles of 16 rows
 * (pm_cpu_acts).
 */
#ifndef PUMICE_CPU_KERNELS_H
#define PUMICE_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/ops.h"
#include "pumice/types.h"

enum {
    PM_CPU_PANEL = 16,     /* rows of a panel */
    PM_CPU_BLOCK = 32,     /* values with one activation scale */
    PM_CPU_TILE = 16,      /* rows of activations that lie together */
    PM_CPU_AHEAD = 4096,   /* bytes of weights from what is read to what is asked for */
    PM_CPU_KEYS = 64,      /* cache slots that attention takes at a time */
    PM_CPU_MAX_LANES = 32, /* queries that attention takes at a time, at most */
    PM_CPU_MAX_HEAD = 512
};

typedef enum pm_cpu_layout { PM_CPU_NIBBLES, PM_CPU_BYTES, PM_CPU_FLOATS } pm_cpu_layout;

/* Of values beyond nibbles: which of the vectors behind them has the high bits of k = 4 j .. 4 j + 3, and by how
 * much these are to be shifted to the left to stand above the nibbles. */
static inline int pm_cpu_high_vector(int j, int high_bits)
{
    return j * high_bits / 8;
}

static inline int pm_cpu_high_shift(int j, int high_bits)
{
    return 4 - j * high_bits % 8;
}

typedef struct pm_cpu_panels {
    pm_type type;
    pm_cpu_layout layout;
    int64_t k, n, n_panels, n_blocks;
    size_t panel_bytes;
    int64_t pair_bytes;  /* two blocks */
    int64_t value_bytes; /* the values of one block */
    int offset_shift;    /* offset = 1 << offset_shift; -1: none */
    int high_bits;       /* of nibbles: bits of a value beyond its four */
    int64_t head_bytes;  /* before every four pairs: the factors of byte scales */
    bool byte_scales;    /* scales and minima are bytes with factors, else F16 */
    bool has_mins;
    bool halves; /* a scale serves 16 values, two a block */
    unsigned char *data;
} pm_cpu_panels;

enum { PM_CPU_HEAD_BLOCKS = 8 };

/* Where in a panel block b has its factors, its values, its scales (span 1: of its second half), its minima. */
static inline const unsigned char *pm_cpu_block_head(const pm_cpu_panels *p, const unsigned char *panel, int64_t b)
{
    return panel + b / PM_CPU_HEAD_BLOCKS * (p->head_bytes + PM_CPU_HEAD_BLOCKS / 2 * p->pair_bytes);
}

static inline const unsigned char *pm_cpu_block_pair(const pm_cpu_panels *p, const unsigned char *panel, int64_t b)
{
    return panel + b / PM_CPU_HEAD_BLOCKS * p->head_bytes + p->head_bytes + b / 2 * p->pair_bytes;
}

static inline const unsigned char *pm_cpu_block_values(const pm_cpu_panels *p, const unsigned char *panel,
                                                       int64_t b)
{
    return pm_cpu_block_pair(p, panel, b) + p->pair_bytes - (2 - b % 2) * p->value_bytes;
}

static inline const unsigned char *pm_cpu_block_scales(const pm_cpu_panels *p, const unsigned char *panel,
                                                       int64_t b, int span)
{
    int64_t index = (b % 2) * (p->halves ? 2 : 1) + span;
    return pm_cpu_block_pair(p, panel, b) + index * PM_CPU_PANEL * (p->byte_scales ? 1 : 2);
}

static inline const unsigned char *pm_cpu_block_mins(const pm_cpu_panels *p, const unsigned char *panel, int64_t b)
{
    int64_t index = (p->halves ? 4 : 2) + b % 2;
    return pm_cpu_block_pair(p, panel, b) + index * PM_CPU_PANEL * (p->byte_scales ? 1 : 2);
}

/* Asks for n bytes that will be read soon. (asm: GCC takes a function that does nothing but __builtin_prefetch for
 * one without effect, and leaves its calls out.) */
static inline void pm_cpu_fetch(const unsigned char *at, int64_t n_bytes)
{
    enum { LINE = 64 };
    __asm__ volatile("");
    for (int64_t i = 0; i < n_bytes; i += LINE)
        __builtin_prefetch(at + i);
}

/* Asks for what comes some blocks behind block b in the stream of panels. The instructions of a few rows of
 * activations fill a processor's window, so that by itself it would come to these loads too late. */
static inline void pm_cpu_fetch_ahead(const pm_cpu_panels *p, const unsigned char *panel, int64_t b)
{
    pm_cpu_fetch(panel + b * (p->pair_bytes / 2) + PM_CPU_AHEAD, p->pair_bytes / 2);
}

/* 32 quantised activations x ~ d q. */
typedef struct pm_cpu_act_block {
    int8_t q[PM_CPU_BLOCK];
    float d;
    float ds;             /* d times the sum of q */
    int32_t minus_sum;    /* minus the sum of q */
    int32_t minus_sum_hi; /* minus the sum of its second half */
} pm_cpu_act_block;

/* Rows of n_blocks blocks, 16 rows a tile: the first blocks of all its rows, the second blocks of all, and so on.
 * So a product finds the rows that it takes together at distances known when it is compiled, where pointers of
 * their own would fill all registers. A last tile of fewer rows has room for these only. */
typedef struct pm_cpu_acts {
    pm_cpu_act_block *blocks; /* NULL: there are none */
    int64_t n_blocks, n_rows;
} pm_cpu_acts;

/* The first block of row t ... */
static inline pm_cpu_act_block *pm_cpu_acts_row(const pm_cpu_acts *acts, int64_t t)
{
    return acts->blocks + t / PM_CPU_TILE * PM_CPU_TILE * acts->n_blocks + t % PM_CPU_TILE;
}

/* ... and from each of its blocks to the next. */
static inline int64_t pm_cpu_acts_stride(const pm_cpu_acts *acts, int64_t t)
{
    int64_t left = acts->n_rows - t / PM_CPU_TILE * PM_CPU_TILE;
    return left < PM_CPU_TILE ? left : PM_CPU_TILE;
}

typedef struct pm_cpu_matmul {
    const pm_cpu_panels *weight;
    pm_cpu_acts acts;      /* quantised weights */
    const float *x;        /* float weights: rows of k, used as they are where there is one row */
    const float *packed;   /* float weights: tiles of [k][PM_CPU_TILE] */
    const float *bias;     /* may be NULL */
    const float *residual; /* may be NULL */
    float *out;
    int64_t n_rows; /* of activations */
} pm_cpu_matmul;

/* One kv head of attention for a run of queries; query i is head i % group of token i / group. */
typedef struct pm_cpu_attention {
    const float *q;            /* first head of the kv head's group, row 0 */
    float *out;                /* likewise */
    int64_t row_stride;        /* floats from token to token in q and out */
    const void *keys, *values; /* [D, ctx] of this kv head */
    pm_type cache_type;        /* F32, F16 or Q8_0 */
    int64_t row_bytes;         /* of the caches */
    const pm_node *node;       /* for pm_attention_span_of */
    const int32_t *positions;
    const int32_t *pages;  /* of the one sequence that all queries see; NULL: slots follow each other */
    int64_t page, n_pages; /* slots of a page; pages of the caches */
    const float *bias;     /* of the kv head's first query head: n_bias values a head, by distance; or NULL */
    int64_t n_bias;
    int64_t head_dim, group, n_tokens;
    float scale, softcap;
    const void *next; /* attention_part: keys that this thread will probably read after these; may be NULL */
} pm_cpu_attention;

typedef struct pm_cpu_kernels {
    const char *name;  /* "avx512" */
    const char *title; /* "AVX-512 with VNNI" */
    void (*matmul_int)(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end);
    void (*matmul_float)(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end);
    /* One row of n values (a multiple of 32) to 8 bits, to blocks `stride` apart. A block with a value that is not
     * finite gets the scale NaN. */
    void (*quantize)(const float *x, int64_t n, pm_cpu_act_block *blocks, int64_t stride);
    void (*rms_norm)(const float *x, const float *weight, int64_t n, float eps, float *out);
    void (*layer_norm)(const float *x, const float *weight, const float *bias, int64_t n, float eps, float *out);
    void (*add)(const float *a, const float *b, int64_t n, float *out);
    void (*silu)(const float *x, int64_t n, float *out);
    void (*swiglu)(const float *gate, const float *up, int64_t n, float *out);
    void (*mul)(const float *a, const float *b, int64_t n, float *out);
    void (*scale)(const float *x, int64_t n, float factor, float *out);
    void (*relu)(const float *x, int64_t n, float *out);
    void (*gelu)(const float *x, int64_t n, bool exact, float *out);   /* exact: with erf, else with tanh */
    void (*softcap)(const float *x, int64_t n, float cap, float *out); /* cap * tanh(x / cap) */
    void (*softmax)(const float *x, int64_t n, float *out);
    /* Turns a head's n_rot values by cos and sin of each pair: [n_rot], each pair's twice, as the pairs lie. */
    void (*rope)(const float *x, const float *cos2, const float *sin2, int64_t n_rot, bool interleaved,
                 float *out);
    void (*to_f16)(const float *x, int64_t n, uint16_t *out);
    float (*highest)(const float *x, int64_t n); /* NaN counts as -Inf */
    /* out[i] = exp((x[i] - highest) * factor) */
    void (*exp_scaled)(const float *x, int64_t n, float highest, float factor, float *out);

    int attention_lanes; /* queries that attention_tile takes */
    /* Queries [first, first + n), n at most attention_lanes. scratch: pm_cpu_attention_scratch floats. */
    void (*attention_tile)(const pm_cpu_attention *job, int64_t first, int64_t n, float *scratch);
    /* One token (number 0), all heads of the group, over the slots (with pages: positions) [begin, end): for each
     * head D sums weighted by exp(score - highest), then the highest score and the sum of weights. NULL result
     * where D is no multiple of attention_vector. */
    void (*attention_part)(const pm_cpu_attention *job, int64_t begin, int64_t end, float *partial);
    int attention_vector;

    /* Loops for pm_device_measure: each returns something that depends on all of its work. */
    float (*measure_read)(const float *data, int64_t n);
    float (*measure_fma)(int64_t n, double *flops);
    int32_t (*measure_dot)(int64_t n, double *ops); /* NULL: no 8-bit dot product of its own */
} pm_cpu_kernels;

/* Floats of scratch that attention_tile wants for heads of head_dim. */
#define PM_CPU_ATTENTION_SCRATCH(head_dim)                                                                        \
    ((size_t)(head_dim) * (2 * PM_CPU_MAX_LANES + PM_CPU_KEYS) + PM_CPU_KEYS * PM_CPU_MAX_LANES)

extern const pm_cpu_kernels pm_cpu_kernels_portable;
#if defined(__x86_64__)
extern const pm_cpu_kernels pm_cpu_kernels_avx2;
extern const pm_cpu_kernels pm_cpu_kernels_avx512;
#elif defined(__aarch64__)
extern const pm_cpu_kernels pm_cpu_kernels_neon;
extern const pm_cpu_kernels pm_cpu_kernels_neon_dotprod;
#endif

/* The matrix products with quantised weights, which have a source of their own each. */
void pm_cpu_matmul_int_portable(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end);
void pm_cpu_matmul_int_avx2(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end);
void pm_cpu_matmul_int_avx512(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end);
void pm_cpu_matmul_int_neon(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end);
void pm_cpu_matmul_int_neon_dotprod(const pm_cpu_matmul *job, int64_t panel_begin, int64_t panel_end);

/* The table of that name, or the best where name is NULL; NULL where the processor has none such. */
const pm_cpu_kernels *pm_cpu_find_kernels(const char *name);

/* The best table for this processor, or the one that PUMICE_CPU_ISA names (one of PM_CPU_ISA_NAMES); NULL where
 * that names none that the processor has. */
const pm_cpu_kernels *pm_cpu_choose_kernels(void);
#define PM_CPU_ISA_NAMES "portable, avx2, avx512, neon or neon_dotprod"

#endif
