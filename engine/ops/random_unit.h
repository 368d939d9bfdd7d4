/* The random numbers of sampling: a hash of (seed, counter) without state. Included by C and by GLSL, so that
 * every backend draws the same: only 32-bit unsigned arithmetic, which wraps in both languages.
 *
 * pcg3d of Jarzynski and Olano 2020, "Hash Functions for GPU Rendering" (Journal of Computer Graphics Techniques
 * 9:3).
 */
#ifndef PUMICE_RANDOM_UNIT_H
#define PUMICE_RANDOM_UNIT_H

#ifdef GL_core_profile
#define PM_UINT uint
#else
#include <stdint.h>
#define PM_UINT uint32_t
static inline
#endif
PM_UINT pm_random_bits(PM_UINT x, PM_UINT y, PM_UINT z)
{
    x = x * 1664525u + 1013904223u;
    y = y * 1664525u + 1013904223u;
    z = z * 1664525u + 1013904223u;
    x += y * z;
    y += z * x;
    z += x * y;
    x ^= x >> 16;
    y ^= y >> 16;
    z ^= z >> 16;
    x += y * z;
    return x;
}
#undef PM_UINT

/* u = float(pm_random_bits(seed_lo, seed_hi, counter) >> 8) * 2^-24 */

#endif
