/* Lowering a graph: the functions that ops call (vk_lower.h), and what becomes of what they emit.
 *
 * While nodes are lowered, every piece of memory is an item with a symbolic place. When all are lowered, the
 * lifetimes of activations, scratch and derived values are known, the memory plan packs them into the arena, and
 * the bindings of the launches are resolved to buffers and offsets. */
#include "backends/vulkan/matmul_variant.h"
#include "backends/vulkan/vk_groups.h"
#include "backends/vulkan/vk_runtime.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct derived {
    int32_t tensor;
    uint32_t kind, item;
} derived;

struct pm_vk_lowering {
    pm_vk_device *device;
    pm_vk_program *program;
    int32_t node;       /* being lowered */
    pm_plan_item *plan; /* by tensor id first, then scratch and derived values */
    size_t n_plan, cap_plan;
    derived *derived;
    size_t n_derived, cap_derived;
    uint64_t io_bytes;
    uint32_t none_item;
    pm_vk_groups groups;
    pm_error error; /* the first failure of a function that returns no status */
};

static const pm_vk_slice no_slice;

uint32_t pm_vk_view_bytes(pm_vk_view view)
{
    return view == PM_VK_VIEW_U32X2 || view == PM_VK_VIEW_F16X4 ? 8 : 16;
}

bool pm_vk_viewable(const pm_vk_caps *caps, uint64_t size, pm_vk_view view)
{
    return view == PM_VK_VIEW_BUFFER || size / pm_vk_view_bytes(view) <= caps->max_texels;
}

const pm_vk_caps *pm_vk_lowering_caps(const pm_vk_lowering *l)
{
    return &l->device->caps;
}

double pm_vk_work_limit(const pm_vk_lowering *l)
{
    return 0.1 * l->device->caps.flops_per_s;
}

bool pm_vk_measured_tiling(pm_vk_lowering *l, const pm_vk_product *p, pm_vk_tiling *out)
{
    if (!l->device->trial)
        return pm_vk_tuning_find(&l->device->tuning, p, out);
    *out = *l->device->trial++;
    return true;
}

/* ---- items --------------------------------------------------------------------------------------------- */

/* Makes room for one more element of size `size` in a growing list; false when memory has run out. */
static bool grow(void **list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    size_t more = *cap ? 2 * *cap : 64;
    void *grown = realloc(*list, more * size);
    if (!grown)
        return false;
    *list = grown;
    *cap = more;
    return true;
}

static void fail_memory(pm_vk_lowering *l)
{
    if (l->error.status == PM_OK)
        pm_fail_memory(&l->error, 0, "a Vulkan program");
}

static uint32_t add_item(pm_vk_lowering *l, pm_vk_item item)
{
    pm_vk_program *p = l->program;
    size_t cap = p->cap_items;
    if (!grow((void **)&p->items, p->n_items, &cap, sizeof *p->items)) {
        fail_memory(l);
        return 0;
    }
    p->cap_items = (uint32_t)cap;
    if (!p->n_items)
        p->items[p->n_items++] = (pm_vk_item){0}; /* item 0: none */
    p->items[p->n_items] = item;
    return p->n_items++;
}

static uint32_t add_arena_item(pm_vk_lowering *l, uint64_t size, int32_t first, int32_t last, const char *name)
{
    if (!grow((void **)&l->plan, l->n_plan, &l->cap_plan, sizeof *l->plan)) {
        fail_memory(l);
        return 0;
    }
    l->plan[l->n_plan] = (pm_plan_item){.size = (size_t)((size + 15) & ~15ull), .first = first, .last = last};
    return add_item(l, (pm_vk_item){.kind = PM_VK_ITEM_ARENA,
                                    .buffer = PM_VK_BUFFER_ARENA,
                                    .size = size,
                                    .plan = l->n_plan++,
                                    .name = name});
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) / align * align;
}

static uint64_t place_align(const pm_vk_device *device)
{
    uint64_t align = device->caps.limits.min_storage_alignment;
    return align < 64 ? 64 : align;
}

/* The weight or state that a tensor stands for, and the number of its first buffer in the program; NULL for
 * others. */
static const pm_vk_stored *stored_of(pm_vk_lowering *l, const pm_tensor *tensor, uint32_t *first_buffer)
{
    const pm_vk_program *p = l->program;
    const pm_vk_store *store = tensor->role == PM_ROLE_WEIGHT  ? p->weights
                               : tensor->role == PM_ROLE_STATE ? p->states
                                                               : NULL;
    if (tensor->role != PM_ROLE_WEIGHT && tensor->role != PM_ROLE_STATE)
        return NULL;
    *first_buffer = PM_VK_BUFFER_ARENA + 1 +
                    (tensor->role == PM_ROLE_STATE && p->weights ? (uint32_t)p->weights->n_blocks : 0);
    if (store && tensor->slot >= 0 && (size_t)tensor->slot < store->n_items)
        return &store->items[tensor->slot];
    if (l->error.status == PM_OK)
        pm_fail(&l->error, PM_ERR_ARGUMENT, "the tensor %s has slot %d, which the program was not given",
                tensor->name, tensor->slot);
    return NULL;
}

/* The items of a tensor, made when first asked for: the planes of its first chunk, of its second, ... */
static uint32_t items_of(pm_vk_lowering *l, const pm_tensor *tensor)
{
    pm_vk_program *p = l->program;
    uint32_t item = p->tensor_item[tensor->id];
    if (item)
        return item;
    uint64_t size = ((uint64_t)pm_tensor_bytes(tensor) + 3) & ~3ull;
    if (tensor->role == PM_ROLE_INPUT) {
        item = add_item(l, (pm_vk_item){PM_VK_ITEM_FIXED, PM_VK_BUFFER_IO, l->io_bytes, size, 0, tensor->name});
        l->io_bytes = align_up(l->io_bytes + size, place_align(l->device));
    } else if (tensor->role == PM_ROLE_ACTIVATION) {
        item = add_item(
            l, (pm_vk_item){PM_VK_ITEM_ARENA, PM_VK_BUFFER_ARENA, 0, size, (size_t)tensor->id, tensor->name});
    } else {
        uint32_t first_buffer = 0;
        const pm_vk_stored *stored = stored_of(l, tensor, &first_buffer);
        for (int c = 0; stored && c < stored->n_chunks; c++)
            for (uint32_t plane = 0; plane < stored->n_planes; plane++) {
                const pm_vk_place *at = &stored->chunks[c].plane[plane];
                uint32_t made = add_item(l, (pm_vk_item){PM_VK_ITEM_FIXED, first_buffer + at->block, at->offset,
                                                         at->size, 0, tensor->name});
                item = item ? item : made;
            }
    }
    p->tensor_item[tensor->id] = item;
    return item;
}

static pm_vk_slice whole_item(const pm_vk_lowering *l, uint32_t item)
{
    return item ? (pm_vk_slice){.item = item, .size = l->program->items[item].size} : no_slice;
}

/* ---- what ops ask for ---------------------------------------------------------------------------------- */

pm_vk_slice pm_vk_tensor_slice(pm_vk_lowering *l, const pm_tensor *tensor)
{
    tensor = pm_tensor_storage(tensor);
    uint32_t first_buffer;
    const pm_vk_stored *stored = stored_of(l, tensor, &first_buffer);
    if (stored && (stored->n_chunks != 1 || stored->n_planes != 1) && l->error.status == PM_OK)
        pm_fail(&l->error, PM_ERR_UNSUPPORTED,
                "%s is stored in %d chunks of %u planes on this device and the op can use only one; use a shorter "
                "context, or a device with a larger storage-buffer range",
                tensor->name, stored->n_chunks, stored->n_planes);
    return whole_item(l, items_of(l, tensor));
}

int pm_vk_n_chunks(pm_vk_lowering *l, const pm_tensor *tensor)
{
    uint32_t first_buffer;
    const pm_vk_stored *stored = stored_of(l, pm_tensor_storage(tensor), &first_buffer);
    return stored ? stored->n_chunks : 1;
}

pm_vk_chunk pm_vk_get_chunk(pm_vk_lowering *l, const pm_tensor *tensor, int index)
{
    tensor = pm_tensor_storage(tensor);
    uint32_t first_buffer, item = items_of(l, tensor);
    const pm_vk_stored *stored = stored_of(l, tensor, &first_buffer);
    pm_vk_chunk chunk = {.count = tensor->dim[tensor->n_dims - 1]};
    if (!stored) {
        chunk.plane[0] = whole_item(l, item);
        return chunk;
    }
    if (!item || index < 0 || index >= stored->n_chunks)
        return chunk;
    chunk.first = stored->chunks[index].first;
    chunk.count = stored->chunks[index].count;
    for (uint32_t p = 0; p < stored->n_planes; p++)
        chunk.plane[p] = whole_item(l, item + (uint32_t)index * stored->n_planes + p);
    return chunk;
}

const pm_vk_weight_layout *pm_vk_tensor_layout(pm_vk_lowering *l, const pm_tensor *tensor)
{
    tensor = pm_tensor_storage(tensor);
    uint32_t first_buffer;
    const pm_vk_stored *stored = tensor->role == PM_ROLE_WEIGHT ? stored_of(l, tensor, &first_buffer) : NULL;
    return stored ? &stored->layout : NULL;
}

pm_vk_slice pm_vk_slice_part(pm_vk_lowering *l, pm_vk_slice slice, uint64_t offset, uint64_t size, uint64_t *skip)
{
    uint64_t align = l->device->caps.limits.min_storage_alignment;
    *skip = 0;
    if (!slice.item || offset > slice.size || size > slice.size - offset) {
        if (l->error.status == PM_OK)
            pm_fail(&l->error, PM_ERR_INTERNAL, "part of a slice is outside of it");
        return no_slice;
    }
    uint64_t at = slice.offset + offset;
    *skip = at % (align ? align : 1);
    return (pm_vk_slice){.item = slice.item, .offset = at - *skip, .size = (size + *skip + 3) & ~3ull};
}

pm_vk_slice pm_vk_slice_span(pm_vk_lowering *l, const pm_vk_slice *slices, int n, uint64_t *begins)
{
    uint64_t begin = UINT64_MAX, end = 0;
    const pm_vk_item *items = l->program->items, *first = n > 0 ? &items[slices[0].item] : NULL;
    for (int i = 0; i < n; i++) {
        const pm_vk_item *item = &items[slices[i].item];
        if (item->kind != PM_VK_ITEM_FIXED || item->buffer != first->buffer)
            return no_slice;
        begins[i] = item->base + slices[i].offset;
        begin = begins[i] < begin ? begins[i] : begin;
        end = begins[i] + slices[i].size > end ? begins[i] + slices[i].size : end;
    }
    for (int i = 0; i < n; i++)
        begins[i] -= begin;
    if (!first)
        return no_slice;
    pm_vk_item all = {PM_VK_ITEM_FIXED, first->buffer, begin, end - begin, 0, first->name};
    return whole_item(l, add_item(l, all));
}

pm_vk_slice pm_vk_slice_none(pm_vk_lowering *l)
{
    if (!l->none_item) {
        l->none_item = add_item(l, (pm_vk_item){PM_VK_ITEM_FIXED, PM_VK_BUFFER_IO, l->io_bytes, 256, 0, "(none)"});
        l->io_bytes += align_up(256, place_align(l->device));
    }
    return whole_item(l, l->none_item);
}

pm_vk_slice pm_vk_scratch(pm_vk_lowering *l, uint64_t size)
{
    return whole_item(l, add_arena_item(l, (size + 3) & ~3ull, l->node, l->node, "(scratch)"));
}

pm_vk_slice pm_vk_kept(pm_vk_lowering *l, uint64_t size)
{
    int32_t end = (int32_t)l->program->graph->n_nodes;
    return whole_item(l, add_arena_item(l, (size + 3) & ~3ull, 0, end, "(kept)")); /* the arena begins as zeros */
}

pm_vk_slice pm_vk_derived(pm_vk_lowering *l, const pm_tensor *tensor, uint32_t kind, uint64_t size, bool *is_new)
{
    tensor = pm_tensor_storage(tensor);
    size = (size + 3) & ~3ull;
    *is_new = false;
    for (size_t i = 0; i < l->n_derived; i++) {
        const derived *d = &l->derived[i];
        if (d->tensor != tensor->id || d->kind != kind)
            continue;
        pm_vk_item *item = &l->program->items[d->item];
        if (item->size != size && l->error.status == PM_OK)
            pm_fail(&l->error, PM_ERR_INTERNAL, "the derived value %u of %s was asked for in two sizes", kind,
                    tensor->name);
        l->plan[item->plan].last = l->node;
        return whole_item(l, d->item);
    }
    *is_new = true;
    uint32_t item = add_arena_item(l, size, l->node, l->node, "(derived)");
    if (!item || !grow((void **)&l->derived, l->n_derived, &l->cap_derived, sizeof *l->derived)) {
        fail_memory(l);
        return no_slice;
    }
    l->derived[l->n_derived++] = (derived){tensor->id, kind, item};
    return whole_item(l, item);
}

/* ---- emitting ------------------------------------------------------------------------------------------ */

static pm_status check_bindings(const pm_vk_lowering *l, const pm_vk_dispatch *d, pm_error *err)
{
    const pm_vk_caps *caps = &l->device->caps;
    const pm_device_limits *limits = &caps->limits;
    const char *shader = pm_shader_infos[d->shader].name;
    if (d->n_bind > PM_VK_MAX_BIND || d->n_bind > limits->max_storage_buffers)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "shader %s binds %u buffers and this device allows %u", shader,
                       d->n_bind, limits->max_storage_buffers);
    for (uint32_t i = 0; i < d->n_bind; i++) {
        pm_vk_slice slice = d->bind[i].slice;
        if (!slice.item || slice.item >= l->program->n_items || !slice.size)
            return pm_fail(err, PM_ERR_INTERNAL, "binding %u of shader %s is empty", i, shader);
        const pm_vk_item *item = &l->program->items[slice.item];
        if (slice.offset > item->size || slice.size > item->size - slice.offset || slice.size % 4 ||
            (limits->min_storage_alignment && slice.offset % limits->min_storage_alignment) ||
            !(d->bind[i].access & PM_VK_READ_WRITE))
            return pm_fail(err, PM_ERR_INTERNAL,
                           "binding %u of shader %s (%s, bytes %" PRIu64 " + %" PRIu64 " of %" PRIu64
                           ") is out of range, misaligned or has no access",
                           i, shader, item->name, slice.offset, slice.size, item->size);
        if (slice.view != PM_VK_VIEW_BUFFER &&
            (d->bind[i].access != PM_VK_READ || slice.offset || !pm_vk_viewable(caps, slice.size, slice.view)))
            return pm_fail(err, PM_ERR_INTERNAL, "binding %u of shader %s (%s) cannot be a texel buffer", i,
                           shader, item->name);
        if (slice.view == PM_VK_VIEW_BUFFER && slice.size > limits->max_storage_buffer_range)
            return pm_fail(
                err, PM_ERR_LIMIT,
                "%s needs %.1f MiB in one binding and this device allows %.1f MiB; use a smaller batch or "
                "context",
                item->name, (double)slice.size / 1048576.0, (double)limits->max_storage_buffer_range / 1048576.0);
    }
    return PM_OK;
}

static pm_status check_dispatch(const pm_vk_lowering *l, const pm_vk_dispatch *d, pm_error *err)
{
    const pm_vk_caps *caps = &l->device->caps;
    if ((unsigned)d->shader >= PM_SHADER_COUNT || !pm_vk_usable(caps, d->shader))
        return pm_fail(err, PM_ERR_UNSUPPORTED, "shader %s cannot be used on this device or in this build",
                       (unsigned)d->shader < PM_SHADER_COUNT ? pm_shader_infos[d->shader].name : "?");
    const char *shader = pm_shader_infos[d->shader].name;
    if (d->n_spec > PM_VK_MAX_SPEC || d->push_size > PM_VK_MAX_PUSH || d->push_size % 4 ||
        (d->push_size && !d->push))
        return pm_fail(err, PM_ERR_INTERNAL, "shader %s: %u specialization constants, %u bytes of push constants",
                       shader, d->n_spec, d->push_size);
    if (d->n_spec && (d->spec[0] < 1 || d->spec[0] > caps->limits.max_workgroup_invocations ||
                      d->spec[0] > caps->limits.max_workgroup_size[0]))
        return pm_fail(err, PM_ERR_LIMIT, "shader %s: a local size of %u and this device allows %u", shader,
                       d->spec[0], caps->limits.max_workgroup_invocations);
    for (int i = 0; i < 3; i++)
        if (d->groups[i] < 1 || d->groups[i] > caps->limits.max_workgroup_count[i])
            return pm_fail(err, PM_ERR_LIMIT, "shader %s: %u workgroups in dimension %d and this device allows %u",
                           shader, d->groups[i], i, caps->limits.max_workgroup_count[i]);
    if (d->subgroup_size && (d->subgroup_size < caps->subgroup_min || d->subgroup_size > caps->subgroup_max))
        return pm_fail(err, PM_ERR_INTERNAL, "shader %s: a subgroup size of %u cannot be required", shader,
                       d->subgroup_size);
    return check_bindings(l, d, err);
}

pm_status pm_vk_emit(pm_vk_lowering *l, const pm_vk_dispatch *d, pm_error *err)
{
    pm_vk_program *p = l->program;
    if (l->error.status != PM_OK)
        return pm_fail(err, l->error.status, "%s", l->error.message);
    PM_TRY(check_dispatch(l, d, err));
    size_t cap = p->cap_launches;
    if (!grow((void **)&p->launches, p->n_launches, &cap, sizeof *p->launches))
        return pm_fail_memory(err, cap * sizeof *p->launches, "the launches of a program");
    p->cap_launches = (uint32_t)cap;
    pm_vk_launch launch = {.push_size = d->push_size,
                           .n_bind = d->n_bind,
                           .node = (uint32_t)l->node,
                           .groups = {d->groups[0], d->groups[1], d->groups[2]},
                           .flops = d->flops,
                           .bytes = d->bytes,
                           .why = d->why ? d->why : ""};
    PM_TRY(pm_vk_pipeline_get(l->device, d, &launch.pipeline, err));
    if (d->push_size)
        memcpy(launch.push, d->push, d->push_size);
    for (uint32_t i = 0; i < d->n_bind; i++) {
        pm_vk_slice slice = d->bind[i].slice;
        const pm_vk_item *item = &p->items[slice.item];
        if (item->kind == PM_VK_ITEM_ARENA) { /* nodes of a group are done later than the graph says */
            pm_plan_item *plan = &l->plan[item->plan];
            plan->last = l->node > plan->last ? l->node : plan->last;
        }
        launch.bind[i] = (pm_vk_range){.item = slice.item,
                                       .offset = slice.offset,
                                       .size = slice.size,
                                       .access = d->bind[i].access,
                                       .view = slice.view};
    }
    p->launches[p->n_launches++] = launch;
    return PM_OK;
}

/* ---- the whole graph ----------------------------------------------------------------------------------- */

/* The buffers that bindings may name: io, arena, blocks of weights, blocks of states. */
static pm_status list_buffers(pm_vk_program *p, pm_error *err)
{
    size_t n_weights = p->weights ? p->weights->n_blocks : 0, n_states = p->states ? p->states->n_blocks : 0;
    size_t n = PM_VK_BUFFER_ARENA + 1 + n_weights + n_states;
    p->buffers = calloc(n, sizeof *p->buffers);
    if (!p->buffers)
        return pm_fail_memory(err, n * sizeof *p->buffers, "the buffers of a program");
    p->n_buffers = (uint32_t)n;
    p->buffers[PM_VK_BUFFER_IO] = &p->io;
    p->buffers[PM_VK_BUFFER_ARENA] = &p->arena;
    for (size_t i = 0; i < n_weights; i++)
        p->buffers[PM_VK_BUFFER_ARENA + 1 + i] = &p->weights->blocks[i];
    for (size_t i = 0; i < n_states; i++)
        p->buffers[PM_VK_BUFFER_ARENA + 1 + n_weights + i] = &p->states->blocks[i];
    return PM_OK;
}

static pm_status begin(pm_vk_lowering *l, pm_error *err)
{
    pm_vk_program *p = l->program;
    size_t n = p->graph->n_tensors ? p->graph->n_tensors : 1;
    p->tensor_item = calloc(n, sizeof *p->tensor_item);
    l->plan = calloc(n, sizeof *l->plan);
    if (!p->tensor_item || !l->plan)
        return pm_fail_memory(err, n * sizeof *l->plan, "the memory plan");
    l->n_plan = l->cap_plan = n;
    l->io_bytes = align_up(PM_VK_PARAMS_BYTES, place_align(l->device));
    PM_TRY(list_buffers(p, err));
    return pm_graph_lifetimes(p->graph, l->plan, err);
}

/* Inputs and outputs get their memory even where no node touches them, so that the host can write and read them.
 */
static void touch_ends(pm_vk_lowering *l)
{
    const pm_graph *graph = l->program->graph;
    for (size_t i = 0; i < graph->n_tensors; i++) {
        const pm_tensor *t = graph->tensors[i];
        if (!t->view_of && (t->role == PM_ROLE_INPUT || t->role == PM_ROLE_STATE ||
                            (t->role == PM_ROLE_ACTIVATION && l->plan[i].size)))
            items_of(l, t);
    }
}

/* Memory rests for so many nodes before it is used again: a node that reads it and its neighbours, which could run
 * at the same time, would otherwise need a barrier against the next writer. */
static const int32_t rest = 2;

static pm_status place_items(pm_vk_lowering *l, pm_error *err)
{
    pm_vk_program *p = l->program;
    for (size_t i = 0; i < l->n_plan; i++) {
        l->plan[i].last += rest;
        if (p->by_node) { /* everything stays as it was written */
            l->plan[i].first = 0;
            l->plan[i].last = INT32_MAX - 1;
        }
    }
    size_t arena = 0;
    PM_TRY(pm_plan_memory(l->plan, l->n_plan, (size_t)place_align(l->device), &arena, err));
    PM_TRY(pm_vk_buffer_create(l->device, arena, PM_VK_MEMORY_DEVICE, "the activations", &p->arena, err));
    PM_TRY(pm_vk_buffer_create(l->device, l->io_bytes, PM_VK_MEMORY_SHARED, "the inputs", &p->io, err));
    PM_TRY(pm_vk_zero(l->device, &p->arena, err));
    PM_TRY(pm_vk_zero(l->device, &p->io, err));
    for (uint32_t i = 0; i < p->n_items; i++)
        if (p->items[i].kind == PM_VK_ITEM_ARENA)
            p->items[i].base = l->plan[p->items[i].plan].offset;
    for (uint32_t i = 0; i < p->n_launches; i++)
        for (uint32_t b = 0; b < p->launches[i].n_bind; b++) {
            pm_vk_range *range = &p->launches[i].bind[b];
            range->buffer = p->items[range->item].buffer;
            range->offset += p->items[range->item].base;
        }
    return PM_OK;
}

static pm_status lower_group(pm_vk_lowering *l, const pm_vk_group *group, pm_error *err)
{
    if (group->kind == PM_VK_GROUP_TURN)
        return pm_vk_lower_rope_store(l, &group->turn, err);
    return l->device->caps.software ? pm_vk_lower_matmul_row(l, &group->row, err)
                                    : pm_vk_lower_matmul_vec(l, &group->row, err);
}

static pm_status lower(pm_vk_lowering *l, pm_error *err)
{
    PM_TRY(begin(l, err));
    const pm_graph *graph = l->program->graph;
    if (!l->program->by_node)
        PM_TRY(pm_vk_groups_find(l, graph, &l->groups, err));
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const pm_node *node = graph->nodes[i];
        l->node = (int32_t)i;
        const pm_vk_group *group =
            l->groups.of_node && l->groups.of_node[i] ? &l->groups.list[l->groups.of_node[i] - 1] : NULL;
        if (group && group->last != i)
            continue;
        if (!pm_vk_supports(&l->device->caps, node))
            return pm_fail(err, PM_ERR_UNSUPPORTED,
                           "the Vulkan backend has no kernel for %s making %s on this device",
                           pm_op_name(node->op), node->out->name);
        pm_status status = group ? lower_group(l, group, err) : pm_vk_lower_node(l, node, err);
        if (status == PM_OK && l->error.status != PM_OK)
            status = pm_fail(err, l->error.status, "%s", l->error.message);
        if (status != PM_OK)
            return pm_fail_within(err, status, "%s making %s", pm_op_name(node->op), node->out->name);
    }
    touch_ends(l);
    if (l->error.status != PM_OK)
        return pm_fail(err, l->error.status, "%s", l->error.message);
    PM_TRY(place_items(l, err));
    return pm_vk_pipelines_compile(l->device, err);
}

pm_status pm_vk_lower_graph(pm_vk_device *device, pm_vk_program *program, pm_error *err)
{
    pm_vk_lowering l = {.device = device, .program = program};
    PM_TRY(pm_vk_tune_graph(device, program->graph, program->weights, err));
    pm_status status = lower(&l, err);
    pm_vk_groups_free(&l.groups);
    free(l.plan);
    free(l.derived);
    return status;
}
