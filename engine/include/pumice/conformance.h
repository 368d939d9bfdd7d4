/* Does a tokenizer plugin keep the rules of pumice/plugin.h? For authors of plugins, behind `pumice
 * tokenizer-check`.
 *
 * Each check runs in a process of its own, so that a plugin which crashes or hangs is reported and not believed.
 * Where no vocabulary is given, the plugin is tried with small built-in ones (bytes, characters, word pieces) and
 * checked with each that it takes.
 */
#ifndef PUMICE_CONFORMANCE_H
#define PUMICE_CONFORMANCE_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/plugin.h"
#include "pumice/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pm_conformance_outcome {
    PM_CONFORMANCE_PASSED = 0,
    PM_CONFORMANCE_FAILED,
    PM_CONFORMANCE_SKIPPED /* does not apply: the detail says why */
} pm_conformance_outcome;

/* One check with one vocabulary; borrowed for the call of the report. */
typedef struct pm_conformance_result {
    const char *check;      /* "buffers too small" */
    const char *vocabulary; /* "built-in bytes", or the file's path; "" for checks that need none */
    pm_conformance_outcome outcome;
    const char *detail; /* a sentence, or "" */
} pm_conformance_result;

typedef void (*pm_conformance_report)(void *user, const pm_conformance_result *result);

/* All zero but `plugin`: built-in vocabularies, 2000 rounds of fuzzing with seed 0, 8 threads. */
typedef struct pm_conformance_options {
    const char *plugin;      /* name or file, as in pm_tokenizer_options */
    const char *plugin_dirs; /* as there */
    const char *vocabulary;  /* a file or directory that pm_tokenizer_open_file reads; NULL: the built-in ones */
    const pm_plugin_setting *settings;
    size_t n_settings;
    uint64_t seed;
    int fuzz_rounds;
    int n_threads;
    int lossless; /* decoding must give back each text to the byte */
} pm_conformance_options;

/* Runs all checks and reports each; *n_failed is the number of those that failed. Errors: those of loading the
 * plugin and of reading the vocabulary. A plugin that cannot be loaded because it breaks the ABI is such an error
 * too. */
pm_status pm_plugin_conformance(const pm_conformance_options *options, pm_conformance_report report, void *user,
                                size_t *n_failed, pm_error *err);

#ifdef __cplusplus
}
#endif
#endif
