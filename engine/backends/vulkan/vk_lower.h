/* Lowering: how a node of a graph becomes Vulkan dispatches. The meeting point of the runtime (vk_*.c) and the
 * ops.
 *
 * Each op has one file, <op>_vk.c, with two functions: pm_vk_supports_<op> says whether a node can run on a device
 * with these capabilities, and pm_vk_lower_<op> chooses the shader variant, fills in its push constants and emits
 * its dispatches. Lowering runs once, when a program is created; what it emits is recorded into command buffers
 * and submitted for every run, so whatever changes from run to run is read by the shader from the run parameters
 * (graph/run_params.h), which are bound to every dispatch as a uniform buffer at set 0, binding 0
 * (shaders/common/params.glsl). The slices of a dispatch are storage buffers at set 1, bindings 0 .. n_bind - 1,
 * in the order inputs, weights, outputs. Push constants begin at offset 0.
 *
 * Lowering code never sees a Vulkan handle: slices are symbolic until every node is lowered and the memory is
 * planned. Barriers are the runtime's business: it derives them from the access that each binding declares, so a
 * binding that is written must say so. Dispatches run in the order in which they are emitted.
 */
#ifndef PUMICE_BACKENDS_VULKAN_VK_LOWER_H
#define PUMICE_BACKENDS_VULKAN_VK_LOWER_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "pm_shaders.h" /* generated from shaders/CMakeLists.txt: enum pm_shader, PM_VK_NEEDS_* */

enum { PM_VK_MAX_BIND = 12, PM_VK_MAX_SPEC = 12, PM_VK_MAX_PUSH = 128, PM_VK_MAX_PLANES = 3, PM_VK_MAX_COOP = 16 };

/* ---- what the device can do ----------------------------------------------------------------------------
 * The limits and features in use: the device's own, lowered to the tier that was forced. A feature that is masked
 * is not enabled on the VkDevice either, so a shader that uses it all the same is caught by the validation layer.
 */
typedef struct pm_vk_coop_shape { /* a supported fp16 x fp16 cooperative matrix shape, subgroup scope */
    uint32_t m, n, k;
    uint8_t f32_accumulator; /* else fp16 */
} pm_vk_coop_shape;

typedef struct pm_vk_caps {
    pm_tier tier;
    pm_device_kind kind;
    bool software; /* runs on the processor: kind is PM_DEVICE_SOFTWARE_GPU */
    uint32_t vendor_id;
    pm_device_limits limits; /* T0 forced: 16 KiB shared, 128 invocations, 128 MiB range, alignment 256 */
    uint32_t features;       /* set of PM_VK_NEEDS_*: what shaders may need, see pm_vk_usable */
    uint32_t subgroup_min, subgroup_max; /* sizes that .subgroup_size of a dispatch may ask for; 0: none may */
    uint32_t n_coop;
    pm_vk_coop_shape coop[PM_VK_MAX_COOP];
    uint32_t max_texels; /* of a texel buffer; 0: none are to be bound (they could not begin where slices do) */
    double flops_per_s;  /* as measured by the self-test, or a cautious guess */
    double bytes_per_s;
} pm_vk_caps;

/* Whether a shader can be used: it was compiled in (variants may need a newer glslang than the build had), and the
 * device has every feature that its line in shaders/CMakeLists.txt names. */
bool pm_vk_usable(const pm_vk_caps *caps, pm_shader shader);

/* ---- memory -------------------------------------------------------------------------------------------- */

/* How the shader declares a binding: a storage buffer, or, where it says so, a uniform texel buffer of this
 * format, read with texelFetch. Software devices read the latter for all invocations of a subgroup at once, and
 * the former for one after another. Texel buffers are read only and hold at most caps->max_texels. */
typedef enum pm_vk_view {
    PM_VK_VIEW_BUFFER,
    PM_VK_VIEW_U32X4, /* usamplerBuffer of 16 bytes a texel */
    PM_VK_VIEW_U32X2, /* usamplerBuffer of 8 bytes */
    PM_VK_VIEW_F32X4, /* samplerBuffer of 16 bytes */
    PM_VK_VIEW_F16X4  /* samplerBuffer of 8 bytes */
} pm_vk_view;

/* A range of bytes of something that dispatches bind. Zero-initialised: none. */
typedef struct pm_vk_slice {
    uint32_t item; /* symbolic: an activation, a chunk of a weight, ...; 0: none */
    uint64_t offset, size;
    pm_vk_view view;
} pm_vk_slice;

/* Bytes of a texel. */
uint32_t pm_vk_view_bytes(pm_vk_view view);

/* Whether a slice of so many bytes can be bound in this view. */
bool pm_vk_viewable(const pm_vk_caps *caps, uint64_t size, pm_vk_view view);
static inline pm_vk_slice pm_vk_viewed(pm_vk_slice slice, pm_vk_view view)
{
    slice.view = view;
    return slice;
}

typedef struct pm_vk_lowering pm_vk_lowering;
struct pm_vk_weight_layout; /* weight_layout.h */

/* The functions below never fail visibly: on a mistake or lack of memory they return an empty result and the next
 * pm_vk_emit returns the error. */

const pm_vk_caps *pm_vk_lowering_caps(const pm_vk_lowering *l);

/* All bytes of an input, activation, state or single-chunk, single-plane weight, views resolved. The size is that
 * of the full shape (rounded up to 4 bytes). It may exceed limits.max_storage_buffer_range: bind parts of it then.
 */
pm_vk_slice pm_vk_tensor_slice(pm_vk_lowering *l, const pm_tensor *tensor);

/* Bytes [offset, offset + size) of a slice as a slice that may be bound: its start is moved down to the device's
 * alignment, and *skip is set to the bytes from the start of the result to `offset` (always a multiple of 4 where
 * offset is one). */
pm_vk_slice pm_vk_slice_part(pm_vk_lowering *l, pm_vk_slice slice, uint64_t offset, uint64_t size, uint64_t *skip);

/* One slice from the first to the last byte of n slices of weights that lie in one buffer, and where in it each
 * begins. Empty, without an error, where they lie in several. */
pm_vk_slice pm_vk_slice_span(pm_vk_lowering *l, const pm_vk_slice *slices, int n, uint64_t *begins);

/* Something to bind where an optional input is absent: 256 bytes that nobody writes. */
pm_vk_slice pm_vk_slice_none(pm_vk_lowering *l);

/* Weights are split by rows (dims above dim[0] counted together) where a plane of them exceeds the storage-buffer
 * range or the largest allocation, and states [D, ctx, H] by their outermost dimension, so that every plane of
 * every chunk can be bound. Most have one chunk. All tensors may be asked; inputs and activations have one chunk.
 */
typedef struct pm_vk_chunk {
    int64_t first, count;                /* rows of a weight; indices of the outermost dimension of the others */
    pm_vk_slice plane[PM_VK_MAX_PLANES]; /* weights: the planes of its layout; the others: plane[0] */
} pm_vk_chunk;
int pm_vk_n_chunks(pm_vk_lowering *l, const pm_tensor *tensor);
pm_vk_chunk pm_vk_get_chunk(pm_vk_lowering *l, const pm_tensor *tensor, int index);

/* How a weight was laid out when it was uploaded; NULL for what is no weight. */
const struct pm_vk_weight_layout *pm_vk_tensor_layout(pm_vk_lowering *l, const pm_tensor *tensor);

/* Memory that lives during this node; contents undefined at first. */
pm_vk_slice pm_vk_scratch(pm_vk_lowering *l, uint64_t size);

/* Memory that is this node's alone and keeps its contents from run to run; zeros at first. */
pm_vk_slice pm_vk_kept(pm_vk_lowering *l, uint64_t size);

/* Memory for a value derived from `tensor` and shared by all nodes that ask for the same (tensor, kind), such as
 * its rows quantised to 8 bits. *is_new: nobody has emitted the dispatch that makes it yet, so the caller must.
 * `kind` is any number but 0, unique among all ops (list them in one enum); size must be the same in every call.
 */
pm_vk_slice pm_vk_derived(pm_vk_lowering *l, const pm_tensor *tensor, uint32_t kind, uint64_t size, bool *is_new);

/* ---- dispatches ---------------------------------------------------------------------------------------- */

typedef enum pm_vk_access { PM_VK_READ = 1, PM_VK_WRITE = 2, PM_VK_READ_WRITE = 3 } pm_vk_access;

typedef struct pm_vk_binding {
    pm_vk_slice slice;
    pm_vk_access access;
} pm_vk_binding;

typedef struct pm_vk_dispatch {
    pm_shader shader;
    uint32_t spec[PM_VK_MAX_SPEC]; /* values of specialization constants 0, 1, ...; 0 is the local size in x */
    uint32_t n_spec;
    const void *push;   /* copied */
    uint32_t push_size; /* at most PM_VK_MAX_PUSH, a multiple of 4 */
    pm_vk_binding bind[PM_VK_MAX_BIND];
    uint32_t n_bind;    /* exactly as many as the shader declares, at most limits.max_storage_buffers */
    uint32_t groups[3]; /* workgroups; each at least 1 and at most limits.max_workgroup_count, see pm_vk_grid */
    uint32_t
        subgroup_size;   /* 0: any; else required, between caps->subgroup_min and subgroup_max; full subgroups */
    double flops, bytes; /* estimated work at the full shape: arithmetic, and memory read and written. Submissions
                          * are cut by these; a guess within a factor of 2 does */
    const char *why; /* for --explain: why this variant; a literal or a string that lives as long as the graph */
} pm_vk_dispatch;

pm_status pm_vk_emit(pm_vk_lowering *l, const pm_vk_dispatch *dispatch, pm_error *err);

/* The most arithmetic that one dispatch should hold, so that no watchdog fires on a slow device: about a tenth of
 * a second. Split larger work into several dispatches, usually by rows. */
double pm_vk_work_limit(const pm_vk_lowering *l);

/* Folds a count of workgroups into x and y within the device's limits; the shader recovers the number as
 * gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x and skips those beyond the count. */
void pm_vk_grid(const pm_vk_caps *caps, uint64_t n_groups, uint32_t groups[3]);

/* Whether the device has the cooperative matrices that our shaders are made of: 16 x 16 x 16 halves with fp32 sums, in
 * subgroups of PM_VK_COOP_SUBGROUP, which their dispatches ask for. */
enum { PM_VK_COOP_SUBGROUP = 32 };
bool pm_vk_coop_usable(const pm_vk_caps *caps);

/* The largest power of two that is at most `want`, max_workgroup_invocations and max_workgroup_size[0]. */
uint32_t pm_vk_local_size(const pm_vk_caps *caps, uint32_t want);

/* ---- the ops ------------------------------------------------------------------------------------------- */
#define PM_VK_OP_PROTO(upper, lower)                                                                              \
    bool pm_vk_supports_##lower(const pm_vk_caps *caps, const pm_node *node);                                     \
    pm_status pm_vk_lower_##lower(pm_vk_lowering *l, const pm_node *node, pm_error *err);
PM_OP_LIST(PM_VK_OP_PROTO)
#undef PM_VK_OP_PROTO

#endif
