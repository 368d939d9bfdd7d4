/* The Vulkan runtime's own structs, shared by the vk_*.c files. Ops see vk_lower.h only.
 *
 * Ownership: a pm_vk_device owns its instance, queue, pipelines and staging memory; weights, states and programs
 * own their buffers and must be destroyed before the device. A device that was lost stays lost: every later call
 * fails with PM_ERR_DEVICE_LOST.
 */
#ifndef PUMICE_BACKENDS_VULKAN_VK_RUNTIME_H
#define PUMICE_BACKENDS_VULKAN_VK_RUNTIME_H

#include <vulkan/vulkan.h>

#include "backends/backend.h"
#include "backends/vulkan/vk_cache.h"
#include "backends/vulkan/vk_facts.h"
#include "backends/vulkan/vk_hazards.h"
#include "backends/vulkan/vk_lower.h"
#include "backends/vulkan/vk_tuning.h"
#include "backends/vulkan/weight_layout.h"
#include "base/error.h"

/* ---- instance: vk_instance.c --------------------------------------------------------------------------- */

enum { PM_VK_MAX_DEVICES = 16 };

/* Messages of the validation layer (PUMICE_VK_VALIDATION=1). Any message makes the calls that check it fail. */
typedef struct pm_vk_messages {
    int count;
    char first[400];
    void (*log)(void *user, const char *line);
    void *log_user;
} pm_vk_messages;

typedef struct pm_vk_instance {
    VkInstance handle; /* VK_NULL_HANDLE: there is no Vulkan here */
    VkDebugUtilsMessengerEXT messenger;
    pm_vk_messages *messages; /* on the heap: the messenger points at it */
    VkPhysicalDevice devices[PM_VK_MAX_DEVICES];
    pm_vk_facts *facts; /* of each device; sorted, the best kind first */
    uint32_t n_devices;
} pm_vk_instance;

/* No loader, no driver or no device is no error: n_devices is 0 then. */
pm_status pm_vk_instance_open(pm_vk_instance *instance, void (*log)(void *user, const char *line), void *log_user,
                              pm_error *err);
void pm_vk_instance_close(pm_vk_instance *instance);

/* ---- device: vk_device.c ------------------------------------------------------------------------------- */

typedef struct pm_vk_buffer {
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t size, allocated;
    unsigned char *mapped; /* NULL where the host cannot see it */
    bool coherent, cached;
    uint32_t heap;
} pm_vk_buffer;

typedef struct pm_vk_layout { /* what the pipelines have in common that bind alike */
    uint32_t n_bind, texels;  /* texels: bit i: binding i is a texel buffer */
    VkDescriptorSetLayout set;
    VkPipelineLayout pipeline;
} pm_vk_layout;

typedef struct pm_vk_pipeline {
    pm_shader shader;
    const pm_vk_layout *layout;
    uint32_t n_spec, subgroup_size;
    uint32_t spec[PM_VK_MAX_SPEC];
    VkPipeline handle;
    VkResult result; /* of compiling it */
} pm_vk_pipeline;

enum { PM_VK_TRANSFERS = 2 };

typedef struct pm_vk_transfer { /* a copy that may be under way while the next one is prepared */
    pm_vk_buffer staging;
    VkCommandBuffer commands;
    VkFence fence;
    bool pending;
} pm_vk_transfer;

typedef struct pm_vk_device {
    pm_device base;
    pm_vk_instance instance;
    VkPhysicalDevice physical;
    pm_vk_facts facts;
    pm_vk_caps caps;
    VkDevice handle;
    VkQueue queue;
    bool lost, profile, said_no_timestamps;
    void (*log)(void *user, const char *line);
    void *log_user;
    uint64_t heap_used[VK_MAX_MEMORY_HEAPS]; /* by our own allocations */

    VkCommandPool transfer_pool; /* staging copies: vk_transfer.c */
    pm_vk_transfer transfers[PM_VK_TRANSFERS];
    uint32_t next_transfer;
    pm_vk_buffer readback;

    VkDescriptorSetLayout params_layout;
    pm_vk_layout **layouts; /* made when first asked for; the first binds nothing */
    size_t n_layouts, cap_layouts;
    VkPipelineCache pipeline_cache;
    pm_vk_pipeline **pipelines;
    size_t n_pipelines, cap_pipelines, n_compiled_pipelines, n_unsaved_pipelines;

    pm_vk_cache cache;        /* files on disk */
    pm_vk_tuning tuning;      /* how products are cut: what was measured, on this device */
    bool tunes;               /* products that are not in it are measured */
    const pm_vk_tiling *trial; /* while that goes on: the tilings of the products to come, in their order; else NULL */
    char tuning_kind[64];     /* its file in the cache */
    PFN_vkGetCalibratedTimestampsEXT get_calibrated_timestamps; /* NULL: no monotonic clock to go by */
} pm_vk_device;

static inline pm_vk_device *pm_vk_device_of(const pm_device *device)
{
    return (pm_vk_device *)(uintptr_t)device;
}

pm_status pm_vk_device_list(pm_device_info *infos, size_t cap, size_t *n, pm_error *err);
pm_status pm_vk_device_open(const pm_device_options *options, size_t index, pm_device **out, pm_error *err);
void pm_vk_device_close(pm_device *device);

/* Fails with the status that belongs to a VkResult and a sentence about what was being done and what to do now. */
pm_status pm_vk_fail(pm_vk_device *device, VkResult result, const char *doing, pm_error *err);
/* PM_ERR_DEVICE where the validation layer has said something since the device was opened; else PM_OK. */
pm_status pm_vk_check_messages(const pm_vk_device *device, pm_error *err);
void pm_vk_log(const pm_vk_device *device, const char *format, ...) PM_PRINTF(2, 3);

/* ---- memory: vk_memory.c, vk_transfer.c ---------------------------------------------------------------- */

/* `what` names the thing in errors ("the KV cache"). The size is checked against every limit and what is free. */
pm_status pm_vk_buffer_create(pm_vk_device *device, uint64_t size, pm_vk_memory_kind kind, const char *what,
                              pm_vk_buffer *out, pm_error *err);
void pm_vk_buffer_destroy(pm_vk_device *device, pm_vk_buffer *buffer); /* a zeroed one is fine */
/* Makes host writes visible to the device, and device writes to the host, where memory is not coherent. */
pm_status pm_vk_buffer_flush(pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset, uint64_t size,
                             pm_error *err);
pm_status pm_vk_buffer_invalidate(pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset, uint64_t size,
                                  pm_error *err);

/* Bytes of a heap that can still be allocated, when we have allocated `used` of it ourselves. */
uint64_t pm_vk_memory_free(VkPhysicalDevice physical, const pm_vk_facts *facts, uint32_t heap, uint64_t used);

/* Host data into a buffer and back, and zeros, through the mapping or staging memory; return when done. Offsets
 * and sizes of pm_vk_zero are multiples of 4. */
pm_status pm_vk_upload(pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset, const void *data,
                       uint64_t size, pm_error *err);
pm_status pm_vk_download(pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset, void *data,
                         uint64_t size, pm_error *err);
pm_status pm_vk_zero(pm_vk_device *device, const pm_vk_buffer *buffer, pm_error *err);
/* For long uploads: staging memory of at least `size` bytes, mapped; then copies of regions of it, region i into
 * buffer to[i], which go on while the next staging memory is filled. pm_vk_transfers_wait waits for all of them.
 */
pm_status pm_vk_staging(pm_vk_device *device, uint64_t size, unsigned char **mapped, pm_error *err);
pm_status pm_vk_copy_staged(pm_vk_device *device, const VkBuffer *to, const VkBufferCopy *regions, uint32_t n,
                            pm_error *err);
pm_status pm_vk_transfers_wait(pm_vk_device *device, pm_error *err);
void pm_vk_transfer_destroy(pm_vk_device *device);

/* ---- pipelines: vk_pipeline.c -------------------------------------------------------------------------- */

pm_status pm_vk_pipelines_create(pm_vk_device *device, pm_error *err); /* layouts, and the cache from disk */
void pm_vk_pipelines_destroy(pm_vk_device *device);
/* The layout for so many slices, of which those in the set `texels` are texel buffers; lives as long as the
 * device. */
pm_status pm_vk_layout_get(pm_vk_device *device, uint32_t n_bind, uint32_t texels, const pm_vk_layout **out,
                           pm_error *err);
/* The pipeline of a dispatch, the same for all that agree; lives as long as the device. It can be used after the
 * next pm_vk_pipelines_compile, which compiles all new ones at once (and drops those that fail, with an error). */
pm_status pm_vk_pipeline_get(pm_vk_device *device, const pm_vk_dispatch *dispatch, const pm_vk_pipeline **out,
                             pm_error *err);
pm_status pm_vk_pipelines_compile(pm_vk_device *device, pm_error *err);
void pm_vk_pipelines_save(pm_vk_device *device); /* writes the cache file if there is something new */

/* ---- weights and states: vk_weights.c ------------------------------------------------------------------ */

typedef struct pm_vk_place { /* where a plane of a chunk lies */
    uint32_t block;
    uint64_t offset, size;
} pm_vk_place;

typedef struct pm_vk_stored_chunk {
    int64_t first, count;
    pm_vk_place plane[PM_VK_MAX_PLANES];
} pm_vk_stored_chunk;

typedef struct pm_vk_stored {   /* a weight or state */
    pm_vk_weight_layout layout; /* of a weight */
    int n_chunks;
    uint32_t n_planes;
    pm_vk_stored_chunk *chunks;
    uint64_t unit_bytes; /* of a state: bytes of one index of the outermost dimension */
} pm_vk_stored;

/* What pm_weights and pm_states are here. */
typedef struct pm_vk_store {
    pm_vk_stored *items;
    size_t n_items;
    pm_vk_buffer *blocks;
    size_t n_blocks;
} pm_vk_store;

pm_status pm_vk_weights_create(pm_device *device, const pm_weight *weights, size_t n, pm_progress_fn progress,
                               void *user, pm_weights **out, pm_error *err);
void pm_vk_weights_destroy(pm_device *device, pm_weights *weights);
uint64_t pm_vk_weights_bytes(const pm_weights *weights);
pm_status pm_vk_states_create(pm_device *device, const pm_state_desc *descs, size_t n, pm_states **out,
                              pm_error *err);
void pm_vk_states_destroy(pm_device *device, pm_states *states);

/* Pure: splits `count` units of unit_bytes[p] bytes a plane into chunks of whole groups whose planes are at most
 * `most` bytes each; returns the number of units in a chunk but the last, 0 where not even one group fits. */
int64_t pm_vk_chunk_units(int64_t count, const uint64_t *unit_bytes, uint32_t n_planes, uint32_t group,
                          uint64_t most);

/* ---- lowering and programs: vk_lowering.c, vk_record.c, vk_program.c ----------------------------------- */

typedef enum pm_vk_item_kind {
    PM_VK_ITEM_NONE,
    PM_VK_ITEM_FIXED, /* base is known: weights, states, inputs */
    PM_VK_ITEM_ARENA  /* base comes from the memory plan */
} pm_vk_item_kind;

typedef struct pm_vk_item {
    pm_vk_item_kind kind;
    uint32_t buffer; /* index in pm_vk_program.buffers */
    uint64_t base, size;
    size_t plan; /* of an ARENA item: index in the plan */
    const char *name;
} pm_vk_item;

typedef struct pm_vk_range {
    uint32_t buffer, item;
    uint64_t offset, size;
    pm_vk_access access;
    pm_vk_view view;
} pm_vk_range;

typedef struct pm_vk_launch { /* a dispatch, resolved */
    const pm_vk_pipeline *pipeline;
    unsigned char push[PM_VK_MAX_PUSH];
    uint32_t push_size, n_bind, node;
    uint32_t groups[3];
    pm_vk_range bind[PM_VK_MAX_BIND];
    double flops, bytes;
    const char *why;
    bool barrier; /* before it */
} pm_vk_launch;

typedef struct pm_vk_segment { /* one submission: launches [first, first + count) of nodes first_node .. last_node
                                */
    uint32_t first, count, first_node, last_node;
    uint32_t first_query; /* of the timed form: one timestamp at the start and one after each node */
    double seconds;       /* estimated */
} pm_vk_segment;

enum { PM_VK_IN_FLIGHT = 3 };

typedef struct pm_vk_program {
    const pm_graph *graph;
    const pm_vk_store *weights;
    const pm_vk_store *states;
    bool by_node;

    const pm_vk_buffer **buffers; /* borrowed; PM_VK_BUFFER_IO, _ARENA, then blocks of weights, then of states */
    uint32_t n_buffers;
    pm_vk_item *items;
    uint32_t n_items, cap_items;
    uint32_t *tensor_item; /* by tensor id: item of the first plane of the first chunk; 0: none yet */
    pm_vk_launch *launches;
    uint32_t n_launches, cap_launches;
    pm_vk_segment *segments;
    uint32_t n_segments;

    pm_vk_buffer io, arena; /* io: run parameters, then inputs */
    pm_vk_buffer readback;  /* small outputs are copied here at the end of a run where the arena is not mapped */
    uint64_t *readback_at;  /* by tensor id: offset + 1 in readback; 0: not there. NULL: none is */

    VkCommandPool command_pool;
    VkDescriptorPool descriptor_pool;
    VkDescriptorSet params_set, *sets;
    VkBufferView *views; /* of the texel buffers that launches bind */
    uint32_t n_views;
    VkCommandBuffer *commands, *timed_commands; /* a segment each; timed ones made when first wanted */
    VkQueryPool queries;                        /* of the timed ones */
    uint32_t n_queries;
    uint64_t *ticks; /* room for the results */
    VkFence fences[PM_VK_IN_FLIGHT];

    pm_feed feed; /* from NULL: it is not run in series */
    struct pm_vk_series *series; /* made at the first series */
} pm_vk_program;

enum { PM_VK_BUFFER_IO = 0, PM_VK_BUFFER_ARENA = 1, PM_VK_PARAMS_BYTES = 256 };

static inline pm_vk_program *pm_vk_program_of(const pm_program *program)
{
    return (pm_vk_program *)(uintptr_t)program;
}

/* Lowers every node, plans the memory and resolves the launches (vk_lowering.c). */
pm_status pm_vk_lower_graph(pm_vk_device *device, pm_vk_program *program, pm_error *err);

extern const double pm_vk_segment_seconds; /* the most estimated work of a submission */
/* Cuts the launches into segments and finds where barriers are needed (vk_segments.c). */
pm_status pm_vk_cut_segments(const pm_vk_device *device, pm_vk_program *program, pm_error *err);
double pm_vk_launch_seconds(const pm_vk_caps *caps, double flops, double bytes); /* estimated */

/* Descriptor sets and command buffers; the timed ones have a timestamp after every node (vk_record.c). */
pm_status pm_vk_record_program(pm_vk_device *device, pm_vk_program *program, pm_error *err);
pm_status pm_vk_record_timed(pm_vk_device *device, pm_vk_program *program, pm_error *err);

void pm_vk_cmd_barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags from_access,
                       VkPipelineStageFlags to, VkAccessFlags to_access);

/* Writes the spans of segments [first, end) that have just run, timed, to a trace (vk_spans.c). */
pm_status pm_vk_write_spans(pm_vk_device *device, pm_vk_program *program, uint32_t first, uint32_t end,
                            pm_trace *trace, pm_error *err);

pm_status pm_vk_program_create(pm_device *device, const pm_graph *graph, const pm_weights *weights,
                               pm_states *states, const pm_program_options *options, pm_program **out,
                               pm_error *err);
void pm_vk_program_destroy(pm_device *device, pm_program *program);
uint64_t pm_vk_program_bytes(const pm_program *program);
/* Running: vk_run.c; tensors in and out: vk_tensor_io.c; text: vk_explain.c. */
pm_status pm_vk_program_run(pm_device *device, pm_program *program, const pm_run_params *params,
                            const pm_run_options *options, pm_error *err);
bool pm_vk_wants_stop(const pm_run_options *options);
/* Waits for a fence, asking now and then whether to stop, which ends nothing: *stop is set. */
VkResult pm_vk_wait(pm_vk_device *device, VkFence fence, const pm_run_options *options, bool *stop);
/* Runs in series: vk_series.c. */
pm_status pm_vk_program_run_series(pm_device *device, pm_program *program, const pm_series *series,
                                   const pm_run_options *options, pm_error *err);
void pm_vk_series_destroy(pm_vk_device *device, struct pm_vk_series *series); /* NULL is fine */
uint64_t pm_vk_series_bytes(const struct pm_vk_series *series);
pm_status pm_vk_tensor_write(pm_device *device, pm_program *program, const pm_tensor *tensor, size_t offset,
                             const void *data, size_t size, pm_error *err);
pm_status pm_vk_tensor_read(pm_device *device, pm_program *program, const pm_tensor *tensor, size_t offset,
                            void *data, size_t size, pm_error *err);
void pm_vk_explain(const pm_device *device, const pm_program *program, void (*put)(void *user, const char *line),
                   void *user);

/* ---- what is known from earlier runs: vk_device.c, vk_tuning_measure.c --------------------------------- */

/* The name of a file of the cache that holds for a tier's kernels alone. */
void pm_vk_tier_kind(const pm_vk_caps *caps, const char *what, char kind[64]);

/* Measures the products of a graph that the tuning table has not, if the device is one to be measured. */
pm_status pm_vk_tune_graph(pm_vk_device *device, const pm_graph *graph, const pm_vk_store *weights, pm_error *err);

/* ---- self-test: vk_selftest*.c ------------------------------------------------------------------------- */

/* Runs a few ops against the reference and measures the device's speed (into caps), or takes both from the cache.
 */
pm_status pm_vk_self_test(pm_vk_device *device, pm_error *err);

/* The device's ceilings, for benchmarks: vk_ceilings.c. */
pm_status pm_vk_measure(pm_device *device, pm_ceilings *out, pm_error *err);

/* Whether this op's lowering exists, and its functions. */
bool pm_vk_supports(const pm_vk_caps *caps, const pm_node *node);
pm_status pm_vk_lower_node(pm_vk_lowering *l, const pm_node *node, pm_error *err);

#endif
