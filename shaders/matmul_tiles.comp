// out[n, t] = sum_k w[k, n] x[k, t] (+ bias[n]) (+ residual[n, t]) for many rows of x, by tiles in shared memory.
//
// A workgroup makes PM_TILE_N weight rows x PM_TILE_T rows of x. For each block of 32 values along K it brings the block of
// all its rows into shared memory, weights decoded on the way; what the next block needs is on its way from memory
// meanwhile. Without PM_COOP: fp32; an invocation makes PM_SUB_T x PM_SUB_N sums. With PM_COOP: halves, and a subgroup makes
// PM_SUB_T x PM_SUB_N sums in fp32 by cooperative matrices (subgroups of 32); x is halves already (halve_rows.comp), each row scaled to fit.
// With PM_I8 (quantised types): blocks of 8 bits as quantize_i8.comp makes them, weights as bytes with their scales, integer dot
// products; sums are fp32 from block to block.
//
// Where rows are too few to make enough workgroups, K is cut into parts as well: out is then an array of parts [n, t, part]
// without bias and residual, which matmul_sum.comp adds up.
// -DW_<TYPE>.
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef PM_COOP
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define PM_X_TYPE uvec4
#define PM_TIMES_SUBGROUP * 32
#elif defined(PM_I8)
#define PM_X_TYPE uvec4
#define PM_TIMES_SUBGROUP
#else
#define PM_X_TYPE vec4
#define PM_X_FLOAT
#define PM_TIMES_SUBGROUP
#endif
#include "common/half.glsl"
#include "common/matmul.glsl"
#include "common/weight_items.glsl"
#ifdef PM_I8
#include "common/dot.glsl"
#endif

// The tiles are literals (-DPM_TILE_T ...), not specialization constants: then loops are unrolled and arrays become
// registers before a driver sees them. Not all drivers would do that.
const uint LOCAL = (PM_TILE_T / PM_SUB_T) * (PM_TILE_N / PM_SUB_N) PM_TIMES_SUBGROUP; // of the workgroup, given by the host
#ifdef PM_I8
const uint X_ITEMS = (PM_TILE_T * 3 + LOCAL - 1) / LOCAL; // thirds of a block
#else
const uint X_ITEMS = PM_TILE_T * 4 / LOCAL; // 8 values each
#endif
const uint W_ITEMS = PM_TILE_N * 2 / LOCAL; // 16 values each

// A row of a tile: a block of 32 values, by eights; a little more, so that rows begin in different banks.
#ifdef PM_COOP
#define PM_M 16 // of a cooperative matrix: rows of x, weight rows, values along K
#define PM_N 16
#define PM_K 16
const uint ROW = 5, BUFFERS = 2;
shared uvec4 x_tile[BUFFERS * PM_TILE_T * ROW];
shared uvec4 w_tile[BUFFERS * PM_TILE_N * ROW];
const uint SUBGROUPS = (PM_TILE_T / PM_SUB_T) * (PM_TILE_N / PM_SUB_N), STAGE = PM_N + 4;
shared float stage[SUBGROUPS * PM_M * STAGE];
#define PUT_EIGHT(tile, row, eight, a, b)                                                                          \
    tile[(row) * ROW + (eight)] = pm_eight_halves(a, b);
#elif defined(PM_I8)
// Three of them: bytes of values 0 to 15, of 16 to 31, and floats; of x as in common/i8_blocks.glsl, of a weight d and m of
// each half.
const uint ROW = 3, BUFFERS = 2;
shared uvec4 x_tile[BUFFERS * PM_TILE_T * ROW];
shared uvec4 w_tile[BUFFERS * PM_TILE_N * ROW];
#else
const uint ROW = 9, BUFFERS = 1;
shared vec4 x_tile[PM_TILE_T * ROW];
shared vec4 w_tile[PM_TILE_N * ROW];
#define PUT_EIGHT(tile, row, eight, a, b)                                                                          \
    tile[(row) * ROW + 2 * (eight)] = a;                                                                           \
    tile[(row) * ROW + 2 * (eight) + 1] = b;
#endif

#if defined(PM_COOP) || defined(PM_I8)
uvec4 x_next[X_ITEMS];
#else
vec4 x_next[2 * X_ITEMS];
#endif
pm_item w_next[W_ITEMS];
uint t0, n0, n_rows_now; // n0: of the chunk
uint part;               // of K

// Begins to load block `block`.
void fetch(uint block)
{
    [[unroll]] for (uint i = 0; i < X_ITEMS; i++) {
        uint item = gl_LocalInvocationID.x + i * LOCAL;
#ifdef PM_I8
        x_next[i] = x[(min(t0 + item / 3, n_rows_now - 1) * push.n_blocks + block) * 3 + item % 3];
#else
        uint t = min(t0 + item / 4, n_rows_now - 1), eight = item % 4;
#ifdef PM_COOP
        x_next[i] = x[t * (4 * push.n_blocks + 2) + 4 * block + eight];
#else
        x_next[2 * i] = pm_x4(t, 32 * block + 8 * eight);
        x_next[2 * i + 1] = pm_x4(t, 32 * block + 8 * eight + 4);
#endif
#endif
    }
    [[unroll]] for (uint i = 0; i < W_ITEMS; i++) {
        uint item = gl_LocalInvocationID.x + i * LOCAL, n = min(n0 + item / 2, 4 * push.end_group - 1);
        w_next[i] = pm_load_item(pm_unit_at(n / 4, block, push.n_blocks), n % 4, item % 2);
    }
}

#ifdef PM_I8
void put_weight(const pm_item item, uint row, uint h)
{
    uint q[4];
    pm_item_quants(item, h, q);
    w_tile[row * ROW][2 * h] = q[0];
    w_tile[row * ROW][2 * h + 1] = q[1];
    w_tile[row * ROW + 1][2 * h] = q[2];
    w_tile[row * ROW + 1][2 * h + 1] = q[3];
    if (h == 0)
        w_tile[row * ROW + 2] = floatBitsToUint(pm_item_scales(item));
}
#else
void put_weight(const pm_item item, uint row, uint h)
{
    vec4 values[4];
    pm_item_values(item, h, values);
    PUT_EIGHT(w_tile, row, h, values[0], values[1])
    PUT_EIGHT(w_tile, row, 2 + h, values[2], values[3])
}
#endif

// Puts what fetch has loaded into shared memory.
void put(uint which)
{
    [[unroll]] for (uint i = 0; i < X_ITEMS; i++) {
        uint item = gl_LocalInvocationID.x + i * LOCAL;
#ifdef PM_I8
        if (item < PM_TILE_T * ROW)
            x_tile[which * PM_TILE_T * ROW + item] = x_next[i];
#else
        uint row = which * PM_TILE_T + item / 4;
#ifdef PM_COOP
        x_tile[row * ROW + item % 4] = x_next[i];
#else
        PUT_EIGHT(x_tile, row, item % 4, x_next[2 * i], x_next[2 * i + 1])
#endif
#endif
    }
    [[unroll]] for (uint i = 0; i < W_ITEMS; i++) {
        uint item = gl_LocalInvocationID.x + i * LOCAL;
        put_weight(w_next[i], which * PM_TILE_N + item / 2, item % 2);
    }
}

// Writes one sum: row t of x, weight row n of the chunk.
void finish(uint t, uint n, float sum)
{
    uint at = push.first_row + n;
    if (t >= n_rows_now || n >= 4 * push.end_group || at >= push.n_out)
        return;
    if (PM_HAS_BIAS != 0)
        sum += PM_AT(bias, at);
    at += t * push.n_out;
    if (PM_HAS_RESIDUAL != 0)
        sum += PM_AT(residual, at);
    at += part * push.n_rows * push.n_out;
    PM_AT(result, at) = sum;
}

#ifdef PM_COOP
#define MATRIX(type, rows, columns, use) coopmat<type, gl_ScopeSubgroup, rows, columns, use>
const uint ACROSS_T = PM_SUB_T / PM_M, ACROSS_N = PM_SUB_N / PM_N; // at most 4
MATRIX(float, PM_M, PM_N, gl_MatrixUseAccumulator) sums[ACROSS_T * ACROSS_N];
#define SUB_T0 (gl_SubgroupID / (PM_TILE_N / PM_SUB_N) * PM_SUB_T)
#define SUB_N0 (gl_SubgroupID % (PM_TILE_N / PM_SUB_N) * PM_SUB_N)

void clear()
{
    [[unroll]] for (uint i = 0; i < ACROSS_T * ACROSS_N; i++)
        sums[i] = MATRIX(float, PM_M, PM_N, gl_MatrixUseAccumulator)(0.0);
}

void multiply(uint which)
{
    [[unroll]] for (uint k = 0; k < 32; k += PM_K) {
        MATRIX(float16_t, PM_M, PM_K, gl_MatrixUseA) a[ACROSS_T];
        [[unroll]] for (uint i = 0; i < ACROSS_T; i++)
            coopMatLoad(a[i], x_tile, (which * PM_TILE_T + SUB_T0 + i * PM_M) * ROW + k / 8, ROW,
                        gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0; j < ACROSS_N; j++) {
            MATRIX(float16_t, PM_K, PM_N, gl_MatrixUseB) b;
            coopMatLoad(b, w_tile, (which * PM_TILE_N + SUB_N0 + j * PM_N) * ROW + k / 8, ROW,
                        gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint i = 0; i < ACROSS_T; i++)
                sums[i * ACROSS_N + j] = coopMatMulAdd(a[i], b, sums[i * ACROSS_N + j]);
        }
    }
}

// One matrix after another by way of shared memory, where every invocation knows which sums it has. By name, as the loop
// within keeps optimisers from unrolling loops around it.
void finish_matrix(uint i, uint j)
{
    uint own = gl_SubgroupID * PM_M * STAGE;
    subgroupMemoryBarrierShared();
    subgroupBarrier();
    for (uint e = gl_SubgroupInvocationID; e < PM_M * PM_N; e += 32) {
        uint t = t0 + SUB_T0 + i * PM_M + e / PM_N;
        float scale = uintBitsToFloat(x[min(t, n_rows_now - 1) * (4 * push.n_blocks + 2) + 4 * push.n_blocks].x);
        finish(t, n0 + SUB_N0 + j * PM_N + e % PM_N, scale * stage[own + e / PM_N * STAGE + e % PM_N]);
    }
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

#define FINISH(i, j)                                                                                               \
    if (i < ACROSS_T && j < ACROSS_N) {                                                                            \
        coopMatStore(sums[min(i, ACROSS_T - 1) * ACROSS_N + min(j, ACROSS_N - 1)], stage, gl_SubgroupID * PM_M * STAGE,   \
                     STAGE, gl_CooperativeMatrixLayoutRowMajor);                                                   \
        finish_matrix(i, j);                                                                                       \
    }
#define FINISH_ROW(i) FINISH(i, 0) FINISH(i, 1) FINISH(i, 2) FINISH(i, 3)

void finish_all()
{
    FINISH_ROW(0) FINISH_ROW(1) FINISH_ROW(2) FINISH_ROW(3)
}
#else
// An invocation's rows are spread over the tile, so that those of neighbours are neighbours.
const uint STEP_T = PM_TILE_T / PM_SUB_T, STEP_N = PM_TILE_N / PM_SUB_N;
float sums[PM_SUB_T * PM_SUB_N];
#define SUB_T0 (gl_LocalInvocationID.x / STEP_N)
#define SUB_N0 (gl_LocalInvocationID.x % STEP_N)

void clear()
{
    [[unroll]] for (uint i = 0; i < PM_SUB_T * PM_SUB_N; i++)
        sums[i] = 0.0;
}

#ifdef PM_I8
void add_dots(inout int dots[PM_SUB_T * PM_SUB_N], uint which, uint half_of_block)
{
    uvec4 xs[PM_SUB_T];
    [[unroll]] for (uint i = 0; i < PM_SUB_T; i++)
        xs[i] = x_tile[(which * PM_TILE_T + SUB_T0 + i * STEP_T) * ROW + half_of_block];
    [[unroll]] for (uint j = 0; j < PM_SUB_N; j++) {
        uvec4 w = w_tile[(which * PM_TILE_N + SUB_N0 + j * STEP_N) * ROW + half_of_block];
        [[unroll]] for (uint i = 0; i < PM_SUB_T; i++)
            [[unroll]] for (uint k = 0; k < 4; k++)
                dots[i * PM_SUB_N + j] += pm_dot4(w[k], xs[i][k]);
    }
}

// sum (d q + m) (e p) = d e sum q p + m e sum p: w holds d and m, x holds e and e sum p.
void scale_dots(const int dots[PM_SUB_T * PM_SUB_N], uint which, uint of_w, uint of_x)
{
    vec4 xs[PM_SUB_T];
    [[unroll]] for (uint i = 0; i < PM_SUB_T; i++)
        xs[i] = uintBitsToFloat(x_tile[(which * PM_TILE_T + SUB_T0 + i * STEP_T) * ROW + 2]);
    [[unroll]] for (uint j = 0; j < PM_SUB_N; j++) {
        vec4 w = uintBitsToFloat(w_tile[(which * PM_TILE_N + SUB_N0 + j * STEP_N) * ROW + 2]);
        [[unroll]] for (uint i = 0; i < PM_SUB_T; i++) {
            float sum = xs[i].x * w[of_w] * float(dots[i * PM_SUB_N + j]);
#ifndef W_SIGNED
            sum += w[of_w + 1] * xs[i][of_x];
#endif
            sums[i * PM_SUB_N + j] += sum;
        }
    }
}

void multiply(uint which)
{
    int dots[PM_SUB_T * PM_SUB_N];
    [[unroll]] for (uint i = 0; i < PM_SUB_T * PM_SUB_N; i++)
        dots[i] = 0;
    add_dots(dots, which, 0);
#ifdef W_Q6_K
    scale_dots(dots, which, 0, 1);
    [[unroll]] for (uint i = 0; i < PM_SUB_T * PM_SUB_N; i++)
        dots[i] = 0;
    add_dots(dots, which, 1);
    scale_dots(dots, which, 2, 2);
#else
    add_dots(dots, which, 1);
    scale_dots(dots, which, 0, 3);
#endif
}
#else
void multiply(uint which)
{
    for (uint k = 0; k < 8; k++) {
        vec4 xs[PM_SUB_T];
        [[unroll]] for (uint i = 0; i < PM_SUB_T; i++)
            xs[i] = x_tile[(SUB_T0 + i * STEP_T) * ROW + k];
        [[unroll]] for (uint j = 0; j < PM_SUB_N; j++) {
            vec4 w = w_tile[(SUB_N0 + j * STEP_N) * ROW + k];
            [[unroll]] for (uint i = 0; i < PM_SUB_T; i++)
                sums[i * PM_SUB_N + j] += dot(xs[i], w);
        }
    }
}
#endif

void finish_all()
{
    [[unroll]] for (uint i = 0; i < PM_SUB_T; i++)
        [[unroll]] for (uint j = 0; j < PM_SUB_N; j++)
            finish(t0 + SUB_T0 + i * STEP_T, n0 + SUB_N0 + j * STEP_N, sums[i * PM_SUB_N + j]);
}
#endif

void main()
{
    uint n_tiles = (push.n_rows + PM_TILE_T - 1) / PM_TILE_T, number = pm_group();
    uint n_parts = (push.n_blocks + push.n_part - 1) / push.n_part;
    n_rows_now = PM_ROWS_NOW(push);
    t0 = number % n_tiles * PM_TILE_T;
    number /= n_tiles;
    part = number % n_parts;
    n0 = 4 * push.first_group + number / n_parts * PM_TILE_N;
    if (t0 >= n_rows_now || n0 >= 4 * push.end_group)
        return;
    uint begin = part * push.n_part, end = min(begin + push.n_part, push.n_blocks);
    clear();
    fetch(begin);
    put(0);
    barrier();
    uint which = 0;
    // Without a branch, so that no value has to be there before the products begin; the last round brings a block once more.
    for (uint block = begin; block < end; block++) {
        fetch(min(block + 1, end - 1));
        multiply(which);
        if (BUFFERS == 1)
            barrier();
        else
            which ^= 1;
        put(which);
        barrier();
    }
    finish_all();
}
