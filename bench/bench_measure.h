/* What the files that measure one device share; all of it runs in a child process. */
#ifndef PUMICE_BENCH_BENCH_MEASURE_H
#define PUMICE_BENCH_BENCH_MEASURE_H

#include "bench.h"
#include "pumice/session.h"

/* Where a child's results go: each time what was measured so far, whole. */
typedef struct bench_channel {
    int fd;
    json_t *entry; /* the child's results; grows */
} bench_channel;
void bench_publish(const bench_channel *channel);

/* Logits of the reference, which the children of all devices compare theirs with: memory that they share. */
typedef struct bench_truth {
    int32_t n_tokens; /* of the check; the last of them one by one */
    size_t n_values;  /* of `values` */
    float *values;
    volatile double seconds; /* that the reference took; 0: it has not got there */
} bench_truth;

/* A device with the model on it. */
typedef struct bench_target {
    const bench_settings *settings;
    const char *name; /* of the device */
    pm_device *device;
    pm_model *model;
    pm_session *session;
    int32_t *tokens; /* a fixed pseudo-random text of n_tokens */
    int32_t n_tokens;
    pm_ceilings ceilings;
    double begun_s; /* when measuring began: the budget counts from here */
} bench_target;

double bench_now_s(void);
void bench_note(const bench_settings *settings, const char *format, ...) __attribute__((format(printf, 2, 3)));
int bench_stopped(const bench_settings *settings);

/* Opens device and model; cache_dir NULL: the usual one. A session of n_ctx tokens, and n_tokens of text. */
pm_status bench_open(bench_target *target, const char *cache_dir, pm_error *err);
pm_status bench_open_session(bench_target *target, int32_t n_ctx, int32_t n_source, int32_t n_tokens,
                             pm_error *err);
void bench_close(bench_target *target);

/* Device, driver and limits into the entry. */
void bench_put_device(const bench_target *target, json_t *entry);

/* The process's memory, and the device's. */
void bench_put_memory(const bench_target *target, json_t *entry);

/* Children. */
void bench_child_start(const bench_settings *settings, const char *device, const char *cache_dir,
                       bench_channel *channel);
void bench_child_device(const bench_settings *settings, const char *device, const char *cache_dir,
                        const bench_truth *truth, bench_channel *channel);
void bench_child_truth(const bench_settings *settings, bench_truth *truth, bench_channel *channel);

/* Parts of bench_child_device; each puts its results into channel->entry and publishes them. */
pm_status bench_rates(bench_target *target, bench_channel *channel, pm_error *err);
pm_status bench_ops(bench_target *target, bench_channel *channel, pm_error *err);
/* n_sequences decoded together, n_tokens each after a prompt of BENCH_BATCH_PROMPT, n_repeats times:
 * seconds[n_repeats]. */
enum { BENCH_BATCH_PROMPT = 8 };
pm_status bench_batch(bench_target *target, int32_t n_sequences, int32_t n_tokens, int32_t n_repeats,
                      double *seconds, pm_error *err);
pm_status bench_verify(bench_target *target, const bench_truth *truth, bench_channel *channel, pm_error *err);

/* Passes that several files run. Encode: n sequences of length `n_tokens` each. */
pm_status bench_pass_prompt(bench_target *target, int32_t n_tokens, pm_error *err);
pm_status bench_pass_decode(bench_target *target, int32_t n_tokens, pm_error *err);
pm_status bench_pass_encode(bench_target *target, int32_t n_sequences, int32_t n_tokens, pm_error *err);
/* An empty timeline; of an encoder-decoder with a source of n_source tokens. */
pm_status bench_rewind(bench_target *target, int32_t n_source, pm_error *err);

#endif
