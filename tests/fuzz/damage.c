/* Damaging files: see damage.h. */
#include "tests/fuzz/damage.h"

#include <string.h>

size_t damage_draw(damage *d, size_t n)
{
    d->random = d->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n > 0 ? (size_t)((d->random >> 33) % n) : 0;
}

static void insert(damage *d, size_t at, const void *bytes, size_t n)
{
    if (d->n + n > DAMAGE_MAX_BYTES)
        return;
    memmove(d->bytes + at + n, d->bytes + at, d->n - at);
    memcpy(d->bytes + at, bytes, n);
    d->n += n;
}

static void overwrite(damage *d, size_t at, const void *bytes, size_t n)
{
    n = n < d->n - at ? n : d->n - at;
    memcpy(d->bytes + at, bytes, n);
}

void damage_once(damage *d, const char *const *words, size_t n_words)
{
    static const uint8_t values[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '\\', 0x0A};
    uint8_t piece[64];
    size_t reach = d->n_reach && d->n_reach < d->n ? d->n_reach : d->n;
    const char *word = words[damage_draw(d, n_words)];
    size_t at = damage_draw(d, reach), n = damage_draw(d, 40);
    n = n < d->n - at ? n : d->n - at;
    if (d->n == 0)
        return;
    switch (damage_draw(d, 8)) {
    case 0:
        d->bytes[at] ^= (uint8_t)(1u << damage_draw(d, 8));
        break;
    case 1:
        d->bytes[at] = values[damage_draw(d, sizeof values)];
        break;
    case 2:
        d->bytes[at] = (uint8_t)(d->bytes[at] + damage_draw(d, 3) - 1);
        break;
    case 3: /* a piece goes */
        memmove(d->bytes + at, d->bytes + at + n, d->n - at - n);
        d->n -= n;
        break;
    case 4: /* a piece comes again, somewhere */
        memcpy(piece, d->bytes + at, n);
        insert(d, damage_draw(d, reach), piece, n);
        break;
    case 5:
        insert(d, at, word, strlen(word));
        break;
    case 6:
        overwrite(d, at, word, strlen(word));
        break;
    default:
        d->n = damage_draw(d, 4) == 0 ? at : d->n; /* seldom: most cuts are refused alike */
    }
}
