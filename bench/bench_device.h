/* Measuring one device; runs in a child process of its own. */
#ifndef PUMICE_BENCH_BENCH_DEVICE_H
#define PUMICE_BENCH_BENCH_DEVICE_H

#include "bench.h"

/* A new reference to the device's entry of the document; {"name", "error"} where something failed. NULL only when
 * memory has run out. */
json_t *bench_device(const bench_settings *settings, const char *name);

#endif
