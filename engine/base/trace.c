/* Chrome trace writer: see pumice/trace.h. One "complete" event (ph "X") a span; each track becomes a named thread.
 * Format: the Trace Event Format document of the Chromium project, as read by Perfetto. */
#include "pumice/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

enum { TRACE_MAX_TRACKS = 128, TRACE_TRACK_NAME = 64 };

struct pm_trace {
    pm_trace_sink_fn sink; /* in place of the file */
    void *user;
    FILE *file;
    char *path;
    pthread_mutex_t lock;
    unsigned long long origin_ns; /* events are relative to the opening, so that their numbers stay short */
    int n_tracks;
    char tracks[TRACE_MAX_TRACKS][TRACE_TRACK_NAME];
};

unsigned long long pm_trace_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec;
}

pm_status pm_trace_open(const char *path, pm_trace **out, pm_error *err)
{
    *out = NULL;
    pm_trace *trace = calloc(1, sizeof *trace);
    if (!trace || !(trace->path = strdup(path))) {
        free(trace);
        return pm_fail_memory(err, sizeof *trace, "a trace");
    }
    trace->file = fopen(path, "w");
    if (!trace->file) {
        pm_status status = pm_fail(err, PM_ERR_IO, "%s: the trace file cannot be created: %s", path, strerror(errno));
        free(trace->path);
        free(trace);
        return status;
    }
    pthread_mutex_init(&trace->lock, NULL);
    trace->origin_ns = pm_trace_now_ns();
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
          "{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"pumice\"}}",
          trace->file);
    *out = trace;
    return PM_OK;
}

pm_status pm_trace_open_sink(pm_trace_sink_fn sink, void *user, pm_trace **out, pm_error *err)
{
    pm_trace *trace = *out = calloc(1, sizeof *trace);
    if (!trace)
        return pm_fail_memory(err, sizeof *trace, "a trace");
    trace->sink = sink;
    trace->user = user;
    pthread_mutex_init(&trace->lock, NULL);
    return PM_OK;
}

pm_status pm_trace_close(pm_trace *trace, pm_error *err)
{
    if (!trace)
        return PM_OK;
    int failed = 0;
    if (trace->file) {
        fputs("\n]}\n", trace->file);
        failed = ferror(trace->file);
        if (fclose(trace->file) != 0)
            failed = 1;
    }
    pm_status status = PM_OK;
    if (failed)
        status = pm_fail(err, PM_ERR_IO, "%s: the trace could not be written (is the disk full?)", trace->path);
    pthread_mutex_destroy(&trace->lock);
    free(trace->path);
    free(trace);
    return status;
}

static void write_json_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(file, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(file, "\\u%04x", *c);
        else
            fputc(*c, file);
    }
    fputc('"', file);
}

/* The number of a track, announcing it at first use. Tracks past the last that fits share its number. */
static int track_number(pm_trace *trace, const char *name)
{
    for (int i = 0; i < trace->n_tracks; i++)
        if (strncmp(trace->tracks[i], name, TRACE_TRACK_NAME - 1) == 0)
            return i;
    if (trace->n_tracks == TRACE_MAX_TRACKS)
        return TRACE_MAX_TRACKS - 1;
    int track = trace->n_tracks++;
    snprintf(trace->tracks[track], TRACE_TRACK_NAME, "%s", name);
    fprintf(trace->file, ",\n{\"ph\":\"M\",\"pid\":1,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":", track);
    write_json_string(trace->file, name);
    fputs("}}", trace->file);
    return track;
}

void pm_trace_span(pm_trace *trace, const char *track, const char *category, const char *name,
                   unsigned long long start_ns, unsigned long long end_ns)
{
    if (!trace)
        return;
    if (trace->sink) {
        pthread_mutex_lock(&trace->lock);
        trace->sink(trace->user, track, category, name, start_ns, end_ns);
        pthread_mutex_unlock(&trace->lock);
        return;
    }
    double start_us = start_ns < trace->origin_ns ? 0 : (double)(start_ns - trace->origin_ns) / 1e3;
    double length_us = end_ns < start_ns ? 0 : (double)(end_ns - start_ns) / 1e3;
    pthread_mutex_lock(&trace->lock);
    int tid = track_number(trace, track);
    fprintf(trace->file, ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"cat\":", tid, start_us,
            length_us);
    write_json_string(trace->file, category);
    fputs(",\"name\":", trace->file);
    write_json_string(trace->file, name);
    fputc('}', trace->file);
    pthread_mutex_unlock(&trace->lock);
}
