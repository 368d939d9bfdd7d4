/* The options that commands share for choosing a model, a device and a session, and opening what they name. */
#ifndef PUMICE_TOOLS_OPEN_MODEL_H
#define PUMICE_TOOLS_OPEN_MODEL_H

#include "options.h"
#include "pumice/session.h"
#include "pumice/tokenizer.h"
#include "pumice/trace.h"
#include "terminal.h"
#include "text.h"

typedef struct cli_engine_options {
    const char *model, *tokenizer, *tokenizer_file; /* the model group */
    cli_list tokenizer_settings;
    const char *device; /* the device group */
    int tier, tuning, n_threads, no_self_test, no_cache, quiet;
    int n_ctx, n_batch, kv_type, n_steps, check; /* the session group; kv_type: a pm_kv_type */
    int n_beams;                        /* of translate */
    const char *trace;
} cli_engine_options;

extern const char *const cli_kv_type_names[]; /* of --kv-type, in the order of pm_kv_type; ends with NULL */
extern const char *const cli_tuning_names[]; /* of --tuning, in the order of pm_tuning; ends with NULL */
extern const char *const cli_tier_names[]; /* of --tier, in the order of pm_tier; ends with NULL */

/* Groups of options that fill in *options. */
cli_group cli_model_group(cli_engine_options *options); /* --model and those of the tokenizer */
cli_group cli_file_group(cli_engine_options *options);  /* --model alone */
cli_group cli_device_group(cli_engine_options *options);
cli_group cli_session_group(cli_engine_options *options);

/* What is open. Zeroed to begin with; cli_engine_close closes what there is, in the right order. */
typedef struct cli_engine {
    const char *command;
    const cli_engine_options *options;
    cli_progress progress;
    pm_device *device;
    pm_model *model;
    pm_tokenizer *tokenizer;
    pm_trace *trace;
    pm_session *session;
} cli_engine;

/* The path of the model to use: --model, or the default model where it has been pulled. NULL after saying on
 * standard error what to do. `buffer` may hold the result. */
const char *cli_choose_model(const char *command, const cli_engine_options *options, char *buffer,
                             size_t capacity);

/* The tokenizer that the options name, with the vocabulary of --tokenizer-file or else that of `file`. Returns an exit
 * status, after saying what went wrong. */
int cli_open_tokenizer(const char *command, const cli_engine_options *options, const pm_gguf *file,
                       pm_tokenizer **out);

/* The same where nothing but the tokenizer is needed: --model may be any file that describes one, or a directory; with
 * neither, a plugin may take its vocabulary from --tokenizer-set. */
int cli_open_tokenizer_alone(const char *command, const cli_engine_options *options, pm_tokenizer **out);

/* Opens the device and the model on it; the tokenizer; a session, with --trace and --check as asked. The same
 * returns. */
int cli_engine_open(cli_engine *engine, const char *command, const cli_engine_options *options);
int cli_engine_open_tokenizer(cli_engine *engine);
int cli_engine_start(cli_engine *engine);

/* Closes everything; the status to end with, which is a failure where the trace could not be written. */
int cli_engine_close(cli_engine *engine, int status);

#endif
