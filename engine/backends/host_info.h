/* What the backends that run on the processor say about it. */
#ifndef PUMICE_BACKENDS_HOST_INFO_H
#define PUMICE_BACKENDS_HOST_INFO_H

#include <stddef.h>
#include <stdint.h>

/* The processor's name as the system gives it ("AMD Ryzen 7 7700"), else the architecture's. Always terminated. */
void pm_host_processor(char *name, size_t capacity);

/* Bytes of main memory: all, and what could be taken without swapping. 0 where the system does not say. */
void pm_host_memory(uint64_t *total, uint64_t *available);

/* The threads that a device uses when its options ask for n (0: one a core, at most 64). */
int pm_host_threads(int n);

#endif
