/* A record of what ran when, on host and device, written as a Chrome trace (JSON) that Perfetto opens. */
#ifndef PUMICE_TRACE_H
#define PUMICE_TRACE_H

#include "pumice/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_trace pm_trace; /* may be used from several threads at once */

/* Creates (or overwrites) the file; PM_ERR_IO where that fails. */
pm_status pm_trace_open(const char *path, pm_trace **out, pm_error *err);

/* A trace that goes to a function instead of a file; its times are those of pm_trace_now_ns. It is called by one thread
 * at a time; the strings are valid during the call alone. */
typedef void (*pm_trace_sink_fn)(void *user, const char *track, const char *category, const char *name,
                                 unsigned long long start_ns, unsigned long long end_ns);
pm_status pm_trace_open_sink(pm_trace_sink_fn sink, void *user, pm_trace **out, pm_error *err);

/* Ends the JSON document and closes the file; reports a write error such as a full disk. NULL is fine. */
pm_status pm_trace_close(pm_trace *trace, pm_error *err);

/* Nanoseconds of the monotonic clock, as every event has them. */
unsigned long long pm_trace_now_ns(void);

/* One finished span on a track ("host", "vulkan:0", "cpu thread 1"). name and category are copied. */
void pm_trace_span(pm_trace *trace, const char *track, const char *category, const char *name,
                   unsigned long long start_ns, unsigned long long end_ns);

#ifdef __cplusplus
}
#endif
#endif
