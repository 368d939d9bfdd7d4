/* Weights and states on the device: split into chunks that can be bound, laid into a few large blocks, filled.
 *
 * A weight is split by rows (whole row groups), a state by its outermost dimension, whenever a piece would exceed
 * the storage-buffer range or the largest allocation. Places are decided for everything first, so that each block
 * is allocated with exactly the size that it needs and a model that does not fit fails before anything is copied.
 */
#include "backends/vulkan/vk_runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapped_file.h"
#include "base/threads.h"

static const uint64_t block_bytes = 256ull << 20; /* as large as blocks grow by sharing */
static const uint64_t piece_bytes = 8ull << 20;   /* packed and uploaded at a time */

/* ---- places -------------------------------------------------------------------------------------------- */

int64_t pm_vk_chunk_units(int64_t count, const uint64_t *unit_bytes, uint32_t n_planes, uint32_t group,
                          uint64_t most)
{
    uint64_t widest = 1;
    for (uint32_t p = 0; p < n_planes; p++)
        widest = unit_bytes[p] > widest ? unit_bytes[p] : widest;
    uint64_t groups = most / widest / group;
    uint64_t all = ((uint64_t)count + group - 1) / group;
    if (!groups || !all)
        return 0;
    uint64_t n_chunks = (all + groups - 1) / groups;
    return (int64_t)((all + n_chunks - 1) / n_chunks * group); /* evenly */
}

/* The end of the last block, as places are handed out. */
typedef struct block_placer {
    uint64_t most, align;
    uint64_t *sizes; /* of blocks */
    size_t n, cap;
} block_placer;

static pm_status place(block_placer *placer, uint64_t size, pm_vk_place *out, pm_error *err)
{
    uint64_t shared = placer->most < block_bytes ? placer->most : block_bytes;
    uint64_t at =
        placer->n ? (placer->sizes[placer->n - 1] + placer->align - 1) / placer->align * placer->align : 0;
    if (!placer->n || at + size > shared) {
        if (placer->n == placer->cap) {
            size_t cap = placer->cap ? 2 * placer->cap : 16;
            uint64_t *grown = realloc(placer->sizes, cap * sizeof *grown);
            if (!grown)
                return pm_fail_memory(err, cap * sizeof *grown, "the list of memory blocks");
            placer->sizes = grown;
            placer->cap = cap;
        }
        placer->n++;
        at = 0;
    }
    placer->sizes[placer->n - 1] = at + size;
    *out = (pm_vk_place){(uint32_t)(placer->n - 1), at, size};
    return PM_OK;
}

static uint64_t most_of_chunk(const pm_vk_device *device)
{
    const pm_device_limits *limits = &device->caps.limits;
    uint64_t most = limits->max_storage_buffer_range < limits->max_allocation ? limits->max_storage_buffer_range
                                                                              : limits->max_allocation;
    return most & ~(uint64_t)15;
}

/* Splits and places `count` units; a unit is a row of a weight or an index of the outermost dimension of a state.
 */
static pm_status place_chunks(const pm_vk_device *device, block_placer *placer, const char *name, int64_t count,
                              const uint64_t *unit_bytes, uint32_t group, pm_vk_stored *out, pm_error *err)
{
    int64_t units = pm_vk_chunk_units(count, unit_bytes, out->n_planes, group, most_of_chunk(device));
    int64_t n_chunks = units ? (count + units - 1) / units : 0;
    if (n_chunks < 1 || n_chunks > 4096)
        return pm_fail(
            err, PM_ERR_LIMIT,
            "%s cannot be split into pieces that %s can bind (%.1f MiB at most); use a shorter context or "
            "another device",
            name, device->facts.title, (double)most_of_chunk(device) / 1048576.0);
    out->n_chunks = (int)n_chunks;
    out->chunks = calloc((size_t)n_chunks, sizeof *out->chunks);
    if (!out->chunks)
        return pm_fail_memory(err, (size_t)n_chunks * sizeof *out->chunks, "the chunks of a tensor");
    for (int64_t i = 0; i < n_chunks; i++) {
        pm_vk_stored_chunk *chunk = &out->chunks[i];
        chunk->first = i * units;
        chunk->count = count - chunk->first < units ? count - chunk->first : units;
        uint64_t stored = ((uint64_t)chunk->count + group - 1) / group * group;
        for (uint32_t p = 0; p < out->n_planes; p++)
            PM_TRY(place(placer, (stored * unit_bytes[p] + 3) & ~3ull, &chunk->plane[p], err));
    }
    return PM_OK;
}

static pm_status allocate_blocks(pm_vk_device *device, const block_placer *placer, const char *what,
                                 pm_vk_store *store, pm_error *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < placer->n; i++)
        total += placer->sizes[i];
    store->blocks = calloc(placer->n ? placer->n : 1, sizeof *store->blocks);
    if (!store->blocks)
        return pm_fail_memory(err, placer->n * sizeof *store->blocks, "the list of memory blocks");
    for (size_t i = 0; i < placer->n; i++) {
        pm_status status =
            pm_vk_buffer_create(device, placer->sizes[i], PM_VK_MEMORY_DEVICE, what, &store->blocks[i], err);
        if (status != PM_OK)
            return pm_fail_within(err, status, "allocating %.1f MiB for %s", (double)total / 1048576.0, what);
        store->n_blocks++;
    }
    return PM_OK;
}

static pm_vk_store *store_create(size_t n, pm_error *err)
{
    pm_vk_store *store = calloc(1, sizeof *store);
    if (store)
        store->items = calloc(n ? n : 1, sizeof *store->items);
    if (!store || !store->items) {
        pm_fail_memory(err, n * sizeof(pm_vk_stored), "the list of weights");
        free(store);
        return NULL;
    }
    store->n_items = n;
    return store;
}

static void store_destroy(pm_vk_device *device, pm_vk_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->n_blocks; i++)
        pm_vk_buffer_destroy(device, &store->blocks[i]);
    for (size_t i = 0; i < store->n_items; i++)
        free(store->items[i].chunks);
    free(store->blocks);
    free(store->items);
    free(store);
}

static block_placer new_placer(const pm_vk_device *device)
{
    uint64_t align = device->caps.limits.min_storage_alignment;
    return (block_placer){.most = device->caps.limits.max_allocation, .align = align < 64 ? 64 : align};
}

/* ---- weights ------------------------------------------------------------------------------------------- */

typedef struct upload_progress {
    pm_progress_fn call;
    void *user;
    uint64_t done, total;
    pm_threads *threads; /* that pack */
} upload_progress;

static int64_t rows_of(const pm_weight *weight)
{
    int64_t rows = 1;
    for (int d = 1; d < weight->n_dims; d++)
        rows *= weight->dim[d];
    return rows;
}

static pm_status plan_weight(pm_vk_device *device, block_placer *placer, const pm_weight *weight,
                             pm_vk_stored *out, pm_error *err)
{
    PM_TRY(pm_vk_weight_layout_choose(&device->caps, weight, &out->layout, err));
    out->n_planes = out->layout.n_planes;
    if (out->n_planes < 1 || out->n_planes > PM_VK_MAX_PLANES || !out->layout.row_group)
        return pm_fail(err, PM_ERR_INTERNAL, "the layout of the weight %s has %u planes and row groups of %u",
                       weight->name, out->n_planes, out->layout.row_group);
    return place_chunks(device, placer, weight->name, rows_of(weight), out->layout.row_bytes,
                        out->layout.row_group, out, err);
}

typedef struct packing { /* rows [first, first + count) of a weight, shared out among threads */
    const pm_vk_weight_layout *layout;
    const pm_weight *weight;
    int64_t first, count;
    void *planes[PM_VK_MAX_PLANES];
} packing;

static void pack_share(void *user, int thread, int n_threads)
{
    const packing *work = user;
    int64_t group = work->layout->row_group, groups = (work->count + group - 1) / group;
    int64_t begin = groups * thread / n_threads * group, end = groups * (thread + 1) / n_threads * group;
    if (end > work->count)
        end = work->count;
    if (begin >= end)
        return;
    void *planes[PM_VK_MAX_PLANES] = {0};
    for (uint32_t p = 0; p < work->layout->n_planes; p++)
        planes[p] = (unsigned char *)work->planes[p] + (uint64_t)begin * work->layout->row_bytes[p];
    pm_vk_weight_pack(work->layout, work->weight, work->first + begin, end - begin, planes);
}

/* Packs rows [first, first + count) of a chunk and sends them to the device. `first` counts from the chunk's
 * start. */
static pm_status upload_piece(pm_vk_device *device, const pm_vk_store *store, const pm_vk_stored *stored,
                              const pm_vk_stored_chunk *chunk, const pm_weight *weight, int64_t first,
                              int64_t count, pm_threads *threads, pm_error *err)
{
    const pm_vk_weight_layout *layout = &stored->layout;
    uint64_t group = layout->row_group, rows = ((uint64_t)count + group - 1) / group * group;
    uint64_t sizes[PM_VK_MAX_PLANES], total = 0;
    bool mapped = true;
    for (uint32_t p = 0; p < stored->n_planes; p++) {
        sizes[p] = rows * layout->row_bytes[p];
        total += (sizes[p] + 15) & ~15ull;
        mapped = mapped && store->blocks[chunk->plane[p].block].mapped;
    }
    unsigned char *staging = NULL;
    if (!mapped)
        PM_TRY(pm_vk_staging(device, total, &staging, err));
    packing work = {.layout = layout, .weight = weight, .first = chunk->first + first, .count = count};
    VkBuffer to[PM_VK_MAX_PLANES];
    VkBufferCopy regions[PM_VK_MAX_PLANES];
    uint64_t at = 0;
    for (uint32_t p = 0; p < stored->n_planes; p++) {
        const pm_vk_buffer *block = &store->blocks[chunk->plane[p].block];
        uint64_t offset = chunk->plane[p].offset + (uint64_t)first * layout->row_bytes[p];
        work.planes[p] = mapped ? block->mapped + offset : staging + at;
        to[p] = block->handle;
        regions[p] = (VkBufferCopy){.srcOffset = at, .dstOffset = offset, .size = sizes[p]};
        at += (sizes[p] + 15) & ~15ull;
    }
    pm_threads_run(threads, pack_share, &work);
    if (!mapped)
        return pm_vk_copy_staged(device, to, regions, stored->n_planes, err);
    for (uint32_t p = 0; p < stored->n_planes; p++)
        PM_TRY(pm_vk_buffer_flush(device, &store->blocks[chunk->plane[p].block], regions[p].dstOffset,
                                  regions[p].size, err));
    return PM_OK;
}

static pm_status upload_weight(pm_vk_device *device, const pm_vk_store *store, const pm_vk_stored *stored,
                               const pm_weight *weight, upload_progress *progress, pm_error *err)
{
    uint64_t bytes = 0, group = stored->layout.row_group;
    for (uint32_t p = 0; p < stored->n_planes; p++)
        bytes += stored->layout.row_bytes[p];
    uint64_t groups = piece_bytes / (bytes * group);
    int64_t rows = (int64_t)((groups ? groups : 1) * group);
    for (int c = 0; c < stored->n_chunks; c++) {
        const pm_vk_stored_chunk *chunk = &stored->chunks[c];
        for (int64_t first = 0; first < chunk->count; first += rows) {
            int64_t count = chunk->count - first < rows ? chunk->count - first : rows;
            PM_TRY(upload_piece(device, store, stored, chunk, weight, first, count, progress->threads, err));
            progress->done += (uint64_t)count * bytes;
            if (progress->call && progress->call(progress->user, weight->name, progress->done, progress->total))
                return pm_fail(err, PM_ERR_CANCELLED, "loading the weights was cancelled");
        }
    }
    return PM_OK;
}

static pm_status fill_weights(pm_vk_device *device, const pm_weight *weights, size_t n, pm_progress_fn call,
                              void *user, pm_vk_store *store, pm_error *err)
{
    block_placer placer = new_placer(device);
    upload_progress progress = {.call = call, .user = user};
    pm_status status = PM_OK;
    for (size_t i = 0; i < n && status == PM_OK; i++) {
        status = plan_weight(device, &placer, &weights[i], &store->items[i], err);
        for (uint32_t p = 0; p < store->items[i].n_planes && status == PM_OK; p++)
            progress.total += (uint64_t)rows_of(&weights[i]) * store->items[i].layout.row_bytes[p];
    }
    if (status == PM_OK)
        status = allocate_blocks(device, &placer, "the model's weights", store, err);
    if (status == PM_OK)
        status = pm_threads_create(pm_threads_cores() > 16 ? 16 : pm_threads_cores(), &progress.threads, err);
    for (size_t i = 0; i < n && status == PM_OK; i++) {
        status = upload_weight(device, store, &store->items[i], &weights[i], &progress, err);
        if (weights[i].is_mapped)
            pm_mapped_drop(weights[i].data, weights[i].n_bytes);
    }
    pm_status waited = pm_vk_transfers_wait(device, status == PM_OK ? err : NULL);
    pm_threads_destroy(progress.threads);
    free(placer.sizes);
    if (status == PM_OK)
        status = waited;
    return status != PM_OK ? status : pm_vk_check_messages(device, err);
}

pm_status pm_vk_weights_create(pm_device *base, const pm_weight *weights, size_t n, pm_progress_fn progress,
                               void *user, pm_weights **out, pm_error *err)
{
    *out = NULL;
    pm_vk_device *device = pm_vk_device_of(base);
    pm_vk_store *store = store_create(n, err);
    if (!store)
        return PM_ERR_MEMORY;
    pm_status status = fill_weights(device, weights, n, progress, user, store, err);
    if (status != PM_OK) {
        store_destroy(device, store);
        return status;
    }
    *out = (pm_weights *)(void *)store;
    return PM_OK;
}

void pm_vk_weights_destroy(pm_device *device, pm_weights *weights)
{
    store_destroy(pm_vk_device_of(device), (pm_vk_store *)(void *)weights);
}

uint64_t pm_vk_weights_bytes(const pm_weights *weights)
{
    const pm_vk_store *store = (const pm_vk_store *)(const void *)weights;
    uint64_t total = 0;
    for (size_t i = 0; store && i < store->n_blocks; i++)
        total += store->blocks[i].size;
    return total;
}

/* ---- states -------------------------------------------------------------------------------------------- */

static pm_status plan_state(pm_vk_device *device, block_placer *placer, const pm_state_desc *desc,
                            pm_vk_stored *out, pm_error *err)
{
    uint64_t unit = pm_type_row_bytes(desc->type, desc->dim[0]);
    for (int d = 1; d < desc->n_dims - 1; d++) {
        if (desc->dim[d] < 1 || unit > (UINT64_MAX >> 1) / (uint64_t)desc->dim[d])
            return pm_fail(err, PM_ERR_LIMIT, "the state %s is too large", desc->name);
        unit *= (uint64_t)desc->dim[d];
    }
    int64_t count = desc->n_dims > 1 ? desc->dim[desc->n_dims - 1] : 1;
    if (unit > (UINT64_MAX >> 8) || count < 1)
        return pm_fail(err, PM_ERR_ARGUMENT, "the shape of the state %s is invalid", desc->name);
    out->n_planes = 1;
    out->unit_bytes = unit;
    return place_chunks(device, placer, desc->name, count, &unit, 1, out, err);
}

pm_status pm_vk_states_create(pm_device *base, const pm_state_desc *descs, size_t n, pm_states **out,
                              pm_error *err)
{
    *out = NULL;
    pm_vk_device *device = pm_vk_device_of(base);
    pm_vk_store *store = store_create(n, err);
    if (!store)
        return PM_ERR_MEMORY;
    block_placer placer = new_placer(device);
    pm_status status = PM_OK;
    for (size_t i = 0; i < n && status == PM_OK; i++)
        status = plan_state(device, &placer, &descs[i], &store->items[i], err);
    if (status == PM_OK)
        status = allocate_blocks(device, &placer, "the KV cache", store, err);
    for (size_t i = 0; i < store->n_blocks && status == PM_OK; i++)
        status = pm_vk_zero(device, &store->blocks[i], err);
    free(placer.sizes);
    if (status == PM_OK)
        status = pm_vk_check_messages(device, err);
    if (status != PM_OK) {
        store_destroy(device, store);
        return status;
    }
    *out = (pm_states *)(void *)store;
    return PM_OK;
}

void pm_vk_states_destroy(pm_device *device, pm_states *states)
{
    store_destroy(pm_vk_device_of(device), (pm_vk_store *)(void *)states);
}
