/* Which instruction set the cpu backend uses: the best that the processor has, unless PUMICE_CPU_ISA names one. */
#include "backends/cpu/cpu_kernels.h"

#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

static bool has(const pm_cpu_kernels *kernels)
{
#if defined(__x86_64__)
    if (kernels == &pm_cpu_kernels_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
               __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    if (kernels == &pm_cpu_kernels_avx2) /* every processor with AVX2 has F16C */
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#elif defined(__aarch64__)
    enum { ASIMDDP = 1 << 20 }; /* HWCAP_ASIMDDP, which older headers of the C library do not name */
    if (kernels == &pm_cpu_kernels_neon_dotprod)
        return (getauxval(AT_HWCAP) & ASIMDDP) != 0;
    if (kernels == &pm_cpu_kernels_neon)
        return true;
#endif
    return kernels == &pm_cpu_kernels_portable;
}

const pm_cpu_kernels *pm_cpu_find_kernels(const char *name)
{
    static const pm_cpu_kernels *const best_first[] = {
#if defined(__x86_64__)
        &pm_cpu_kernels_avx512,
        &pm_cpu_kernels_avx2,
#elif defined(__aarch64__)
        &pm_cpu_kernels_neon_dotprod,
        &pm_cpu_kernels_neon,
#endif
        &pm_cpu_kernels_portable,
    };
    for (size_t i = 0; i < sizeof best_first / sizeof best_first[0]; i++)
        if ((!name || strcmp(name, best_first[i]->name) == 0) && has(best_first[i]))
            return best_first[i];
    return NULL;
}

const pm_cpu_kernels *pm_cpu_choose_kernels(void)
{
    const char *name = getenv("PUMICE_CPU_ISA");
    return pm_cpu_find_kernels(name && name[0] ? name : NULL);
}
