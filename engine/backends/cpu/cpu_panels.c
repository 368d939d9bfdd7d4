/* Weights from the model file's layout to panels (cpu_kernels.h): 16 rows at a time, block by block. */
#include "backends/cpu/cpu_backend.h"

#include <string.h>

#include "formats/block_types.h"

/* A block of 32 values of one row: unsigned values, and scale and minimum as the file's halves: of types with byte
 * scales these are the factors of the bytes. */
typedef struct raw_block {
    uint8_t q[PM_CPU_BLOCK];
    uint16_t scale_bits, min_bits;
    int8_t scales[2], min;
} raw_block;

bool pm_cpu_panels_describe(pm_type type, int64_t k, int64_t n, pm_cpu_panels *out)
{
    pm_cpu_panels p = {.type = type, .k = k, .n = n, .offset_shift = -1, .layout = PM_CPU_BYTES};
    switch (type) {
    case PM_TYPE_F32:
    case PM_TYPE_F16:
    case PM_TYPE_BF16:
        p.layout = PM_CPU_FLOATS;
        break;
    case PM_TYPE_Q4_0:
        p.layout = PM_CPU_NIBBLES;
        p.offset_shift = 3;
        break;
    case PM_TYPE_Q4_K:
        p.byte_scales = true; /* fall through */
    case PM_TYPE_Q4_1:
        p.layout = PM_CPU_NIBBLES;
        p.has_mins = true;
        break;
    case PM_TYPE_Q5_0:
        p.layout = PM_CPU_NIBBLES;
        p.high_bits = 1;
        p.offset_shift = 4;
        break;
    case PM_TYPE_Q5_K:
        p.byte_scales = true; /* fall through */
    case PM_TYPE_Q5_1:
        p.layout = PM_CPU_NIBBLES;
        p.high_bits = 1;
        p.has_mins = true;
        break;
    case PM_TYPE_Q6_K:
        p.layout = PM_CPU_NIBBLES;
        p.high_bits = 2;
        p.byte_scales = p.halves = true;
        p.offset_shift = 5;
        break;
    case PM_TYPE_Q8_0:
        p.offset_shift = 7;
        break;
    default:
        return false;
    }
    p.n_panels = (n + PM_CPU_PANEL - 1) / PM_CPU_PANEL;
    if (p.layout == PM_CPU_FLOATS) {
        p.panel_bytes = (size_t)k * PM_CPU_PANEL * pm_type_get(type)->block_bytes;
    } else {
        p.n_blocks = k / PM_CPU_BLOCK;
        int bits = p.layout == PM_CPU_NIBBLES ? 4 + p.high_bits : 8;
        p.value_bytes = PM_CPU_BLOCK * PM_CPU_PANEL / 8 * bits;
        int64_t vectors = (p.halves ? 2 : 1) + (p.has_mins ? 1 : 0);
        p.pair_bytes = 2 * (p.value_bytes + vectors * PM_CPU_PANEL * (p.byte_scales ? 1 : 2));
        p.head_bytes = p.byte_scales ? 2 * PM_CPU_PANEL * 2 : 0;
        p.panel_bytes =
            (size_t)((p.n_blocks + 1) / 2 * p.pair_bytes + p.n_blocks / PM_CPU_HEAD_BLOCKS * p.head_bytes);
    }
    p.panel_bytes = (p.panel_bytes + 63) & ~(size_t)63;
    *out = p;
    return true;
}

size_t pm_cpu_panels_bytes(const pm_cpu_panels *panels)
{
    return (size_t)panels->n_panels * panels->panel_bytes;
}

static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint8_t five_bits(const uint8_t *nibbles, uint32_t high, int i)
{
    int low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
    return (uint8_t)(low | (int)(high >> i & 1) << 4);
}

/* Scale and minimum of sub-block j of Q4_K and Q5_K; the packing is explained in block_types.c. */
static void k_scales(const uint8_t *block, int j, raw_block *out)
{
    const uint8_t *packed = block + 4;
    int scale = j < 4 ? packed[j] & 63 : (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
    int min = j < 4 ? packed[j + 4] & 63 : packed[j + 4] >> 4 | packed[j] >> 6 << 4;
    out->scales[0] = (int8_t)scale;
    out->min = (int8_t)min;
    out->scale_bits = load_u16(block);
    out->min_bits = load_u16(block + 2) ^ 0x8000; /* it is subtracted */
}

static void unpack_q6_k(const uint8_t *block, int j, raw_block *out)
{
    int half = j / 4, group = j % 4;
    const uint8_t *high = block + 128 + half * 32, *low = block + half * 64 + group % 2 * 32;
    const uint8_t *scales = block + 192 + half * 8 + group * 2;
    out->scale_bits = load_u16(block + 208);
    for (int i = 0; i < 32; i++)
        out->q[i] = (uint8_t)((low[i] >> group / 2 * 4 & 15) | (high[i] >> 2 * group & 3) << 4);
    out->scales[0] = (int8_t)scales[0];
    out->scales[1] = (int8_t)scales[1];
}

static void unpack_k(pm_type type, const uint8_t *block, int j, raw_block *out)
{
    if (type == PM_TYPE_Q6_K) {
        unpack_q6_k(block, j, out);
        return;
    }
    k_scales(block, j, out);
    const uint8_t *low = block + (type == PM_TYPE_Q5_K ? 48 : 16) + j / 2 * 32;
    for (int i = 0; i < 32; i++) {
        out->q[i] = low[i] >> j % 2 * 4 & 15;
        if (type == PM_TYPE_Q5_K)
            out->q[i] = (uint8_t)(out->q[i] | (block[16 + i] >> j & 1) << 4);
    }
}

/* Block b of a row. */
static void unpack(pm_type type, const uint8_t *row, int64_t b, raw_block *out)
{
    const pm_type_info *info = pm_type_get(type);
    if (info->block_elems > PM_CPU_BLOCK) {
        unpack_k(type, row + b / 8 * info->block_bytes, (int)(b % 8), out);
        return;
    }
    const uint8_t *block = row + b * info->block_bytes;
    bool has_min = type == PM_TYPE_Q4_1 || type == PM_TYPE_Q5_1,
         five = type == PM_TYPE_Q5_0 || type == PM_TYPE_Q5_1;
    out->scale_bits = load_u16(block);
    out->min_bits = has_min ? load_u16(block + 2) : 0;
    block += has_min ? 4 : 2;
    if (type == PM_TYPE_Q8_0) {
        for (int i = 0; i < 32; i++)
            out->q[i] = block[i] ^ 0x80;
    } else if (five) {
        uint32_t high = (uint32_t)load_u16(block) | (uint32_t)load_u16(block + 2) << 16;
        for (int i = 0; i < 32; i++)
            out->q[i] = five_bits(block + 4, high, i);
    } else {
        for (int i = 0; i < 16; i++) {
            out->q[i] = block[i] & 15;
            out->q[16 + i] = block[i] >> 4;
        }
    }
}

static void put_half(const unsigned char *halves, int r, uint16_t bits)
{
    ((uint16_t *)(void *)(uintptr_t)halves)[r] = bits;
}

static void put_byte(const unsigned char *bytes, int r, int8_t value)
{
    ((int8_t *)(uintptr_t)bytes)[r] = value;
}

static unsigned char *values_of(const pm_cpu_panels *p, unsigned char *panel, int64_t b)
{
    return panel + (pm_cpu_block_values(p, panel, b) - panel);
}

/* A row's 32 values of 4 + high_bits bits, four at a time in the bytes of a word, to its place in each vector. */
static void put_nibbles(int high_bits, const uint8_t *q, unsigned char *to)
{
    enum { NIBBLES = 0x0f0f0f0f, ONES = 0x01010101 };
    uint32_t four[8], high[2] = {0}, mask = (uint32_t)ONES * ((1u << high_bits) - 1);
    memcpy(four, q, sizeof four);
    for (int j = 0; j < 8; j++)
        high[pm_cpu_high_vector(j, high_bits)] |= (four[j] >> 4 & mask) << (4 - pm_cpu_high_shift(j, high_bits));
    for (int j = 0; j < 4; j++) {
        uint32_t both = (four[j] & NIBBLES) | (four[4 + j] & NIBBLES) << 4;
        memcpy(to + j * 64, &both, sizeof both);
    }
    for (int vector = 0; vector < high_bits; vector++)
        memcpy(to + (4 + vector) * 64, &high[vector], sizeof high[vector]);
}

/* Puts row r's block into its panel. */
static void put_block(const pm_cpu_panels *p, unsigned char *panel, int64_t b, int r, const raw_block *raw)
{
    if (p->layout == PM_CPU_NIBBLES) {
        put_nibbles(p->high_bits, raw->q, values_of(p, panel, b) + r * 4);
    } else {
        for (int j = 0; j < 8; j++)
            memcpy(values_of(p, panel, b) + j * 64 + r * 4, raw->q + 4 * j, 4);
    }
    if (p->byte_scales) {
        const unsigned char *head = pm_cpu_block_head(p, panel, b);
        put_half(head, r, raw->scale_bits);
        put_half(head + 2 * PM_CPU_PANEL, r, raw->min_bits);
        for (int s = 0; s < (p->halves ? 2 : 1); s++)
            put_byte(pm_cpu_block_scales(p, panel, b, s), r, raw->scales[s]);
        if (p->has_mins)
            put_byte(pm_cpu_block_mins(p, panel, b), r, raw->min);
        return;
    }
    put_half(pm_cpu_block_scales(p, panel, b, 0), r, raw->scale_bits);
    if (p->has_mins)
        put_half(pm_cpu_block_mins(p, panel, b), r, raw->min_bits);
}

/* Q4_0, Q4_1 and Q8_0 have their values in the panels' order already: four bytes at a time go to their places. */
static void put_plain_block(const pm_cpu_panels *p, unsigned char *panel, int64_t b, int r, const uint8_t *block)
{
    bool nibbles = p->layout == PM_CPU_NIBBLES;
    uint32_t flip = nibbles ? 0 : 0x80808080u, four;
    unsigned char *to = values_of(p, panel, b) + r * 4;
    put_half(pm_cpu_block_scales(p, panel, b, 0), r, load_u16(block));
    if (p->has_mins)
        put_half(pm_cpu_block_mins(p, panel, b), r, load_u16(block + 2));
    block += p->has_mins ? 4 : 2;
    for (int j = 0; j < (nibbles ? 4 : 8); j++) {
        memcpy(&four, block + 4 * j, sizeof four);
        four ^= flip;
        memcpy(to + j * 64, &four, sizeof four);
    }
}

static void pack_blocks(const pm_cpu_panels *p, unsigned char *panel, const uint8_t *rows, size_t row_bytes,
                        int n_rows)
{
    bool plain = p->type == PM_TYPE_Q4_0 || p->type == PM_TYPE_Q4_1 || p->type == PM_TYPE_Q8_0;
    size_t block_bytes = pm_type_get(p->type)->block_bytes;
    if (p->n_blocks % 2) /* half of the last pair is never written, nor read */
        memset(panel + p->panel_bytes - p->pair_bytes, 0, (size_t)p->pair_bytes);
    if (n_rows == PM_CPU_PANEL && plain) {
        for (int64_t b = 0; b < p->n_blocks; b++)
            for (int r = 0; r < PM_CPU_PANEL; r++)
                put_plain_block(p, panel, b, r, rows + (size_t)r * row_bytes + (size_t)b * block_bytes);
        return;
    }
    for (int64_t b = 0; b < p->n_blocks; b++)
        for (int r = 0; r < PM_CPU_PANEL; r++) {
            raw_block raw = {0}; /* rows beyond the last are zero: scale 0 */
            if (r < n_rows)
                unpack(p->type, rows + (size_t)r * row_bytes, b, &raw);
            put_block(p, panel, b, r, &raw);
        }
}

static void pack_floats(const pm_cpu_panels *p, unsigned char *panel, const uint8_t *rows, size_t row_bytes,
                        int n_rows)
{
    enum { AT_ONCE = 64 }; /* values of k, so that what is written in pieces stays near */
    size_t size = pm_type_get(p->type)->block_bytes;
    if (n_rows < PM_CPU_PANEL)
        memset(panel, 0, p->panel_bytes);
    for (int64_t k0 = 0; k0 < p->k; k0 += AT_ONCE) {
        int64_t k1 = p->k - k0 < AT_ONCE ? p->k : k0 + AT_ONCE;
        for (int r = 0; r < n_rows; r++) {
            const uint8_t *from = rows + (size_t)r * row_bytes;
            unsigned char *to = panel + (size_t)r * size;
            for (int64_t k = k0; size == 2 && k < k1; k++)
                memcpy(to + k * 2 * PM_CPU_PANEL, from + k * 2, 2);
            for (int64_t k = k0; size == 4 && k < k1; k++)
                memcpy(to + k * 4 * PM_CPU_PANEL, from + k * 4, 4);
        }
    }
}

void pm_cpu_panels_pack(const pm_cpu_panels *panels, const void *rows, int64_t begin, int64_t end)
{
    size_t row_bytes = pm_type_row_bytes(panels->type, panels->k);
    for (int64_t i = begin; i < end; i++) {
        int64_t n0 = i * PM_CPU_PANEL;
        int n_rows = (int)(panels->n - n0 < PM_CPU_PANEL ? panels->n - n0 : PM_CPU_PANEL);
        const uint8_t *from = (const uint8_t *)rows + (size_t)n0 * row_bytes;
        unsigned char *panel = panels->data + (size_t)i * panels->panel_bytes;
        if (panels->layout == PM_CPU_FLOATS)
            pack_floats(panels, panel, from, row_bytes, n_rows);
        else
            pack_blocks(panels, panel, from, row_bytes, n_rows);
    }
}
