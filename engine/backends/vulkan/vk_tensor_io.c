/* Tensors in and out of a program: inputs and outputs through mapped memory, states chunk by chunk. */
#include "backends/vulkan/vk_runtime.h"

#include <string.h>

static pm_status check_range(const pm_tensor *tensor, size_t offset, size_t size, pm_error *err)
{
    size_t bytes = pm_tensor_bytes(tensor);
    if (offset > bytes || size > bytes - offset)
        return pm_fail(err, PM_ERR_ARGUMENT, "bytes %zu + %zu are outside of %s, which has %zu", offset, size,
                       tensor->name, bytes);
    return PM_OK;
}

/* Calls for each piece of bytes [offset, offset + size) of a state: it may lie in several chunks. */
static pm_status state_pieces(pm_vk_device *device, const pm_vk_program *p, const pm_tensor *tensor,
                              uint64_t offset, unsigned char *data, uint64_t size, bool write, pm_error *err)
{
    if (!p->states || tensor->slot < 0 || (size_t)tensor->slot >= p->states->n_items)
        return pm_fail(err, PM_ERR_ARGUMENT, "the program has no state for %s", tensor->name);
    const pm_vk_stored *stored = &p->states->items[tensor->slot];
    for (int c = 0; c < stored->n_chunks && size; c++) {
        const pm_vk_stored_chunk *chunk = &stored->chunks[c];
        uint64_t begin = (uint64_t)chunk->first * stored->unit_bytes;
        uint64_t bytes = (uint64_t)chunk->count * stored->unit_bytes;
        if (offset >= begin + bytes)
            continue;
        uint64_t within = offset - begin, piece = bytes - within < size ? bytes - within : size;
        const pm_vk_buffer *block = &p->states->blocks[chunk->plane[0].block];
        uint64_t at = chunk->plane[0].offset + within;
        PM_TRY(write ? pm_vk_upload(device, block, at, data, piece, err)
                     : pm_vk_download(device, block, at, data, piece, err));
        offset += piece;
        data += piece;
        size -= piece;
    }
    return PM_OK;
}

pm_status pm_vk_tensor_write(pm_device *base, pm_program *program, const pm_tensor *tensor, size_t offset,
                             const void *data, size_t size, pm_error *err)
{
    pm_vk_device *device = pm_vk_device_of(base);
    const pm_vk_program *p = pm_vk_program_of(program);
    tensor = pm_tensor_storage(tensor);
    PM_TRY(check_range(tensor, offset, size, err));
    if (tensor->role == PM_ROLE_STATE)
        return state_pieces(device, p, tensor, offset, (unsigned char *)(uintptr_t)data, size, true, err);
    if (tensor->role != PM_ROLE_INPUT)
        return pm_fail(err, PM_ERR_ARGUMENT, "%s is neither an input nor a state and cannot be written",
                       tensor->name);
    uint64_t at = p->items[p->tensor_item[tensor->id]].base + offset;
    memcpy(p->io.mapped + at, data, size);
    return pm_vk_buffer_flush(device, &p->io, at, size, err);
}

pm_status pm_vk_tensor_read(pm_device *base, pm_program *program, const pm_tensor *tensor, size_t offset,
                            void *data, size_t size, pm_error *err)
{
    pm_vk_device *device = pm_vk_device_of(base);
    const pm_vk_program *p = pm_vk_program_of(program);
    tensor = pm_tensor_storage(tensor);
    PM_TRY(check_range(tensor, offset, size, err));
    if (tensor->role == PM_ROLE_STATE)
        return state_pieces(device, p, tensor, offset, data, size, false, err);
    uint32_t item = p->tensor_item[tensor->id];
    if (tensor->role == PM_ROLE_WEIGHT || !item)
        return pm_fail(err, PM_ERR_ARGUMENT, "%s is a weight or unused and cannot be read", tensor->name);
    uint64_t at = p->items[item].base + offset;
    if (tensor->role == PM_ROLE_INPUT) {
        memcpy(data, p->io.mapped + at, size);
        return PM_OK;
    }
    if (!tensor->is_output && !p->by_node)
        return pm_fail(
            err, PM_ERR_ARGUMENT,
            "%s is no output of the program, so its memory may have been used again; compile the program to "
            "run by node to read it",
            tensor->name);
    if (p->readback_at && p->readback_at[tensor->id])
        return pm_vk_download(device, &p->readback, p->readback_at[tensor->id] - 1 + offset, data, size, err);
    return pm_vk_download(device, &p->arena, at, data, size, err);
}
