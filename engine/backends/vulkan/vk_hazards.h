/* When is a barrier needed between dispatches? Exactly when one touches bytes that another has touched since the
 * last barrier, and at least one of the two writes. A pure bookkeeping of ranges: it knows nothing of Vulkan.
 *
 * A barrier here orders everything before it against everything after it (drivers have no finer one for buffers),
 * so it clears the book. Reads after reads never conflict; writes after reads do, as with arena space that is
 * reused.
 */
#ifndef PUMICE_BACKENDS_VULKAN_VK_HAZARDS_H
#define PUMICE_BACKENDS_VULKAN_VK_HAZARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pm_vk_touch {
    uint32_t buffer;
    bool writes;
    uint64_t begin, end; /* bytes [begin, end) */
} pm_vk_touch;

typedef struct pm_vk_hazards { /* zero-initialise before first use */
    pm_vk_touch *touches;      /* since the last barrier */
    size_t n, cap;
} pm_vk_hazards;

/* Enters the n touches of the next dispatch, which are taken as happening at once. *barrier: one is needed before
 * it. Returns false when memory has run out. */
bool pm_vk_hazards_next(pm_vk_hazards *hazards, const pm_vk_touch *touches, size_t n, bool *barrier);
void pm_vk_hazards_clear(pm_vk_hazards *hazards); /* a barrier has been recorded by other means */
void pm_vk_hazards_free(pm_vk_hazards *hazards);

#endif
