/* Devices: what models run on. The reference backend, the CPU backend, and every Vulkan device of the machine. */
#ifndef PUMICE_DEVICE_H
#define PUMICE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_device pm_device;

typedef enum pm_device_kind {
    PM_DEVICE_DISCRETE_GPU, /* in the order of preference of the automatic choice */
    PM_DEVICE_INTEGRATED_GPU,
    PM_DEVICE_VIRTUAL_GPU,
    PM_DEVICE_CPU,          /* the cpu backend */
    PM_DEVICE_SOFTWARE_GPU, /* a Vulkan implementation that runs on the processor */
    PM_DEVICE_REFERENCE     /* the reference backend; never chosen automatically */
} pm_device_kind;

/* Capability tiers of Vulkan devices; each includes the one before.
 *   T0  Vulkan 1.1 minimum: no 16-bit or 8-bit storage, no fp16 arithmetic, no subgroup operations relied on
 *   T1  + 16-bit storage, fp16 arithmetic, subgroup arithmetic
 *   T2  + 8-bit storage, integer dot product
 *   T3  + cooperative matrix (KHR) */
typedef enum pm_tier {
    PM_TIER_BEST, /* in options: whatever the device has; of a device that has no tiers */
    PM_TIER_T0,
    PM_TIER_T1,
    PM_TIER_T2,
    PM_TIER_T3
} pm_tier;

/* Limits and features of a Vulkan device; zero for the others. Sizes in bytes. */
typedef struct pm_device_limits {
    uint64_t max_storage_buffer_range;
    uint64_t max_allocation;
    uint32_t max_workgroup_invocations;
    uint32_t max_workgroup_size[3];
    uint32_t max_workgroup_count[3];
    uint32_t max_shared_memory;
    uint32_t max_push_constants;
    uint32_t max_storage_buffers; /* a shader stage may use */
    uint32_t subgroup_size;
    uint32_t min_storage_alignment;
    uint8_t subgroup_arithmetic, storage_16bit, storage_8bit, float16, int8, integer_dot_product, cooperative_matrix,
        timestamps;
} pm_device_limits;

typedef struct pm_device_info {
    char name[24];          /* what --device takes: "cpu", "reference", "vulkan:0" */
    char title[256];        /* "AMD Radeon RX 7600 (RADV NAVI33)", or the processor's name */
    char driver[256];       /* driver name and version; instruction sets in use for the cpu backend */
    char api_version[16];   /* "1.3.230"; empty where there is none */
    pm_device_kind kind;
    pm_tier tier;           /* the tier in use; PM_TIER_BEST where there are no tiers */
    uint32_t vendor_id, device_id, driver_version;
    uint64_t memory_total;  /* bytes of the memory that weights go to; 0 unknown */
    uint64_t memory_free;   /* bytes; 0 unknown */
    uint8_t unified_memory; /* the device shares its memory with the host */
    char tuning_file[512];  /* where it is kept how products are cut fastest, see pm_tuning; empty: nowhere */
    uint32_t n_tuned;       /* products in it */
    char unusable[256];     /* why the device cannot be used ("it lacks ..."); empty when it can */
    pm_device_limits limits;
} pm_device_info;

/* All devices of this machine, best first by the automatic choice. Free the array with pm_device_list_free. A machine
 * without Vulkan is no error: cpu and reference are always there. */
pm_status pm_device_list(pm_device_info **out, size_t *n, pm_error *err);
void pm_device_list_free(pm_device_info *list);

/* How products of many rows are cut on a GPU (sizes of tiles, parts along the rows of a weight). What was measured is kept
 * with the device's cache, so that all later runs choose alike; with another choice, results may differ by rounding. */
typedef enum pm_tuning {
    PM_TUNING_ON,  /* as measured; what is not known yet is measured when a model first needs it, in about 0.3 s */
    PM_TUNING_OFF, /* by rule, whatever was measured */
    PM_TUNING_ANEW /* what was measured is forgotten first */
} pm_tuning;

typedef struct pm_device_options {
    const char *name;      /* "auto" (NULL means the same), "cpu", "reference", "vulkan" or "vulkan:N" */
    pm_tier tier;          /* a Vulkan device is used as if it had no more than this */
    int n_threads;         /* of cpu and reference; 0: as many as the machine has cores, at most 64 */
    const char *cache_dir; /* for compiled pipelines, results of self-tests and of tuning; NULL: $XDG_CACHE_HOME/pumice */
    uint8_t no_cache;      /* neither read nor write the cache directory; there is no tuning then */
    uint8_t no_self_test;  /* skip the check of a Vulkan device against the reference at its first use */
    uint8_t profile;       /* collect timestamps for a trace */
    pm_tuning tuning;
    /* Progress lines and warnings (such as a failed self-test); NULL: none. May be called from any thread. */
    void (*log)(void *user, const char *line);
    void *log_user;
} pm_device_options;

/* PM_OK where there is a device of this name, as in pm_device_options; it is not opened. PM_ERR_NOT_FOUND with a
 * list of those that there are. */
pm_status pm_device_find(const char *name, pm_error *err);

/* Opens a device. Errors: PM_ERR_NOT_FOUND (no such device; the message lists those there are), PM_ERR_UNSUPPORTED
 * (it lacks something that pumice needs), PM_ERR_DEVICE (the driver failed, or its self-test computed wrongly). */
pm_status pm_device_open(const pm_device_options *options, pm_device **out, pm_error *err);

/* Close after everything made on the device has been destroyed. NULL is fine. */
void pm_device_close(pm_device *device);

const pm_device_info *pm_device_get_info(const pm_device *device); /* lives as long as the device */

/* What the device can do at most, measured with plain loops: over more memory than its caches hold, and in registers
 * (about a second). A multiply-add counts as two operations. Zero: not measured, or the device has no such arithmetic
 * (a tier that is forced counts). */
typedef struct pm_ceilings {
    double read_bytes_per_s;   /* streaming read of memory that weights live in */
    double copy_bytes_per_s;   /* reading and writing it: bytes read plus bytes written */
    double f32_flops_per_s;    /* fp32 fused multiply-add */
    double f16_flops_per_s;    /* fp16 fused multiply-add */
    double i8_ops_per_s;       /* 8-bit dot product with 32-bit sums */
    double matrix_flops_per_s; /* cooperative matrices: fp16, fp32 sums */
} pm_ceilings;
pm_status pm_device_measure(pm_device *device, pm_ceilings *out, pm_error *err);

const char *pm_device_kind_name(pm_device_kind kind); /* "discrete GPU"; static storage */

#ifdef __cplusplus
}
#endif
#endif
