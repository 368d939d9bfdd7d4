/* Hazard tracking: see vk_hazards.h. Between two barriers there are a handful of dispatches, so a list will do;
 * touches that continue or repeat one in the list are merged so that it stays short. */
#include "backends/vulkan/vk_hazards.h"

#include <stdlib.h>

static bool overlap(const pm_vk_touch *a, const pm_vk_touch *b)
{
    return a->buffer == b->buffer && a->begin < b->end && b->begin < a->end && b->begin < b->end;
}

static bool conflicts(const pm_vk_hazards *hazards, const pm_vk_touch *touch)
{
    for (size_t i = 0; i < hazards->n; i++) {
        const pm_vk_touch *other = &hazards->touches[i];
        if ((other->writes || touch->writes) && overlap(other, touch))
            return true;
    }
    return false;
}

static bool enter(pm_vk_hazards *hazards, const pm_vk_touch *touch)
{
    if (touch->begin >= touch->end)
        return true;
    for (size_t i = 0; i < hazards->n; i++) {
        pm_vk_touch *other = &hazards->touches[i];
        if (other->buffer == touch->buffer && other->writes == touch->writes && touch->begin <= other->end &&
            other->begin <= touch->end) {
            if (touch->begin < other->begin)
                other->begin = touch->begin;
            if (touch->end > other->end)
                other->end = touch->end;
            return true;
        }
    }
    if (hazards->n == hazards->cap) {
        size_t cap = hazards->cap ? 2 * hazards->cap : 32;
        pm_vk_touch *grown = realloc(hazards->touches, cap * sizeof *grown);
        if (!grown)
            return false;
        hazards->touches = grown;
        hazards->cap = cap;
    }
    hazards->touches[hazards->n++] = *touch;
    return true;
}

bool pm_vk_hazards_next(pm_vk_hazards *hazards, const pm_vk_touch *touches, size_t n, bool *barrier)
{
    *barrier = false;
    for (size_t i = 0; i < n && !*barrier; i++)
        *barrier = conflicts(hazards, &touches[i]);
    if (*barrier)
        hazards->n = 0;
    for (size_t i = 0; i < n; i++)
        if (!enter(hazards, &touches[i]))
            return false;
    return true;
}

void pm_vk_hazards_clear(pm_vk_hazards *hazards)
{
    hazards->n = 0;
}

void pm_vk_hazards_free(pm_vk_hazards *hazards)
{
    free(hazards->touches);
    *hazards = (pm_vk_hazards){0};
}
