/* The lowering of ops that go element by element. */
#ifndef PUMICE_BACKENDS_VULKAN_ELEMENTWISE_H
#define PUMICE_BACKENDS_VULKAN_ELEMENTWISE_H

#include "backends/vulkan/vk_lower.h"

/* Emits `shader` over all values of node->out; inputs are the node's; value: of the push constants. */
pm_status pm_vk_lower_elementwise(pm_vk_lowering *l, const pm_node *node, pm_shader shader, float value,
                                  double flops_per_value, pm_error *err);

#endif
