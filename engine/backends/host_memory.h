/* What the backends that compute in host memory share: states, and the check of reads and writes from outside.
 *
 * The vulkan backend has states of its own kind behind the same opaque type, and includes none of this.
 */
#ifndef PUMICE_BACKENDS_HOST_MEMORY_H
#define PUMICE_BACKENDS_HOST_MEMORY_H

#include "backends/backend.h"

struct pm_states {
    size_t n;
    void **data;
    size_t *n_bytes;
    void *large; /* scattered states lie here together, in large pages where the system has them */
    size_t large_bytes;
};

/* As they stand in a pm_backend. */
pm_status pm_host_states_create(pm_device *device, const pm_state_desc *descs, size_t n, pm_states **out,
                                pm_error *err);
void pm_host_states_destroy(pm_device *device, pm_states *states);

/* Whether `size` bytes from byte `offset` on of the tensor, whose bytes are at `data` (NULL: not in this program), may
 * be written or read: see pm_backend. by_node: the program keeps all activations. PM_ERR_ARGUMENT where not. */
pm_status pm_host_check_access(const pm_tensor *tensor, const void *data, bool by_node, bool write, size_t offset,
                               size_t size, pm_error *err);

#endif
