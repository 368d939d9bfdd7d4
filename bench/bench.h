/* The benchmark harness: one model on several devices, each in processes of its own, against the device's
 * ceilings.
 *
 * A device is measured in forked children, so that its peak memory is its own, its first start is a first start,
 * and a driver that crashes or hangs takes nothing with it. A child tells what it has measured so far through a
 * pipe, as JSON, so nothing of it is lost when it ends early. Uses public headers only.
 *
 *     bench_model.c    the model: a file, or random weights in memory
 *     bench_run.c      the children, one after the other; the document
 *     bench_start.c    child: from nothing to the first token, with cold and with warm caches; memory
 *     bench_device.c   child: ceilings, then
 *     bench_rates.c    prompts, decoding at depths and in batches, encoding
 *     bench_batch.c    several sequences decoded in one pass
 *     bench_ops.c      each op at the model's shapes
 *     bench_verify.c   child: logits by the reference; in each device's: how far it is from them
 *     bench_table.c    the document for people;  report_*.c: several of them as one HTML page
 */
#ifndef PUMICE_BENCH_BENCH_H
#define PUMICE_BENCH_BENCH_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "pumice/device.h"
#include "pumice/session.h"
#include "pumice/status.h"
#include "pumice/types.h"

enum { BENCH_SCHEMA = 2, BENCH_MAX_DEVICES = 16, BENCH_MAX_SIZES = 8, BENCH_MAX_REPEATS = 100 };

typedef struct bench_sizes {
    int32_t list[BENCH_MAX_SIZES];
    size_t n;
} bench_sizes;

typedef struct bench_settings {
    const char *model_path;
    const char *devices[BENCH_MAX_DEVICES];
    size_t n_devices;
    bench_sizes prompts; /* lengths in tokens; of an encoder: of the sequences */
    bench_sizes depths;  /* tokens on the timeline when decoding begins */
    bench_sizes batches; /* sequences decoded, or encoded, in one pass */
    int32_t n_decode;    /* tokens decoded one by one */
    int32_t n_repeats;   /* of each measurement; the median counts */
    int32_t n_threads;   /* 0: all cores */
    pm_kv_type kv_type;  /* of all KV caches */
    int32_t n_steps;     /* as in pm_session_options */
    pm_tuning tuning;    /* how products are cut on GPUs */
    pm_tier tier;        /* PM_TIER_BEST: what the device has */
    int32_t n_verify; /* tokens whose logits are compared with the reference; 0: none; -1: by the model's size */
    double budget_s;  /* of each device: what would take longer is left out, and named; 0: no end */
    double limit_s;   /* a child that takes longer is stopped and reported as such; 0: never */
    uint8_t no_cold;  /* one start only, with the caches that are there */
    uint8_t no_ops;
    void (*note)(void *user, const char *line); /* progress; may be NULL; called in children too */
    int (*should_stop)(void *user);             /* polled here and in children; may be NULL */
    void *user;
} bench_settings;

/* Runs everything. *out is a new reference to one document, whose form bench/results/README.md describes. A device
 * that fails is an entry with "error". Fails only where nothing could be run at all. */
pm_status bench_run(const bench_settings *settings, json_t **out, pm_error *err);

/* Random weights in the shape of a known model: an open file without a name, in memory where there is room, else
 * below `folder`. *fd stays open as long as the model is used, as /dev/fd/N (also by children). */
pm_status bench_synthesize(const char *shape, pm_type type, const char *folder,
                           int (*progress)(void *user, const char *what, uint64_t done, uint64_t total),
                           void *user, int *fd, pm_error *err);

/* The middle one of n values, or the mean of the two in the middle. Sorts them. */
double bench_median(double *values, size_t n);

/* ---- Tokenizers: no device, no model; vocabularies and texts ---- */

typedef struct bench_tokenizer_settings {
    const char *const *files; /* anything that pm_tokenizer_open_file reads */
    size_t n_files;
    const char *const *texts; /* paths; none: text made of each vocabulary's own tokens */
    size_t n_texts;
    int32_t n_repeats, n_threads; /* threads of the second figure; 0: all cores */
    void (*note)(void *user, const char *line);
    void *user;
} bench_tokenizer_settings;

/* Measures opening, encoding (one thread, and n_threads) and decoding. *out is a new reference to {"pumice",
 * "machine", "settings", "tokenizers": [...]}. */
pm_status bench_tokenizers(const bench_tokenizer_settings *settings, json_t **out, pm_error *err);
void bench_tokenizers_print(const json_t *document);

/* What every document says first: a new object with "schema", "pumice", "date", "build" and "machine". */
json_t *bench_document(void);

/* ---- Documents for people ---- */

/* As a table on standard output; with_ops: also the table of ops. */
void bench_print(const json_t *document, int with_ops);

#endif
