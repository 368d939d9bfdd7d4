/* Weight layouts: see weight_layout.h, and shaders/common/weights.glsl for a drawing of the units that are packed
 * here.
 *
 * One function a family of types packs one row's block of 32 values into its places of a unit; the loop over rows
 * and blocks is common. Bytes of the file are only moved: scales, minima and quants stay what they were. */
#include "backends/vulkan/weight_layout.h"

#include <string.h>

#include "base/error.h"
#include "formats/block_types.h"

enum { GROUP = 4, BLOCK = 32, SUPER = 8 /* blocks in a K type's block of 256 */, ELEMENT = 16 /* bytes: uvec4 */ };

/* Where invocations make a row group each, as on software devices, those of a subgroup read so many groups side by
 * side; then one block of all of them is one stretch of memory, in the order in which it is read. Elsewhere the
 * blocks of one group are. */
enum { SOFTWARE_INTERLEAVE = 8 };

/* Bytes of a unit in each plane; of plane 2 for SUPER units. */
typedef struct unit_sizes {
    uint32_t quants, scales, super;
} unit_sizes;

static unit_sizes sizes_of(pm_type type)
{
    switch (type) {
    case PM_TYPE_F32:
        return (unit_sizes){512, 0, 0};
    case PM_TYPE_F16:
    case PM_TYPE_BF16:
        return (unit_sizes){256, 0, 0};
    case PM_TYPE_Q8_0:
        return (unit_sizes){128, 8, 0};
    case PM_TYPE_Q4_0:
        return (unit_sizes){64, 8, 0};
    case PM_TYPE_Q4_1:
        return (unit_sizes){64, 16, 0};
    case PM_TYPE_Q5_0:
        return (unit_sizes){80, 8, 0};
    case PM_TYPE_Q5_1:
        return (unit_sizes){80, 16, 0};
    case PM_TYPE_Q4_K:
        return (unit_sizes){64, 8, 16};
    case PM_TYPE_Q5_K:
        return (unit_sizes){80, 8, 16};
    case PM_TYPE_Q6_K:
        return (unit_sizes){96, 8, 16};
    case PM_TYPE_I32:
    case PM_TYPE_COUNT:
        break;
    }
    return (unit_sizes){0, 0, 0};
}

pm_status pm_vk_weight_layout_choose(const pm_vk_caps *caps, const pm_weight *weight, pm_vk_weight_layout *out,
                                     pm_error *err)
{
    unit_sizes sizes = sizes_of(weight->type);
    if (!sizes.quants)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "the weight %s has elements of type %s", weight->name,
                       pm_type_name(weight->type));
    if (weight->dim[0] < 1 || weight->dim[0] > INT32_MAX)
        return pm_fail(err, PM_ERR_LIMIT, "the weight %s has rows of %lld values", weight->name,
                       (long long)weight->dim[0]);
    *out = (pm_vk_weight_layout){.type = weight->type, .n_planes = 1, .row_group = 1};
    if ((weight->uses & PM_USE_PLAIN) || !(weight->uses & (PM_USE_MATMUL | PM_USE_EMBEDDING))) {
        out->format = PM_VK_WEIGHT_ROWS;
        out->row_bytes[0] = (uint64_t)weight->dim[0] * sizeof(float);
        return PM_OK;
    }
    uint64_t n_blocks = pm_vk_weight_blocks(weight->dim[0]);
    out->format = PM_VK_WEIGHT_UNITS;
    out->interleave = caps->software ? SOFTWARE_INTERLEAVE : 1;
    out->row_group = GROUP * out->interleave;
    out->n_planes = sizes.super ? 3 : sizes.scales ? 2 : 1;
    out->row_bytes[0] = n_blocks * sizes.quants / GROUP;
    out->row_bytes[1] = n_blocks * sizes.scales / GROUP;
    out->row_bytes[2] = n_blocks / SUPER * sizes.super / GROUP;
    return PM_OK;
}

pm_vk_view pm_vk_view_of_plane(pm_type type, uint32_t plane)
{
    if (plane != 1 || type == PM_TYPE_Q4_1 || type == PM_TYPE_Q5_1)
        return PM_VK_VIEW_U32X4;
    return type == PM_TYPE_Q4_K || type == PM_TYPE_Q5_K || type == PM_TYPE_Q6_K ? PM_VK_VIEW_U32X2
                                                                                : PM_VK_VIEW_F16X4;
}

/* ---- one row's block of a unit
 * ------------------------------------------------------------------------------------ */

static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)load_u16(p) | (uint32_t)load_u16(p + 2) << 16;
}

/* A unit's places in the planes; its elements of plane 0, of 4 words each, are `step` words apart. */
typedef struct unit_places {
    uint32_t *quants, *scales, *super;
    size_t step;
} unit_places;

static uint32_t *quants_word(unit_places to, int word)
{
    return to.quants + (size_t)(word / 4) * to.step + word % 4;
}

/* Value i is put into nibble, fifth bit or bit pair as the shader takes them; q has 32 values. */
static void put_nibbles(const uint8_t q[BLOCK], unit_places to, int r)
{
    for (int j = 0; j < 4; j++) {
        uint32_t word = 0;
        for (int b = 0; b < 4; b++)
            word |= (uint32_t)(q[4 * j + b] & 15) << 8 * b | (uint32_t)(q[16 + 4 * j + b] & 15) << (8 * b + 4);
        *quants_word(to, 4 * r + j) = word;
    }
}

static void put_fifth_bits(const uint8_t q[BLOCK], unit_places to, int r)
{
    uint32_t word = 0;
    for (int i = 0; i < BLOCK; i++)
        word |= (uint32_t)(q[i] >> 4 & 1) << (i % 4 * 8 + i / 4);
    *quants_word(to, 16 + r) = word;
}

static void put_bit_pairs(const uint8_t q[BLOCK], unit_places to, int r)
{
    for (int half = 0; half < 2; half++) {
        uint32_t word = 0;
        for (int i = 0; i < 16; i++)
            word |= (uint32_t)(q[16 * half + i] >> 4 & 3) << (i % 4 * 8 + i / 4 * 2);
        *quants_word(to, 16 + 2 * r + half) = word;
    }
}

/* The scale and minimum (or two scales) of a row, or d alone, as 16 bits of plane 1, little-endian. */
static void put_u16(uint32_t *scales, int r, uint16_t value)
{
    memcpy((uint8_t *)scales + 2 * r, &value, sizeof value);
}

/* Q8_0, Q4_0, Q4_1, Q5_0, Q5_1: d | m (types 1) | high bits (types 5) | quants. */
static void pack_simple(pm_type type, const uint8_t *block, unit_places to, int r)
{
    bool has_min = type == PM_TYPE_Q4_1 || type == PM_TYPE_Q5_1;
    bool five = type == PM_TYPE_Q5_0 || type == PM_TYPE_Q5_1;
    if (has_min)
        to.scales[r] = load_u32(block);
    else
        put_u16(to.scales, r, load_u16(block));
    block += has_min ? 4 : 2;
    if (type == PM_TYPE_Q8_0) {
        for (int j = 0; j < 8; j++)
            *quants_word(to, 8 * r + j) = load_u32(block + 4 * j);
        return;
    }
    uint32_t high = five ? load_u32(block) : 0;
    block += five ? 4 : 0;
    uint8_t q[BLOCK];
    for (int i = 0; i < 16; i++) {
        q[i] = (uint8_t)((block[i] & 15) | (high >> i & 1) << 4);
        q[i + 16] = (uint8_t)(block[i] >> 4 | (high >> (i + 16) & 1) << 4);
    }
    put_nibbles(q, to, r);
    if (five)
        put_fifth_bits(q, to, r);
}

/* Sub-block j of a Q4_K or Q5_K block: its 6-bit scale and minimum (formats/block_types.c draws the 12 bytes). */
static uint16_t scale_min(const uint8_t *packed, int j)
{
    int scale, min;
    if (j < 4) {
        scale = packed[j] & 63;
        min = packed[j + 4] & 63;
    } else {
        scale = (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
        min = packed[j + 4] >> 4 | packed[j] >> 6 << 4;
    }
    return (uint16_t)(scale | min << 8);
}

static void pack_q4_k_q5_k(pm_type type, const uint8_t *block, int j, unit_places to, int r)
{
    bool five = type == PM_TYPE_Q5_K;
    const uint8_t *high = block + 16, *nibbles = block + (five ? 48 : 16) + j / 2 * 32;
    uint8_t q[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        q[i] = (uint8_t)((nibbles[i] >> j % 2 * 4 & 15) | (five ? (high[i] >> j & 1) << 4 : 0));
    put_nibbles(q, to, r);
    if (five)
        put_fifth_bits(q, to, r);
    put_u16(to.scales, r, scale_min(block + 4, j));
    to.super[r] = load_u32(block);
}

static void pack_q6_k(const uint8_t *block, int j, unit_places to, int r)
{
    int half = j / 4, g = j % 4;
    const uint8_t *low = block + half * 64 + g % 2 * 32, *high = block + 128 + half * 32;
    uint8_t q[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        q[i] = (uint8_t)((low[i] >> g / 2 * 4 & 15) | (high[i] >> 2 * g & 3) << 4);
    put_nibbles(q, to, r);
    put_bit_pairs(q, to, r);
    put_u16(to.scales, r, load_u16(block + 192 + 2 * j));
    to.super[r] = load_u16(block + 208);
}

static void pack_plain(const uint8_t *row, uint32_t width, int64_t left, unit_places to, int r)
{
    uint8_t whole[BLOCK * sizeof(float)];
    size_t n = (size_t)(left < BLOCK ? left : BLOCK) * width, n_words = BLOCK * width / 4;
    memset(whole + n, 0, BLOCK * width - n);
    memcpy(whole, row, n);
    for (size_t i = 0; i < n_words; i += 4)
        memcpy(quants_word(to, (int)(n_words * (size_t)r + i)), whole + 4 * i, ELEMENT);
}

static void pack_block(pm_type type, const uint8_t *row, int64_t k, uint32_t b, unit_places to, int r)
{
    const pm_type_info *info = pm_type_get(type);
    switch (type) {
    case PM_TYPE_F32:
    case PM_TYPE_F16:
    case PM_TYPE_BF16:
        pack_plain(row + (size_t)b * BLOCK * info->block_bytes, info->block_bytes, k - (int64_t)b * BLOCK, to, r);
        break;
    case PM_TYPE_Q4_K:
    case PM_TYPE_Q5_K:
        pack_q4_k_q5_k(type, row + (size_t)(b / SUPER) * info->block_bytes, (int)(b % SUPER), to, r);
        break;
    case PM_TYPE_Q6_K:
        pack_q6_k(row + (size_t)(b / SUPER) * info->block_bytes, (int)(b % SUPER), to, r);
        break;
    default:
        pack_simple(type, row + (size_t)b * info->block_bytes, to, r);
    }
}

/* ---- all of them
 * -------------------------------------------------------------------------------------------------- */

static void pack_units(const pm_vk_weight_layout *layout, const pm_weight *weight, int64_t first, int64_t count,
                       void *const planes[PM_VK_MAX_PLANES])
{
    size_t row_bytes = pm_type_row_bytes(weight->type, weight->dim[0]);
    uint32_t n_blocks = pm_vk_weight_blocks(weight->dim[0]);
    uint64_t lanes = layout->interleave;
    unit_sizes sizes = sizes_of(weight->type);
    for (int64_t row = 0; row < count; row++) {
        uint64_t group = (uint64_t)(row / GROUP), together = group / lanes, lane = group % lanes;
        const uint8_t *from = (const uint8_t *)weight->data + (size_t)(first + row) * row_bytes;
        for (uint32_t b = 0; b < n_blocks; b++) {
            uint64_t unit = (together * n_blocks + b) * lanes + lane;
            uint64_t super = (together * n_blocks + b) / SUPER * lanes + lane;
            uint64_t element = (together * n_blocks + b) * lanes * (sizes.quants / ELEMENT) + lane;
            unit_places to = {(uint32_t *)planes[0] + element * ELEMENT / 4, NULL, NULL, ELEMENT / 4 * lanes};
            if (sizes.scales)
                to.scales = (uint32_t *)planes[1] + unit * sizes.scales / 4;
            if (sizes.super)
                to.super = (uint32_t *)planes[2] + super * sizes.super / 4;
            pack_block(weight->type, from, weight->dim[0], b, to, (int)(row % GROUP));
        }
    }
}

void pm_vk_weight_pack(const pm_vk_weight_layout *layout, const pm_weight *weight, int64_t first, int64_t count,
                       void *const planes[PM_VK_MAX_PLANES])
{
    if (layout->format == PM_VK_WEIGHT_ROWS) {
        size_t from = pm_type_row_bytes(weight->type, weight->dim[0]);
        for (int64_t row = 0; row < count; row++)
            pm_dequantize_row(weight->type, (const unsigned char *)weight->data + (size_t)(first + row) * from,
                              (float *)planes[0] + row * weight->dim[0], weight->dim[0]);
        return;
    }
    if (count % layout->row_group) { /* zero rows at the end */
        uint64_t whole = (uint64_t)(count / layout->row_group) * layout->row_group;
        for (uint32_t p = 0; p < layout->n_planes; p++)
            memset((uint8_t *)planes[p] + whole * layout->row_bytes[p], 0,
                   (size_t)(layout->row_group * layout->row_bytes[p]));
    }
    pack_units(layout, weight, first, count, planes);
}
