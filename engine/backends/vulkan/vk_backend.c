/* The Vulkan backend's table of functions, and the way from an op to its lowering. */
#include "backends/vulkan/vk_runtime.h"

typedef struct lowering_of_op {
    bool (*supports)(const pm_vk_caps *caps, const pm_node *node);
    pm_status (*lower)(pm_vk_lowering *l, const pm_node *node, pm_error *err);
} lowering_of_op;

static const lowering_of_op lowerings[PM_OP_COUNT] = {
#define PM_VK_OP_ROW(upper, lower) [PM_OP_##upper] = {pm_vk_supports_##lower, pm_vk_lower_##lower},
    PM_OP_LIST(PM_VK_OP_ROW)
#undef PM_VK_OP_ROW
};

bool pm_vk_supports(const pm_vk_caps *caps, const pm_node *node)
{
    return (unsigned)node->op < PM_OP_COUNT && lowerings[node->op].supports(caps, node);
}

pm_status pm_vk_lower_node(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    return lowerings[node->op].lower(l, node, err);
}

static bool supports(const pm_device *device, const pm_node *node)
{
    return pm_vk_supports(&pm_vk_device_of(device)->caps, node);
}

const pm_backend pm_backend_vulkan = {
    .name = "vulkan",
    .list = pm_vk_device_list,
    .open = pm_vk_device_open,
    .close = pm_vk_device_close,
    .supports = supports,
    .weights_create = pm_vk_weights_create,
    .weights_destroy = pm_vk_weights_destroy,
    .weights_bytes = pm_vk_weights_bytes,
    .states_create = pm_vk_states_create,
    .states_destroy = pm_vk_states_destroy,
    .program_create = pm_vk_program_create,
    .program_destroy = pm_vk_program_destroy,
    .program_run = pm_vk_program_run,
    .program_run_series = pm_vk_program_run_series,
    .tensor_write = pm_vk_tensor_write,
    .tensor_read = pm_vk_tensor_read,
    .explain = pm_vk_explain,
    .measure = pm_vk_measure,
    .program_bytes = pm_vk_program_bytes,
};
