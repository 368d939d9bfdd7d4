/* States in host memory and access to tensors there: see host_memory.h. */
#include "backends/host_memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"

enum { LINE = 64, LARGE_PAGE = 2 << 20 };

/* Whether the state lies in the memory of large pages. */
static bool is_large(const pm_states *states, size_t i)
{
    const char *data = states->data[i], *large = states->large;
    return large && data >= large && data < large + states->large_bytes;
}

void pm_host_states_destroy(pm_device *device, pm_states *states)
{
    (void)device;
    if (!states)
        return;
    for (size_t i = 0; states->data && i < states->n; i++)
        if (!is_large(states, i))
            free(states->data[i]);
    if (states->large)
        munmap(states->large, states->large_bytes);
    free(states->data);
    free(states->n_bytes);
    free(states);
}

static size_t state_bytes(const pm_state_desc *desc)
{
    size_t bytes = pm_type_row_bytes(desc->type, desc->dim[0]);
    for (int d = 1; d < desc->n_dims && bytes != SIZE_MAX; d++)
        if (desc->dim[d] < 1 || __builtin_mul_overflow(bytes, (size_t)desc->dim[d], &bytes))
            bytes = SIZE_MAX;
    return bytes;
}

/* Memory for all scattered states, zero and not there before it is touched. Without it they are like the others.
 */
static void reserve_large(pm_states *states, const pm_state_desc *descs)
{
    size_t size = LARGE_PAGE;
    for (size_t i = 0; i < states->n; i++) {
        size_t bytes = descs[i].scattered ? state_bytes(&descs[i]) : 0;
        if (bytes > SIZE_MAX / 2 || size > SIZE_MAX / 2 - bytes)
            return;
        size += bytes + LINE;
    }
    if (size == LARGE_PAGE)
        return;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return;
#ifdef MADV_HUGEPAGE
    madvise(memory, size, MADV_HUGEPAGE);
#endif
    states->large = memory;
    states->large_bytes = size;
}

pm_status pm_host_states_create(pm_device *device, const pm_state_desc *descs, size_t n, pm_states **out,
                                pm_error *err)
{
    pm_states *made = calloc(1, sizeof *made);
    if (made) {
        made->n = n;
        made->data = calloc(n + 1, sizeof *made->data);
        made->n_bytes = calloc(n + 1, sizeof *made->n_bytes);
    }
    if (!made || !made->data || !made->n_bytes) {
        pm_host_states_destroy(device, made);
        return pm_fail_memory(err, n * sizeof(void *), "the list of states");
    }
    reserve_large(made, descs);
    size_t large_at = (size_t)(-(uintptr_t)made->large % LARGE_PAGE);
    for (size_t i = 0; i < n; i++) {
        made->n_bytes[i] = state_bytes(&descs[i]);
        if (made->large && descs[i].scattered) {
            made->data[i] = (char *)made->large + large_at;
            large_at += (made->n_bytes[i] + LINE - 1) / LINE * LINE;
        } else {
            made->data[i] = made->n_bytes[i] == SIZE_MAX ? NULL : calloc(1, made->n_bytes[i]);
        }
        if (!made->data[i]) {
            pm_status status = pm_fail_memory(err, made->n_bytes[i], descs[i].name);
            pm_host_states_destroy(device, made);
            return status;
        }
    }
    *out = made;
    return PM_OK;
}

pm_status pm_host_check_access(const pm_tensor *tensor, const void *data, bool by_node, bool write, size_t offset,
                               size_t size, pm_error *err)
{
    const pm_tensor *storage = pm_tensor_storage(tensor);
    bool activation = storage->role == PM_ROLE_ACTIVATION;
    if (storage->role == PM_ROLE_WEIGHT || (write && activation))
        return pm_fail(err, PM_ERR_ARGUMENT, "tensor '%s' cannot be %s", tensor->name, write ? "written" : "read");
    if (activation && !storage->is_output && !by_node)
        return pm_fail(err, PM_ERR_ARGUMENT, "tensor '%s' is no output of this program", tensor->name);
    size_t bytes = pm_tensor_bytes(storage);
    if (offset > bytes || size > bytes - offset || !data)
        return pm_fail(err, PM_ERR_ARGUMENT,
                       "%zu bytes from byte %zu on are outside of tensor '%s', which has %zu", size, offset,
                       tensor->name, bytes);
    return PM_OK;
}
