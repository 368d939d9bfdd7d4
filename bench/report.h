/* Several results of `pumice bench` as one HTML page: the parts that write it.
 *
 * A run is one device with one model in one file; runs with the same model stand side by side. The page is
 * self-contained: no script, no font, no image from elsewhere; plots are inline SVG whose colours are the page's,
 * light or dark. */
#ifndef PUMICE_BENCH_REPORT_H
#define PUMICE_BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "pumice/status.h"

enum {
    REPORT_MAX_RUNS = 64,
    REPORT_MAX_MODELS = 32,
    REPORT_MAX_FILES = 64,
    REPORT_COLOURS = 8,
    REPORT_LABEL = 96
};

typedef struct report_run {
    const json_t *document, *device;
    int model, colour;        /* index of its model; of its colour, the same for a device in all models */
    char label[REPORT_LABEL]; /* of the device, short, different from others' */
    char model_name[REPORT_LABEL];
} report_run;

typedef struct report {
    json_t *documents[REPORT_MAX_FILES];
    size_t n_documents;
    report_run runs[REPORT_MAX_RUNS];
    size_t n_runs, n_models;
    const json_t *peers[REPORT_MAX_FILES]; /* documents of bench/llama_peer.py */
    size_t n_peers;
} report;

/* Reads the files and writes the page to `path` ("-": standard output). Errors: PM_ERR_IO, PM_ERR_FORMAT (not what
 * pumice bench writes, or of another version), PM_ERR_LIMIT. */
pm_status bench_report(const char *const *files, size_t n_files, const char *path, pm_error *err);

/* Parts of the page. */
void report_text(FILE *out, const char *text); /* escaped */
double report_number(const json_t *object, const char *key);
const char *report_string(const json_t *object, const char *key);
const json_t *report_rate(const report_run *run, const char *name); /* NULL: not measured */
/* The rates of this kind (NULL: of any) that some run of the model has, in the order of their first mention, at most
 * `most`; how many they are. */
size_t report_rate_names(const report *r, int model, const char *kind, const char **names, size_t most);

/* Rates whose kind is `kind` of the runs of a model, side by side, as bars. Nothing where there are none. */
void report_bars(FILE *out, const report *r, int model, const char *kind, const char *title);

/* What the device can do at most over arithmetic intensity, and where its ops are. Nothing without ceilings or
 * ops. */
void report_roofline(FILE *out, const report_run *run);

#endif
