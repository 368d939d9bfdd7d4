/* `pumice synth`: a GGUF file in the shape of a known model with random weights, for benchmarks of any engine. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "options.h"
#include "pumice/synth.h"
#include "terminal.h"
#include "text.h"
#include "weight_types.h"

typedef struct synth_options {
    const char *shape, *type, *output;
    cli_seed seed;
    int list, json, quiet;
} synth_options;

#define FIELD(member) offsetof(synth_options, member)

static const cli_option rows[] = {
    {.name = "shape",
     .letter = 's',
     .kind = CLI_TEXT,
     .offset = FIELD(shape),
     .value_name = "NAME",
     .help = "whose shape: smollm2-135m, llama-8b, bert-base, t5-small ... (--list shows all)"},
    {.name = "type",
     .kind = CLI_TEXT,
     .offset = FIELD(type),
     .value_name = "TYPE",
     .help = "weight type of the matrices (default: Q4_0); the output matrix is Q6_K where the others get fewer "
             "bits, as "
             "`pumice convert` does"},
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     .offset = FIELD(output),
     .value_name = "FILE",
     .help = "the GGUF file to write"},
    {.name = "seed",
     .kind = CLI_SEED,
     .offset = FIELD(seed),
     .value_name = "N",
     .help = "the same seed gives the same file (default: 1)"},
    {.name = "list",
     .letter = 'l',
     .kind = CLI_FLAG,
     .offset = FIELD(list),
     .help = "show the shapes, and write nothing"},
    {.name = "json",
     .letter = 'j',
     .kind = CLI_FLAG,
     .offset = FIELD(json),
     .help = "--list as one JSON document"},
    {.name = "quiet", .letter = 'q', .kind = CLI_FLAG, .offset = FIELD(quiet), .help = "no progress, no summary"},
};

static int list_shapes(int as_json)
{
    size_t n;
    const pm_synth_shape *shapes = pm_synth_shapes(&n);
    if (as_json) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(
                list, json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:b}", "name", shapes[i].name,
                                "architecture", shapes[i].architecture, "n_vocab", shapes[i].n_vocab, "n_ctx",
                                shapes[i].n_ctx, "n_embd", shapes[i].n_embd, "n_layers", shapes[i].n_layers,
                                "n_heads", shapes[i].n_heads, "n_kv_heads", shapes[i].n_kv_heads, "head_dim",
                                shapes[i].head_dim, "n_ff", shapes[i].n_ff, "tied", shapes[i].tied));
        return cli_print_json("synth", list);
    }
    printf("%-16s %-6s %6s %6s %8s %6s %6s   %s\n", "shape", "family", "layers", "width", "heads", "ff", "vocab",
           "Q4_0");
    for (size_t i = 0; i < n; i++) {
        char size[32], heads[16];
        uint64_t bytes = 0;
        pm_synth_size(shapes[i].name, PM_TYPE_Q4_0, &bytes, NULL);
        snprintf(heads, sizeof heads, "%d/%d", shapes[i].n_heads, shapes[i].n_kv_heads);
        printf("%-16s %-6s %6d %6d %8s %6d %6d   %s\n", shapes[i].name, shapes[i].architecture, shapes[i].n_layers,
               shapes[i].n_embd, heads, shapes[i].n_ff, shapes[i].n_vocab,
               cli_format_bytes((double)bytes, size, sizeof size));
    }
    return CLI_OK;
}

int cmd_synth(int argc, char **argv)
{
    synth_options options = {0};
    const cli_group group = {"Options", rows, CLI_COUNT(rows), &options};
    const cli_spec spec = {
        .command = "synth",
        .synopsis = "--shape NAME [--type TYPE] -o FILE.gguf",
        .about = "Writes a model in the shape of a known one with random weights: it says nothing of sense at the "
                 "speed of\n"
                 "the real one. `pumice bench --shape` measures the same without a file; other programs that read "
                 "GGUF\n"
                 "load it, too.",
        .examples = "pumice synth --list\n"
                    "pumice synth --shape tinyllama-1.1b --type Q8_0 -o tiny-q8_0.gguf",
        .groups = &group,
        .n_groups = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (options.list)
        return list_shapes(options.json);
    pm_type type = PM_TYPE_Q4_0;
    char known[128];
    if (!options.shape)
        return cli_usage(&spec, "which shape? `pumice synth --list` shows them");
    if (options.type && !cli_weight_type(options.type, &type))
        return cli_usage(&spec, "there is no weight type '%s'; there are %s", options.type,
                         cli_weight_type_names(known, sizeof known));
    if (!options.output)
        return cli_usage(&spec, "where to? Give the file's name with -o");
    cli_progress progress = {.hidden = options.quiet};
    pm_error err = {PM_OK, ""};
    uint64_t bytes = 0, seed = options.seed.given ? options.seed.value : 1;
    cli_catch_interrupts();
    pm_status result =
        pm_synth_write(options.shape, type, seed, options.output, cli_progress_callback, &progress, &err);
    cli_progress_clear(&progress);
    if (result != PM_OK)
        return cli_report("synth", &err);
    char size[32];
    pm_synth_size(options.shape, type, &bytes, NULL);
    if (!options.quiet)
        fprintf(stderr, "%s: %s of random weights\n", options.output,
                cli_format_bytes((double)bytes, size, sizeof size));
    return CLI_OK;
}
