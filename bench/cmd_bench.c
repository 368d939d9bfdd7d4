/* `pumice bench`: one model on several devices, beside the ceilings of each. The measuring is in bench_device.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "command.h"
#include "known_models.h"
#include "open_model.h"
#include "options.h"
#include "pumice/synth.h"
#include "terminal.h"
#include "text.h"
#include "weight_types.h"

typedef struct bench_options {
    const char *model, *shape, *type, *prompts, *output;
    cli_list devices;
    int decode, repeats, threads, tier, verify, limit, no_cache, json, tokenizers;
    cli_list texts;
} bench_options;

#define AT(field) offsetof(bench_options, field)
static const cli_option rows[] = {
    {.name = "model", .letter = 'm', .kind = CLI_TEXT, .offset = AT(model), .value_name = "FILE",
     .help = "GGUF file to measure (default: the model of `pumice pull`)"},
    {.name = "shape", .kind = CLI_TEXT, .offset = AT(shape), .value_name = "NAME",
     .help = "instead of a file, random weights in the shape of a known model (smollm2-135m, tinyllama-1.1b, ...); "
             "written once into the cache directory"},
    {.name = "type", .kind = CLI_TEXT, .offset = AT(type), .value_name = "TYPE",
     .help = "weight type of --shape (default Q4_0)"},
    {.name = "device", .letter = 'd', .kind = CLI_LIST, .offset = AT(devices), .value_name = "NAME",
     .help = "device to measure; may be given several times (default: all but the reference)"},
    {.name = "prompts", .letter = 'p', .kind = CLI_TEXT, .offset = AT(prompts), .value_name = "N,N,...",
     .help = "lengths of prompts in tokens (default 64,512)"},
    {.name = "decode", .letter = 'n', .kind = CLI_INT, .offset = AT(decode), .value_name = "N",
     .help = "tokens decoded one by one (default 128)", .min = 0, .max = 1 << 20},
    {.name = "repeats", .letter = 'r', .kind = CLI_INT, .offset = AT(repeats), .value_name = "N",
     .help = "how often each is measured; medians are shown (default 3)", .min = 1, .max = 100},
    {.name = "threads", .letter = 't', .kind = CLI_INT, .offset = AT(threads), .value_name = "N",
     .help = "threads of the cpu device (default: all cores)", .min = 0, .max = 64},
    {.name = "tier", .kind = CLI_CHOICE, .offset = AT(tier), .value_name = "N", .choices = cli_tier_names,
     .help = "use Vulkan devices as if they had no more than this capability tier"},
    {.name = "verify", .kind = CLI_INT, .offset = AT(verify), .value_name = "N",
     .help = "compare the logits of N tokens with the reference backend (default 4; 0: not)", .min = 0, .max = 4096},
    {.name = "limit", .kind = CLI_INT, .offset = AT(limit), .value_name = "SECONDS",
     .help = "stop a device that takes longer (default 1800; 0: never)", .min = 0, .max = 1 << 20},
    {.name = "tokenizers", .kind = CLI_FLAG, .offset = AT(tokenizers),
     .help = "measure tokenizers instead of devices: those of the files that are named (default: the model)"},
    {.name = "text", .kind = CLI_LIST, .offset = AT(texts), .value_name = "FILE",
     .help = "text that --tokenizers encodes; may be given several times (default: made of the vocabulary)"},
    {.name = "cold", .kind = CLI_FLAG, .offset = AT(no_cache),
     .help = "do not use the pipeline cache: the first token as on a machine that never ran the model"},
    {.name = "json", .letter = 'j', .kind = CLI_FLAG, .offset = AT(json), .help = "write one JSON document"},
    {.name = "output", .letter = 'o', .kind = CLI_TEXT, .offset = AT(output), .value_name = "FILE",
     .help = "also write the JSON document to FILE"},
};

static int parse_prompts(const cli_spec *spec, const char *text, bench_settings *settings)
{
    settings->n_prompts = 0;
    for (const char *at = text; *at;) {
        char *end;
        long n = strtol(at, &end, 10);
        if (end == at || n < 1 || n > 1 << 20 || (*end && *end != ',') || settings->n_prompts == BENCH_MAX_PROMPTS)
            return cli_usage(spec, "--prompts takes up to %d lengths such as 64,512, not '%s'", BENCH_MAX_PROMPTS, text);
        settings->prompts[settings->n_prompts++] = (int32_t)n;
        at = *end ? end + 1 : end;
    }
    return CLI_OK;
}

/* The path of the synthetic model, writing it where it is not there yet. */
static int synthetic_model(const char *shape, pm_type type, char *path, size_t capacity)
{
    char below[160];
    snprintf(below, sizeof below, "pumice/synth/%s-%s.gguf", shape, pm_type_name(type));
    if (strchr(shape, '/') || !cli_xdg_path("XDG_CACHE_HOME", ".cache", below, path, capacity))
        return cli_error("bench", "there is no place for the synthetic model: set XDG_CACHE_HOME or HOME");
    if (access(path, R_OK) == 0)
        return CLI_OK;
    if (!cli_make_folder_of(path))
        return cli_error("bench", "the folder of %s cannot be made", path);
    cli_progress progress = {0};
    pm_error err = {PM_OK, ""};
    cli_catch_interrupts();
    pm_status status = pm_synth_write(shape, type, 1, path, cli_progress_callback, &progress, &err);
    cli_progress_clear(&progress);
    return status == PM_OK ? CLI_OK : cli_report("bench", &err);
}

static int choose_model(const cli_spec *spec, const bench_options *o, char *path, size_t capacity)
{
    if (o->shape) {
        pm_type type = PM_TYPE_Q4_0;
        if (o->model)
            return cli_usage(spec, "--model and --shape exclude each other");
        if (o->type && !cli_weight_type(o->type, &type))
            return cli_usage(spec, "--type: there is no weight type '%s'", o->type);
        return synthetic_model(o->shape, type, path, capacity);
    }
    if (o->type)
        return cli_usage(spec, "--type goes with --shape");
    if (o->model) {
        snprintf(path, capacity, "%s", o->model);
        return CLI_OK;
    }
    if (!cli_model_path(&cli_known_models[0], path, capacity) || access(path, R_OK) != 0)
        return cli_error("bench", "the default model is not there; get it with `pumice pull`, or pass --model FILE or "
                                  "--shape NAME");
    return CLI_OK;
}

/* All usable devices but the reference, in a child: no driver should be loaded in the process that forks. */
static int default_devices(bench_settings *settings, char names[][24])
{
    int fds[2];
    if (pipe(fds) != 0)
        return cli_error("bench", "no pipe to ask for the devices");
    pid_t pid = fork();
    if (pid == 0) {
        pm_device_info *list = NULL;
        size_t n = 0;
        FILE *out = fdopen(fds[1], "w");
        if (out && pm_device_list(&list, &n, NULL) == PM_OK)
            for (size_t i = 0; i < n; i++)
                if (list[i].kind != PM_DEVICE_REFERENCE && !list[i].unusable[0])
                    fprintf(out, "%s\n", list[i].name);
        if (out)
            fclose(out);
        _exit(0);
    }
    close(fds[1]);
    FILE *in = fdopen(fds[0], "r");
    while (pid > 0 && in && settings->n_devices < BENCH_MAX_DEVICES && fgets(names[settings->n_devices], 24, in)) {
        names[settings->n_devices][strcspn(names[settings->n_devices], "\n")] = '\0';
        settings->devices[settings->n_devices] = names[settings->n_devices];
        settings->n_devices++;
    }
    if (in)
        fclose(in);
    return settings->n_devices ? CLI_OK : cli_error("bench", "no device was found");
}

static void show_note(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "pumice bench: %s\n", line);
}

static int write_document(const char *path, const json_t *document)
{
    if (json_dump_file(document, path, JSON_INDENT(2)) != 0)
        return cli_error("bench", "%s could not be written", path);
    return CLI_OK;
}

/* 1 where a device failed, so that scripts notice. */
static int exit_status(const json_t *document)
{
    size_t index;
    json_t *device;
    json_array_foreach(json_object_get(document, "devices"), index, device)
        if (json_object_get(device, "error"))
            return CLI_FAILURE;
    return CLI_OK;
}

static int finish(const bench_options *o, json_t *document, int status, void print(const json_t *document))
{
    if (o->output && write_document(o->output, document) != CLI_OK)
        status = CLI_FAILURE;
    if (o->json) {
        int printed = cli_print_json("bench", document);
        return printed != CLI_OK ? printed : status;
    }
    print(document);
    json_decref(document);
    return status;
}

static int run_tokenizers(const cli_spec *spec, const bench_options *o, char **files, int n_files)
{
    char path[4096];
    const char *model = path;
    json_t *document;
    pm_error err = {PM_OK, ""};
    bench_tokenizer_settings settings = {.files = (const char *const *)files, .n_files = (size_t)n_files,
                                         .texts = o->texts.items, .n_texts = o->texts.n, .n_repeats = o->repeats,
                                         .n_threads = o->threads, .note = show_note};
    if (n_files == 0) {
        int status = choose_model(spec, o, path, sizeof path);
        if (status != CLI_OK)
            return status;
        settings.files = &model;
        settings.n_files = 1;
    }
    if (bench_tokenizers(&settings, &document, &err) != PM_OK)
        return cli_report("bench", &err);
    return finish(o, document, CLI_OK, bench_tokenizers_print);
}

int cmd_bench(int argc, char **argv)
{
    bench_options o = {.prompts = "64,512", .decode = 128, .repeats = 3, .verify = 4, .limit = 1800};
    const cli_group group = {"Options", rows, CLI_COUNT(rows), &o};
    const cli_spec spec = {
        .command = "bench",
        .synopsis = "[OPTION]... [--tokenizers FILE...]",
        .about = "Measures prompt processing, decoding, time to first token and memory on each device, beside the\n"
                 "device's own ceilings (memory bandwidth, arithmetic) measured in the same run, and the error of its\n"
                 "logits against the reference backend.",
        .examples = "pumice bench\npumice bench --shape tinyllama-1.1b --type Q8_0 --device cpu\n"
                    "pumice bench --json --output results.json\n"
                    "pumice bench --tokenizers tokenizer.json model.gguf --text book.txt",
        .groups = &group,
        .n_groups = 1,
        .max_arguments = -1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (o.tokenizers)
        return run_tokenizers(&spec, &o, argv, n_arguments);
    if (n_arguments > 0)
        return cli_usage(&spec, "unexpected argument '%s'", argv[0]);
    if (o.texts.n > 0)
        return cli_usage(&spec, "--text goes with --tokenizers");
    char path[4096], names[BENCH_MAX_DEVICES][24];
    bench_settings settings = {.model_path = path, .n_decode = o.decode, .n_repeats = o.repeats, .n_threads = o.threads,
                               .tier = (pm_tier)o.tier, .verify_tokens = o.verify, .limit_s = o.limit,
                               .no_cache = (uint8_t)o.no_cache, .note = show_note};
    if ((status = parse_prompts(&spec, o.prompts, &settings)) != CLI_OK ||
        (status = choose_model(&spec, &o, path, sizeof path)) != CLI_OK)
        return status;
    for (size_t i = 0; i < o.devices.n; i++)
        settings.devices[settings.n_devices++] = o.devices.items[i];
    if (!settings.n_devices && (status = default_devices(&settings, names)) != CLI_OK)
        return status;

    json_t *document;
    pm_error err = {PM_OK, ""};
    if (bench_run(&settings, &document, &err) != PM_OK)
        return cli_report("bench", &err);
    return finish(&o, document, exit_status(document), bench_print);
}
