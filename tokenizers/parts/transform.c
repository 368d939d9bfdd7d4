/* See transform.h. */
#include "parts/transform.h"

void pm_transform_start(pm_transform *t, const pm_piece *in, pm_text_buffer *out, int with_origins)
{
    pm_text_buffer_clear(out, with_origins);
    *t = (pm_transform){.in = in, .out = out};
    if (with_origins && in->n > 0) {
        pm_origin first = pm_piece_origin(in, 0, 1);
        t->before = (pm_origin){first.begin, first.begin};
    }
}

static pm_origin take(pm_transform *t)
{
    size_t n = pm_read_character(t->in->bytes, t->at, t->in->n).length;
    pm_origin origin = t->before;
    if (t->out->with_origins && n > 0)
        origin = pm_piece_origin(t->in, t->at, t->at + n);
    t->at += n;
    return origin;
}

int pm_transform_put(pm_transform *t, const char *bytes, size_t n, int change)
{
    pm_origin origin = t->before;
    if (change <= 0) {
        origin = t->before = take(t);
        for (; change < 0; change++)
            t->before = take(t);
    }
    return pm_text_buffer_append(t->out, bytes, n, origin);
}

int pm_transform_put_code(pm_transform *t, uint32_t code, int change)
{
    char bytes[4];
    return pm_transform_put(t, bytes, pm_write_utf8(code, bytes), change);
}

int pm_transform_keep(pm_transform *t)
{
    return pm_transform_keep_until(t, t->at + pm_read_character(t->in->bytes, t->at, t->in->n).length);
}

void pm_transform_drop(pm_transform *t)
{
    t->before = take(t);
}

int pm_transform_keep_until(pm_transform *t, size_t end)
{
    if (end <= t->at)
        return 1;
    int good = pm_text_buffer_append_part(t->out, t->in, t->at, end);
    if (t->out->with_origins) {
        size_t last = end - 1;
        while (last > t->at && end - last < 4 && pm_is_continuation((unsigned char)t->in->bytes[last]))
            last--;
        t->before = pm_piece_origin(t->in, last, end);
    }
    t->at = end;
    return good;
}
