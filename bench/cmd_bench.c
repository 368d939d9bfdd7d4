/* `pumice bench`: one model on several devices, beside the ceilings of each. The measuring is in bench_device.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "command.h"
#include "known_models.h"
#include "open_model.h"
#include "options.h"
#include "report.h"
#include "terminal.h"
#include "text.h"
#include "weight_types.h"

typedef struct bench_options {
    const char *model, *shape, *type, *prompts, *depths, *batches, *output;
    cli_list devices;
    int decode, repeats, threads, kv_type, steps, tier, tuning, verify, budget, limit, no_cold, quick, ops, json;
    int tokenizers, report;
    cli_list texts;
} bench_options;

#define AT(field) offsetof(bench_options, field)
static const cli_option rows[] = {
    {.name = "model",
     .letter = 'm',
     .kind = CLI_TEXT,
     .offset = AT(model),
     .value_name = "FILE",
     .help = "GGUF file or directory to measure, or the name of a model that `pumice pull` has got (default: "
             "SmolLM2-135M-Instruct)"},
    {.name = "shape",
     .letter = 's',
     .kind = CLI_TEXT,
     .offset = AT(shape),
     .value_name = "NAME",
     .help = "instead of a file, random weights in the shape of a known model: smollm2-135m, llama-8b, bert-base, "
             "t5-small "
             "... (`pumice synth --list` shows all)"},
    {.name = "type",
     .kind = CLI_TEXT,
     .offset = AT(type),
     .value_name = "TYPE",
     .help = "weight type of --shape (default: Q4_0)"},
    {.name = "device",
     .letter = 'd',
     .kind = CLI_LIST,
     .offset = AT(devices),
     .value_name = "NAME",
     .help = "device to measure; may be given several times (default: all but the reference)"},
    {.name = "quick",
     .letter = 'q',
     .kind = CLI_FLAG,
     .offset = AT(quick),
     .help = "a first look: a prompt of 64, 32 tokens decoded, once each, one start, 10 seconds a device"},
    {.name = "prompts",
     .letter = 'p',
     .kind = CLI_TEXT,
     .offset = AT(prompts),
     .value_name = "N,N,...",
     .help = "lengths of prompts, or of an encoder's sequences, in tokens (default: 64,512,2048)"},
    {.name = "depths",
     .kind = CLI_TEXT,
     .offset = AT(depths),
     .value_name = "N,N,...",
     .help = "tokens already there when decoding begins (default: 0,1024,4096)"},
    {.name = "batches",
     .letter = 'b',
     .kind = CLI_TEXT,
     .offset = AT(batches),
     .value_name = "N,N,...",
     .help = "sequences decoded, or encoded, in one pass (default: 1,4,16)"},
    {.name = "decode",
     .letter = 'n',
     .kind = CLI_INT,
     .offset = AT(decode),
     .value_name = "N",
     .help = "tokens decoded one by one (default: 128)",
     .min = 0,
     .max = 1 << 20},
    {.name = "repeats",
     .letter = 'r',
     .kind = CLI_INT,
     .offset = AT(repeats),
     .value_name = "N",
     .help = "how often each is measured; medians are shown (default: 3)",
     .min = 1,
     .max = BENCH_MAX_REPEATS},
    {.name = "threads",
     .letter = 't',
     .kind = CLI_INT,
     .offset = AT(threads),
     .value_name = "N",
     .help = "threads of the cpu device (default: all cores)",
     .min = 0,
     .max = 64},
    {.name = "kv-type",
     .kind = CLI_CHOICE,
     .offset = AT(kv_type),
     .choices = cli_kv_type_names,
     .help = "what KV caches are kept in (default: F16)"},
    {.name = "steps",
     .kind = CLI_INT,
     .offset = AT(steps),
     .value_name = "N",
     .help = "most tokens that a device decodes by itself in one submission (default: as many as take 20 ms)",
     .min = 0,
     .max = PM_MOST_STEPS},
    {.name = "tier",
     .kind = CLI_CHOICE,
     .offset = AT(tier),
     .value_name = "N",
     .choices = cli_tier_names,
     .help = "use Vulkan devices as if they had no more than this capability tier"},
    {.name = "tuning",
     .kind = CLI_CHOICE,
     .offset = AT(tuning),
     .choices = cli_tuning_names,
     .help = "how products are cut on a GPU: as measured once (the default), by rule, or measured anew"},
    {.name = "verify",
     .kind = CLI_INT,
     .offset = AT(verify),
     .value_name = "N",
     .help = "compare the logits of N tokens with the reference backend (default: 4 to 40 by the model's size; 0: "
             "not)",
     .min = 0,
     .max = 4096},
    {.name = "no-cold",
     .kind = CLI_FLAG,
     .offset = AT(no_cold),
     .help = "leave out the first start with empty caches of pipelines; use the user's caches"},
    {.name = "budget",
     .kind = CLI_INT,
     .offset = AT(budget),
     .value_name = "SECONDS",
     .help = "measure a device no longer than about this; what does not fit is named (default: 45; 0: everything)",
     .min = 0,
     .max = 1 << 20},
    {.name = "limit",
     .kind = CLI_INT,
     .offset = AT(limit),
     .value_name = "SECONDS",
     .help = "end a process that hangs (default: 1800; 0: never)",
     .min = 0,
     .max = 1 << 20},
    {.name = "ops",
     .kind = CLI_FLAG,
     .offset = AT(ops),
     .help = "show each op's time, memory traffic, arithmetic and share of what the device can do (m: memory, a: "
             "arithmetic)"},
    {.name = "report",
     .kind = CLI_FLAG,
     .offset = AT(report),
     .help =
         "measure nothing: join the results in the files that are named into one HTML page, which --output names"},
    {.name = "tokenizers",
     .kind = CLI_FLAG,
     .offset = AT(tokenizers),
     .help = "measure tokenizers instead of devices: those of the files that are named (default: the model)"},
    {.name = "text",
     .kind = CLI_LIST,
     .offset = AT(texts),
     .value_name = "FILE",
     .help = "text that --tokenizers encodes; may be given several times (default: made of the vocabulary)"},
    {.name = "json", .letter = 'j', .kind = CLI_FLAG, .offset = AT(json), .help = "write one JSON document"},
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     .offset = AT(output),
     .value_name = "FILE",
     .help = "also write the JSON document to FILE; with --report, the page"},
};

static int parse_sizes(const cli_spec *spec, const char *option, const char *text, long least, bench_sizes *sizes)
{
    sizes->n = 0;
    for (const char *at = text; *at;) {
        char *end;
        long n = strtol(at, &end, 10);
        if (end == at || n < least || n > 1 << 20 || (*end && (*end != ',' || !end[1])) ||
            sizes->n == BENCH_MAX_SIZES || (sizes->n > 0 && n <= sizes->list[sizes->n - 1]))
            return cli_usage(spec, "--%s takes up to %d ascending numbers such as 64,512, not '%s'", option,
                             BENCH_MAX_SIZES, text);
        sizes->list[sizes->n++] = (int32_t)n;
        at = *end ? end + 1 : end;
    }
    return CLI_OK;
}

/* Random weights in an open file, which stays open to the end of the process. */
static int synthetic_model(const char *shape, pm_type type, char *path, size_t capacity)
{
    char below[4096];
    if (!cli_xdg_path("XDG_CACHE_HOME", ".cache", "pumice/bench", below, sizeof below) ||
        !cli_make_folder_of(below))
        snprintf(below, sizeof below, "/tmp/pumice");
    *strrchr(below, '/') = '\0';
    cli_progress progress = {0};
    pm_error err = {PM_OK, ""};
    int fd = -1;
    pm_status status = bench_synthesize(shape, type, below, cli_progress_callback, &progress, &fd, &err);
    cli_progress_clear(&progress);
    snprintf(path, capacity, "/dev/fd/%d", fd);
    return status == PM_OK ? CLI_OK : cli_report("bench", &err);
}

static int choose_model(const cli_spec *spec, const bench_options *o, char *path, size_t capacity)
{
    if (o->shape) {
        pm_type type = PM_TYPE_Q4_0;
        char known[128];
        if (o->model)
            return cli_usage(spec, "--model and --shape exclude each other");
        if (o->type && !cli_weight_type(o->type, &type))
            return cli_usage(spec, "--type: there is no weight type '%s'; there are %s", o->type,
                             cli_weight_type_names(known, sizeof known));
        return synthetic_model(o->shape, type, path, capacity);
    }
    if (o->type)
        return cli_usage(spec, "--type goes with --shape");
    const cli_engine_options chosen = {.model = o->model};
    const char *found = cli_choose_model("bench", &chosen, path, capacity);
    if (found && found != path)
        snprintf(path, capacity, "%s", found);
    return found ? CLI_OK : CLI_FAILURE;
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

/* Whether the devices that are named exist, before anything takes its time. */
static int known_devices(const bench_settings *settings)
{
    int status = CLI_OK;
    fflush(NULL);
    pid_t pid = fork(); /* no driver should be loaded in the process that forks later */
    if (pid == 0) {
        pm_error err = {PM_OK, ""};
        for (size_t i = 0; i < settings->n_devices && status == CLI_OK; i++)
            if (pm_device_find(settings->devices[i], &err) != PM_OK)
                status = cli_report("bench", &err);
        fflush(NULL);
        _exit(status);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return cli_error("bench", "no process to look for the devices");
    return WIFEXITED(status) ? WEXITSTATUS(status)
                             : CLI_OK; /* a driver that crashes is reported when it is used */
}

/* On a terminal one line that changes, else a line each. */
static void show_note(void *user, const char *line)
{
    (void)user;
    if (cli_is_terminal(stderr))
        fprintf(stderr, "\r\033[K%s", line);
    else
        fprintf(stderr, "pumice bench: %s\n", line);
}

static void end_notes(void)
{
    if (cli_is_terminal(stderr))
        fputs("\r\033[K", stderr);
}

/* 1 where a device failed or computes wrongly, so that scripts notice. */
static int exit_status(const json_t *document)
{
    size_t index;
    json_t *device;
    int status = CLI_OK;
    json_array_foreach(json_object_get(document, "devices"), index, device)
    {
        if (json_object_get(device, "error"))
            status = CLI_FAILURE;
        if (json_is_true(json_object_get(json_object_get(device, "verify"), "wrong")))
            status = cli_error("bench", "device %s computes WRONG results: see \"verify\"",
                               json_string_value(json_object_get(device, "name")));
    }
    if (json_object_get(document, "stopped"))
        status = cli_error("bench", "interrupted: this is what was measured until then");
    return status;
}

/* Found out now, not when hours of measuring are to be written. A file that is there keeps what is in it. */
static int try_output(const char *path)
{
    FILE *file = fopen(path, "ab");
    if (!file)
        return cli_error("bench", "%s cannot be written: %s", path, strerror(errno));
    fclose(file);
    return CLI_OK;
}

static int write_document(const char *path, const json_t *document)
{
    if (json_dump_file(document, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0)
        return cli_error("bench", "%s could not be written", path);
    return CLI_OK;
}

static int run_tokenizers(const cli_spec *spec, const bench_options *o, char **files, int n_files)
{
    char path[4096];
    const char *model = path;
    json_t *document;
    pm_error err = {PM_OK, ""};
    bench_tokenizer_settings settings = {.files = (const char *const *)files,
                                         .n_files = (size_t)n_files,
                                         .texts = o->texts.items,
                                         .n_texts = o->texts.n,
                                         .n_repeats = o->repeats,
                                         .n_threads = o->threads,
                                         .note = show_note};
    if (n_files == 0) {
        int status = choose_model(spec, o, path, sizeof path);
        if (status != CLI_OK)
            return status;
        settings.files = &model;
        settings.n_files = 1;
    }
    if (bench_tokenizers(&settings, &document, &err) != PM_OK)
        return cli_report("bench", &err);
    end_notes();
    int status = o->output ? write_document(o->output, document) : CLI_OK;
    if (o->json) {
        int printed = cli_print_json("bench", document);
        return printed != CLI_OK ? printed : status;
    }
    bench_tokenizers_print(document);
    json_decref(document);
    return status;
}

static int choose_sizes(const cli_spec *spec, const bench_options *o, bench_settings *s)
{
    int status = parse_sizes(spec, "prompts",
                             o->prompts ? o->prompts
                             : o->quick ? "64"
                                        : "64,512,2048",
                             1, &s->prompts);
    if (status == CLI_OK)
        status = parse_sizes(spec, "depths",
                             o->depths  ? o->depths
                             : o->quick ? "0"
                                        : "0,1024,4096",
                             0, &s->depths);
    if (status == CLI_OK)
        status = parse_sizes(spec, "batches", o->batches ? o->batches : o->quick ? "1" : "1,4,16", 1, &s->batches);
    return status;
}

static int run_devices(const cli_spec *spec, const bench_options *o)
{
    char path[4096], names[BENCH_MAX_DEVICES][24];
    int quick = o->quick;
    bench_settings settings = {.model_path = path,
                               .n_decode = o->decode >= 0 ? o->decode
                                           : quick        ? 32
                                                          : 128,
                               .n_repeats = o->repeats > 0 ? o->repeats
                                            : quick        ? 1
                                                           : 3,
                               .n_threads = o->threads,
                               .kv_type = (pm_kv_type)o->kv_type,
                               .n_steps = o->steps,
                               .tier = (pm_tier)o->tier,
                               .tuning = (pm_tuning)o->tuning,
                               .n_verify = o->verify,
                               .budget_s = o->budget >= 0 ? o->budget
                                           : quick        ? 10
                                                          : 45,
                               .limit_s = o->limit,
                               .no_cold = (uint8_t)(o->no_cold || quick),
                               .no_ops = (uint8_t)(quick && !o->ops),
                               .note = show_note,
                               .should_stop = cli_should_stop};
    int status = choose_sizes(spec, o, &settings);
    cli_catch_interrupts();
    if (status == CLI_OK)
        status = choose_model(spec, o, path, sizeof path);
    if (status != CLI_OK)
        return status;
    for (size_t i = 0; i < o->devices.n; i++)
        settings.devices[settings.n_devices++] = o->devices.items[i];
    status = settings.n_devices ? known_devices(&settings) : default_devices(&settings, names);
    if (status == CLI_OK && o->output)
        status = try_output(o->output);
    if (status != CLI_OK)
        return status;

    json_t *document;
    pm_error err = {PM_OK, ""};
    if (bench_run(&settings, &document, &err) != PM_OK)
        return cli_report("bench", &err);
    end_notes();
    status = exit_status(document);
    if (o->output && write_document(o->output, document) != CLI_OK)
        status = CLI_FAILURE;
    if (o->json) {
        int printed = cli_print_json("bench", document);
        return printed != CLI_OK ? printed : status;
    }
    bench_print(document, o->ops);
    json_decref(document);
    return status;
}

static int run_report(const cli_spec *spec, const bench_options *o, char **files, int n_files)
{
    pm_error err = {PM_OK, ""};
    if (n_files == 0)
        return cli_usage(spec, "--report joins files that `pumice bench --output` wrote: which?");
    if (!o->output)
        return cli_usage(spec, "where does the page go? Name it with --output (- is standard output)");
    pm_status status = bench_report((const char *const *)files, (size_t)n_files, o->output, &err);
    return status == PM_OK ? CLI_OK : cli_report("bench", &err);
}

int cmd_bench(int argc, char **argv)
{
    bench_options o = {.decode = -1, .budget = -1, .verify = -1, .limit = 1800};
    const cli_group group = {"Options", rows, CLI_COUNT(rows), &o};
    const cli_spec spec = {
        .command = "bench",
        .synopsis = "[OPTION]... [--report FILE.json... | --tokenizers FILE...]",
        .about = "Measures each device: what it can do at most (memory, arithmetic); prompts, decoding at depths, "
                 "encoding;\n"
                 "the time to the first token with cold and with warm caches; memory; each op; and how far its "
                 "logits are\n"
                 "from those of the reference backend. Ctrl-C ends it with what was measured until then.",
        .examples = "pumice bench --quick\n"
                    "pumice bench --shape tinyllama-1.1b --type Q8_0 --device cpu --ops\n"
                    "pumice bench --shape llama-8b --device vulkan:0 --output rtx4070_llama-8b-q4_0.json\n"
                    "pumice bench --report rtx4070*.json rx7600*.json --output report.html\n"
                    "pumice bench --tokenizers tokenizer.json model.gguf --text book.txt",
        .groups = &group,
        .n_groups = 1,
        .max_arguments = -1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (o.report + o.tokenizers > 1)
        return cli_usage(&spec, "--report and --tokenizers exclude each other");
    if (o.tokenizers) {
        o.repeats = o.repeats > 0 ? o.repeats : 3;
        return run_tokenizers(&spec, &o, argv, n_arguments);
    }
    if (o.report)
        return run_report(&spec, &o, argv, n_arguments);
    if (n_arguments > 0)
        return cli_usage(&spec, "unexpected argument '%s'", argv[0]);
    if (o.texts.n > 0)
        return cli_usage(&spec, "--text goes with --tokenizers");
    return run_devices(&spec, &o);
}
