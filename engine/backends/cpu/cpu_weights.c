/* The weights of a model on the cpu backend: panels for matrix products, the file's own bytes for the rest.
 *
 * A weight that is only looked up or added stays where the file is mapped; small ones in F32, and those that the
 * file holds at an odd address, are copied. All panels share one allocation on large pages, packed by all threads.
 *
 * What has been packed is let go of in the file's mapping, or memory would hold it twice. The system may map 2 MiB
 * at a touch, neighbours that had been let go of among them: so they are let go of again, and the norms between
 * them, read in every pass, are not read there.
 */
#include "backends/cpu/cpu_backend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/mapped_file.h"

enum { LARGE_PAGE = 2 << 20, ALIGN = 64, SMALL = 64 << 10 };

void pm_cpu_weights_destroy(pm_device *device, pm_weights *weights)
{
    (void)device;
    if (!weights)
        return;
    free(weights->list);
    free(weights->panel_data);
    free(weights->plain_data);
    free(weights);
}

static size_t align_up(size_t size)
{
    return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static bool must_be_copied(const pm_weight *weight)
{
    bool small = weight->is_mapped && weight->n_bytes <= SMALL;
    return (weight->uses & PM_USE_PLAIN) && (small || (uintptr_t)weight->data % _Alignof(float) != 0);
}

/* Describes all weights and adds up what they take. */
static pm_status describe(pm_weights *made, const pm_weight *weights, size_t *panel_bytes, size_t *plain_bytes,
                          pm_error *err)
{
    *panel_bytes = *plain_bytes = 0;
    for (size_t i = 0; i < made->n; i++) {
        const pm_weight *w = &weights[i];
        pm_cpu_weight *own = &made->list[i];
        *own = (pm_cpu_weight){.host = w->data, .n_bytes = w->n_bytes, .plain = w->data};
        made->bytes += w->n_bytes;
        if (must_be_copied(w))
            *plain_bytes += align_up(w->n_bytes);
        if (!(w->uses & PM_USE_MATMUL) || w->n_dims != 2 ||
            !pm_cpu_panels_describe(w->type, w->dim[0], w->dim[1], &own->panels))
            continue;
        size_t row = pm_type_row_bytes(w->type, w->dim[0]);
        if (w->dim[0] < 1 || w->dim[1] < 1 || row == SIZE_MAX || w->n_bytes / row < (size_t)w->dim[1])
            return pm_fail(err, PM_ERR_ARGUMENT, "weight '%s' has %zu bytes, less than its shape needs", w->name,
                           w->n_bytes);
        *panel_bytes += align_up(pm_cpu_panels_bytes(&own->panels));
        made->bytes += pm_cpu_panels_bytes(&own->panels) - w->n_bytes;
        if (w->uses & ~(unsigned)PM_USE_MATMUL)
            made->bytes += w->n_bytes;
    }
    return PM_OK;
}

static pm_status allocate(pm_weights *made, size_t panel_bytes, size_t plain_bytes, pm_error *err)
{
    if (panel_bytes > 0) {
        size_t align = panel_bytes >= LARGE_PAGE ? LARGE_PAGE : ALIGN;
        size_t size = (panel_bytes + align - 1) & ~(align - 1);
        made->panel_data = aligned_alloc(align, size);
        if (!made->panel_data)
            return pm_fail_memory(err, size, "the repacked weights");
#ifdef MADV_HUGEPAGE
        if (align == LARGE_PAGE)
            madvise(made->panel_data, size,
                    MADV_HUGEPAGE); /* fewer misses of the address cache; no matter if not */
#endif
    }
    if (plain_bytes > 0) {
        made->plain_data = aligned_alloc(ALIGN, plain_bytes);
        if (!made->plain_data)
            return pm_fail_memory(err, plain_bytes, "the model's plain weights");
    }
    return PM_OK;
}

typedef struct pack_work {
    const pm_cpu_panels *panels;
    const void *rows;
    atomic_llong next;
} pack_work;

static void pack_panels(void *user, int thread, int n_threads)
{
    enum { GRAIN = 4 };
    pack_work *work = user;
    (void)thread;
    (void)n_threads;
    for (;;) {
        int64_t begin = atomic_fetch_add(&work->next, GRAIN), end = begin + GRAIN;
        if (begin >= work->panels->n_panels)
            return;
        end = end < work->panels->n_panels ? end : work->panels->n_panels;
        pm_cpu_panels_pack(work->panels, work->rows, begin, end);
    }
}

/* Embeddings that are the output matrix, too: the rows that are looked up come back by themselves. */
static bool is_dropped(const pm_weight *weight, const pm_cpu_weight *own)
{
    return weight->is_mapped && (own->panels.n_panels > 0 || must_be_copied(weight));
}

/* Lets go of weight i in the file's mapping and once more of those before it that a touch of it may have mapped.
 */
static void drop_mapped(const pm_weights *made, const pm_weight *weights, size_t i)
{
    uintptr_t at = (uintptr_t)weights[i].data;
    for (size_t j = i + 1; j-- > 0;) {
        uintptr_t end = (uintptr_t)weights[j].data + weights[j].n_bytes;
        if (j != i && (end > at || at - end > LARGE_PAGE))
            return;
        if (is_dropped(&weights[j], &made->list[j]))
            pm_mapped_drop(weights[j].data, weights[j].n_bytes);
    }
}

static pm_status fill(pm_cpu_device *device, pm_weights *made, const pm_weight *weights, pm_progress_fn progress,
                      void *user, pm_error *err)
{
    unsigned char *panel_at = made->panel_data, *plain_at = made->plain_data;
    uint64_t done = 0, total = 0;
    for (size_t i = 0; i < made->n; i++)
        total += weights[i].n_bytes;
    for (size_t i = 0; i < made->n; i++) {
        pm_cpu_weight *own = &made->list[i];
        if (progress && progress(user, "loading weights", done, total) != 0)
            return pm_fail(err, PM_ERR_CANCELLED, "loading the weights was cancelled");
        if (must_be_copied(&weights[i])) {
            memcpy(plain_at, own->host, own->n_bytes);
            own->plain = plain_at;
            plain_at += align_up(own->n_bytes);
        }
        if (own->panels.n_panels > 0) {
            own->panels.data = panel_at;
            panel_at += align_up(pm_cpu_panels_bytes(&own->panels));
            pack_work work = {.panels = &own->panels, .rows = own->host};
            pm_threads_run(device->threads, pack_panels, &work);
            drop_mapped(made, weights, i);
        }
        done += weights[i].n_bytes;
    }
    if (progress && progress(user, "loading weights", total, total) != 0)
        return pm_fail(err, PM_ERR_CANCELLED, "loading the weights was cancelled");
    return PM_OK;
}

pm_status pm_cpu_weights_create(pm_device *device, const pm_weight *weights, size_t n, pm_progress_fn progress,
                                void *user, pm_weights **out, pm_error *err)
{
    pm_weights *made = calloc(1, sizeof *made);
    if (made) {
        made->n = n;
        made->list = calloc(n + 1, sizeof *made->list);
    }
    size_t panel_bytes = 0, plain_bytes = 0;
    pm_status status =
        made && made->list ? PM_OK : pm_fail_memory(err, n * sizeof *made->list, "the list of weights");
    if (status == PM_OK)
        status = describe(made, weights, &panel_bytes, &plain_bytes, err);
    if (status == PM_OK)
        status = allocate(made, panel_bytes, plain_bytes, err);
    if (status == PM_OK)
        status = fill((pm_cpu_device *)device, made, weights, progress, user, err);
    if (status != PM_OK) {
        pm_cpu_weights_destroy(device, made);
        return status;
    }
    *out = made;
    return PM_OK;
}
