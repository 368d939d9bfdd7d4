// Counted rows: how many rows of a tensor this run computes (PM_PUSH_ROWS); and reading rows whose length is no
// multiple of four. Activations are bound as arrays of vec4; value i of such an array is PM_AT(array, i).
#ifndef PM_ROWS_GLSL
#define PM_ROWS_GLSL

#include "common/params.glsl"

uint pm_count_rows(uint n_rows, uint rows_of, uint rows_per)
{
    uint now = n_rows;
    if (rows_of == 1)
        now = uint(max(run.n_tokens, 0)) * rows_per;
    if (rows_of == 2)
        now = uint(max(run.n_outputs, 0)) * rows_per;
    return min(now, n_rows);
}
#define PM_ROWS_NOW(push) pm_count_rows(push.n_rows, push.rows_of, push.rows_per)

#define PM_AT(array, i) array[(i) >> 2][(i) & 3u]

#endif
