/* The benchmark harness: one model on several devices, each in a process of its own, against the device's ceilings.
 *
 * A device is measured in a forked child, so that its peak memory is its own and a driver that crashes or hangs takes
 * nothing with it; what the child measures comes back through a pipe as JSON. Uses public headers only.
 */
#ifndef PUMICE_BENCH_BENCH_H
#define PUMICE_BENCH_BENCH_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "pumice/device.h"
#include "pumice/status.h"

enum { BENCH_MAX_DEVICES = 16, BENCH_MAX_PROMPTS = 8 };

typedef struct bench_settings {
    const char *model_path;
    const char *devices[BENCH_MAX_DEVICES];
    size_t n_devices;
    int32_t prompts[BENCH_MAX_PROMPTS]; /* lengths of prompts, in tokens */
    size_t n_prompts;
    int32_t n_decode;      /* tokens decoded one by one */
    int32_t n_repeats;     /* of each measurement; the median counts */
    int32_t n_threads;     /* 0: all cores */
    pm_tier tier;          /* PM_TIER_BEST: what the device has */
    int32_t verify_tokens; /* logits of so many tokens are compared with the reference; 0: none */
    double limit_s;        /* a device that takes longer is stopped and reported as such; 0: no limit */
    uint8_t no_cache;      /* compile pipelines anew: time to first token as on a machine that never ran the model */
    void (*note)(void *user, const char *line); /* progress; may be NULL */
    void *user;
} bench_settings;

/* Runs everything. *out is a new reference to one document: {"pumice", "model", "machine", "settings", "devices": [...]}.
 * A device that fails is an entry with "error". Fails only where nothing could be run at all. */
pm_status bench_run(const bench_settings *settings, json_t **out, pm_error *err);

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

/* Measures opening, encoding (one thread, and n_threads) and decoding. *out is a new reference to {"pumice", "machine",
 * "settings", "tokenizers": [...]}. */
pm_status bench_tokenizers(const bench_tokenizer_settings *settings, json_t **out, pm_error *err);
void bench_tokenizers_print(const json_t *document);

/* What every document says first: a new object with "pumice", "date" and "machine". */
json_t *bench_document(void);

/* The document as a table for people, on standard output. */
void bench_print(const json_t *document);

#endif
