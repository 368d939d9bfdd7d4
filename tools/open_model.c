/* Opening a device, a model and a session as the options say, with progress and what the device has to say. */
#include "open_model.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "known_models.h"

const char *const cli_kv_type_names[] = {"F16", "F32", "Q8_0", NULL};
const char *const cli_tuning_names[] = {"on", "off", "anew", NULL};
const char *const cli_tier_names[] = {"best", "T0", "T1", "T2", "T3", NULL};

#define FIELD(member) offsetof(cli_engine_options, member)

static const cli_option model_rows[] = {
    {.name = "model", .letter = 'm', .kind = CLI_TEXT, .offset = FIELD(model), .value_name = "FILE",
     .help = "the model: a GGUF file, a directory as Hugging Face keeps them, or the name of one that `pumice pull` has "
             "got (default: SmolLM2-135M-Instruct)"},
    {.name = "tokenizer", .kind = CLI_TEXT, .offset = FIELD(tokenizer), .value_name = "NAME|FILE.so",
     .help = "the tokenizer plugin (default: as the model file says)"},
    {.name = "tokenizer-file", .kind = CLI_TEXT, .offset = FIELD(tokenizer_file), .value_name = "FILE",
     .help = "read the vocabulary from here and not from the model: a GGUF file, tokenizer.json, SentencePiece model, "
             "tiktoken rank file or vocab.txt, or a directory with one of them"},
    {.name = "tokenizer-set", .kind = CLI_LIST, .offset = FIELD(tokenizer_settings), .value_name = "KEY=VALUE",
     .help = "a setting for the tokenizer plugin; may be given several times"},
};

static const cli_option device_rows[] = {
    {.name = "device", .letter = 'd', .kind = CLI_TEXT, .offset = FIELD(device), .value_name = "DEVICE",
     .help = "auto, cpu, reference, vulkan or vulkan:N, as `pumice devices` lists them (default: auto)"},
    {.name = "tier", .kind = CLI_CHOICE, .offset = FIELD(tier), .choices = cli_tier_names,
     .help = "use a Vulkan device as if it could do no more than this"},
    {.name = "threads", .letter = 't', .kind = CLI_INT, .offset = FIELD(n_threads), .value_name = "N", .min = 0,
     .max = 1024, .help = "threads of the cpu and reference devices (default: one a core)"},
    {.name = "no-self-test", .kind = CLI_FLAG, .offset = FIELD(no_self_test),
     .help = "skip the check of a Vulkan device at its first use"},
    {.name = "tuning", .kind = CLI_CHOICE, .offset = FIELD(tuning), .choices = cli_tuning_names,
     .help = "how products are cut on a GPU: as measured once (the default), by rule, or measured anew"},
    {.name = "no-cache", .kind = CLI_FLAG, .offset = FIELD(no_cache),
     .help = "neither read nor write compiled pipelines, results of self-tests and of tuning on disk"},
    {.name = "quiet", .letter = 'q', .kind = CLI_FLAG, .offset = FIELD(quiet),
     .help = "say nothing on standard error but errors"},
};

static const cli_option session_rows[] = {
    {.name = "ctx", .letter = 'c', .kind = CLI_INT, .offset = FIELD(n_ctx), .value_name = "N", .min = 0,
     .max = 1 << 24, .help = "most tokens of prompt and answer together (default: what the model was trained on, at most 4096)"},
    {.name = "batch", .kind = CLI_INT, .offset = FIELD(n_batch), .value_name = "N", .min = 0, .max = 1 << 16,
     .help = "most tokens evaluated in one pass (default: 512)"},
    {.name = "kv-type", .kind = CLI_CHOICE, .offset = FIELD(kv_type), .choices = cli_kv_type_names,
     .help = "what the KV cache is kept in: Q8_0 needs about half of the memory of F16, which is the default"},
    {.name = "steps", .kind = CLI_INT, .offset = FIELD(n_steps), .value_name = "N", .min = 0,
     .max = PM_MOST_STEPS,
     .help = "most tokens that a device decodes by itself in one submission (default: as many as take 20 ms)"},
    {.name = "check", .kind = CLI_FLAG, .offset = FIELD(check),
     .help = "replay every op on the reference and stop at the first that diverges (slow)"},
    {.name = "trace", .kind = CLI_TEXT, .offset = FIELD(trace), .value_name = "FILE",
     .help = "write what ran when as a Chrome trace, for ui.perfetto.dev"},
};

cli_group cli_model_group(cli_engine_options *options)
{
    return (cli_group){"Model", model_rows, CLI_COUNT(model_rows), options};
}

cli_group cli_file_group(cli_engine_options *options)
{
    return (cli_group){"Model", model_rows, 1, options};
}

cli_group cli_device_group(cli_engine_options *options)
{
    return (cli_group){"Device", device_rows, CLI_COUNT(device_rows), options};
}

cli_group cli_session_group(cli_engine_options *options)
{
    return (cli_group){"Session", session_rows, CLI_COUNT(session_rows), options};
}

const char *cli_choose_model(const char *command, const cli_engine_options *options, char *buffer, size_t capacity)
{
    const cli_known_model *known = &cli_known_models[0];
    if (options->model) { /* a file of that name comes first */
        known = access(options->model, F_OK) == 0 ? NULL : cli_find_known_model(options->model);
        if (!known)
            return options->model;
    }
    if (!cli_model_path(known, buffer, capacity)) {
        cli_error(command, "no model: pass one with --model FILE (HOME is not set, so there is no default)");
        return NULL;
    }
    if (access(buffer, R_OK) != 0 && options->model) {
        cli_error(command, "%s is not on this machine yet: get it with 'pumice pull %s'", known->name, known->name);
        return NULL;
    }
    if (access(buffer, R_OK) != 0) {
        cli_error(command, "the default model is not on this machine yet: get it with 'pumice pull', or pass a GGUF "
                           "file with --model FILE");
        return NULL;
    }
    return buffer;
}

/* Where a tokenizer's vocabulary is: in an open file, in the file of a path, or (both NULL) with the plugin. */
static int open_tokenizer(const char *command, const cli_engine_options *options, const pm_gguf *file,
                          const char *path, pm_tokenizer **out)
{
    pm_error err = {0};
    pm_plugin_setting settings[CLI_LIST_MAX];
    char keys[CLI_LIST_MAX][64];
    const cli_list *given = &options->tokenizer_settings;
    for (size_t i = 0; i < given->n; i++) {
        size_t n_key = strcspn(given->items[i], "=");
        if (n_key == 0 || n_key >= sizeof keys[i] || given->items[i][n_key] == '\0')
            return cli_error(command, "--tokenizer-set takes KEY=VALUE with a short key, not '%s'", given->items[i]);
        memcpy(keys[i], given->items[i], n_key);
        keys[i][n_key] = '\0';
        const char *value = given->items[i] + n_key + 1;
        settings[i] = (pm_plugin_setting){keys[i], value, strlen(value)};
    }
    const pm_tokenizer_options tokenizer_options = {
        .plugin = options->tokenizer,
        .settings = settings,
        .n_settings = given->n,
    };
    pm_status status = path   ? pm_tokenizer_open_file(path, &tokenizer_options, out, &err)
                       : file ? pm_tokenizer_open_gguf(file, &tokenizer_options, out, &err)
                              : pm_tokenizer_open_plugin(&tokenizer_options, out, &err);
    return status == PM_OK ? CLI_OK : cli_report(command, &err);
}

int cli_open_tokenizer(const char *command, const cli_engine_options *options, const pm_gguf *file,
                       pm_tokenizer **out)
{
    struct stat info;
    const char *path = options->tokenizer_file;
    if (!path && stat(pm_gguf_path(file), &info) == 0 && S_ISDIR(info.st_mode))
        path = pm_gguf_path(file);
    return open_tokenizer(command, options, file, path, out);
}

int cli_open_tokenizer_alone(const char *command, const cli_engine_options *options, pm_tokenizer **out)
{
    char buffer[4096];
    const char *path = options->tokenizer_file;
    if (!path && !options->model && options->tokenizer && options->tokenizer_settings.n > 0)
        return open_tokenizer(command, options, NULL, NULL, out);
    if (!path)
        path = cli_choose_model(command, options, buffer, sizeof buffer);
    return path ? open_tokenizer(command, options, NULL, path, out) : CLI_FAILURE;
}

static void log_line(void *user, const char *line)
{
    cli_engine *engine = user;
    if (engine->options->quiet)
        return;
    cli_progress_clear(&engine->progress);
    fprintf(stderr, "pumice: %s\n", line);
}

static pm_session_options session_options_of(const cli_engine *engine)
{
    const cli_engine_options *options = engine->options;
    return (pm_session_options){
        .n_ctx = options->n_ctx,
        .n_batch = options->n_batch,
        .n_source = options->n_ctx,
        .n_beams = options->n_beams,
        .kv_type = (pm_kv_type)options->kv_type,
        .n_steps = options->n_steps,
        .check = options->check != 0,
        .trace = engine->trace,
        .should_stop = cli_should_stop,
    };
}

int cli_engine_open(cli_engine *engine, const char *command, const cli_engine_options *options)
{
    pm_error err = {0};
    char buffer[4096];
    const char *path = cli_choose_model(command, options, buffer, sizeof buffer);
    if (!path)
        return CLI_FAILURE;
    engine->command = command;
    engine->options = options;
    engine->progress.hidden = options->quiet;
    cli_catch_interrupts();
    const pm_device_options device_options = {
        .name = options->device,
        .tier = (pm_tier)options->tier,
        .n_threads = options->n_threads,
        .tuning = (pm_tuning)options->tuning,
        .no_cache = options->no_cache != 0,
        .no_self_test = options->no_self_test != 0,
        .profile = options->trace != NULL,
        .log = log_line,
        .log_user = engine,
    };
    if (pm_device_open(&device_options, &engine->device, &err) != PM_OK)
        return cli_report(command, &err);
    const pm_session_options session_options = session_options_of(engine);
    const pm_model_options model_options = {
        .progress = cli_progress_callback, .user = &engine->progress, .planned = &session_options};
    pm_status status = pm_model_open(path, engine->device, &model_options, &engine->model, &err);
    cli_progress_clear(&engine->progress);
    return status == PM_OK ? CLI_OK : cli_report(command, &err);
}

int cli_engine_open_tokenizer(cli_engine *engine)
{
    return cli_open_tokenizer(engine->command, engine->options, pm_model_file(engine->model), &engine->tokenizer);
}

int cli_engine_start(cli_engine *engine)
{
    pm_error err = {0};
    const cli_engine_options *options = engine->options;
    if (options->trace && pm_trace_open(options->trace, &engine->trace, &err) != PM_OK)
        return cli_report(engine->command, &err);
    const pm_session_options session_options = session_options_of(engine);
    if (pm_session_create(engine->model, &session_options, &engine->session, &err) != PM_OK)
        return cli_report(engine->command, &err);
    return CLI_OK;
}

int cli_engine_close(cli_engine *engine, int status)
{
    pm_error err = {0};
    pm_session_destroy(engine->session);
    if (pm_trace_close(engine->trace, &err) != PM_OK)
        status = cli_report(engine->command, &err);
    pm_tokenizer_close(engine->tokenizer);
    pm_model_close(engine->model);
    pm_device_close(engine->device);
    *engine = (cli_engine){0};
    return status;
}
