/* What the parts of the self-test share: a graph with random weights and what it needs to run. */
#ifndef PUMICE_BACKENDS_VULKAN_VK_SELFTEST_H
#define PUMICE_BACKENDS_VULKAN_VK_SELFTEST_H

#include "backends/vulkan/vk_runtime.h"

enum { PM_VK_RIG_WEIGHTS = 12 };

typedef struct pm_vk_rig {
    pm_vk_device *device;
    pm_graph *graph;
    pm_weight weights[PM_VK_RIG_WEIGHTS];
    void *data[PM_VK_RIG_WEIGHTS]; /* of the weights; owned */
    size_t n_weights;
    pm_weights *stored;
    pm_states *states;
    pm_program *program;
} pm_vk_rig;

/* A number in (-1, 1) for each i. */
float pm_vk_rig_number(uint32_t i);

/* A weight of d0 x d1 x d2 such numbers, a quarter as large; d1 and d2 are 0 where it has fewer dimensions. Slots come
 * in order. Where memory has run out the graph has failed. */
pm_tensor *pm_vk_rig_weight(pm_vk_rig *r, int slot, const char *name, pm_type type, int64_t d0, int64_t d1,
                            int64_t d2, unsigned uses);
void pm_vk_rig_free_data(pm_vk_rig *r);

/* PM_ERR_DEVICE, with advice, where the mean squared error is more than `limit` of the mean square. */
pm_status pm_vk_rig_compare(const pm_tensor *tensor, const void *got, const void *expected, double limit,
                            const char *what, const char *more, pm_error *err);

/* vk_selftest_layer.c: decoder layers as programs run them, with nodes done together. */
pm_status pm_vk_self_test_layers(pm_vk_device *device, pm_error *err);

#endif
