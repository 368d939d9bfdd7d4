/* `pumice convert`: a Hugging Face directory or a GGUF file becomes a GGUF file, quantised on the way. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "options.h"
#include "pumice/convert.h"
#include "pumice/tokenizer_gguf.h"
#include "terminal.h"
#include "text.h"

typedef struct convert_options {
    int type, threads, quiet;
    const char *output;
} convert_options;

#define FIELD(member) offsetof(convert_options, member)

static const char *const type_names[] = {"keep", "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K",
                                         "Q6_K", NULL};
static const pm_type types[] = {PM_TYPE_F32,  PM_TYPE_F32,  PM_TYPE_F16,  PM_TYPE_BF16, PM_TYPE_Q8_0, PM_TYPE_Q4_0,
                                PM_TYPE_Q4_1, PM_TYPE_Q5_0, PM_TYPE_Q5_1, PM_TYPE_Q4_K, PM_TYPE_Q5_K, PM_TYPE_Q6_K};

static const cli_option rows[] = {
    {.name = "output", .letter = 'o', .kind = CLI_TEXT, .offset = FIELD(output), .value_name = "FILE",
     .help = "the GGUF file to write; one of that name is replaced when the new one is whole"},
    {.name = "type", .kind = CLI_CHOICE, .offset = FIELD(type), .choices = type_names,
     .help = "of the matrices (default: keep, as they are); vectors are F32, and an output matrix is Q6_K where the others "
             "get fewer bits"},
    {.name = "threads", .letter = 't', .kind = CLI_INT, .offset = FIELD(threads), .value_name = "N", .min = 1, .max = 256,
     .help = "threads (default: all cores); the result does not depend on it"},
    {.name = "quiet", .letter = 'q', .kind = CLI_FLAG, .offset = FIELD(quiet), .help = "no progress, no summary"},
};

typedef struct convert_job {
    const char *input;
    cli_progress progress;
    int has_tokenizer;
    pm_tokenizer_gguf tokenizer;
} convert_job;

/* The vocabulary of a directory; a GGUF file brings its own. A directory without one gives a file without one. */
static pm_status add_vocabulary(void *user, const pm_gguf *model, pm_gguf_writer *writer, pm_error *err)
{
    convert_job *job = user;
    const pm_gguf_tensor *embeddings = pm_gguf_find_tensor(model, "token_embd.weight");
    size_t n_rows = embeddings && embeddings->dim[1] > 0 ? (size_t)embeddings->dim[1] : 0;
    cli_progress_show(&job->progress, "reading the tokenizer", 0, 0);
    pm_status status = pm_tokenizer_write_gguf(job->input, n_rows, NULL, writer, &job->tokenizer, err);
    job->has_tokenizer = status == PM_OK;
    return status == PM_ERR_NOT_FOUND ? PM_OK : status;
}

/* What a user should know of the tokenizer before the file is given to others. */
static void warn_of_tokenizer(const convert_job *job)
{
    const pm_tokenizer_gguf *t = &job->tokenizer;
    if (!job->has_tokenizer)
        cli_error("convert", "warning: there is no tokenizer in %s, so there is none in the file", job->input);
    else if (!t->is_exact)
        cli_error("convert", "warning: GGUF's keys cannot say how this tokenizer works, %s; %s", t->difference,
                  t->has_json ? "its tokenizer.json is in the file whole, and pumice reads that, but other programs may "
                                "tokenize otherwise"
                              : "with the file some texts will become other tokens than with the directory");
    if (t->n_cut > 0)
        cli_error("convert", "warning: %zu tokens that the model has no embeddings for are left out", t->n_cut);
}

static void summarise(const char *output, const convert_job *job, const pm_convert_result *result)
{
    char before[32], after[32];
    const char *separator = "";
    fprintf(stderr, "%s: %s of weights from %s; ", output,
            cli_format_bytes((double)result->bytes_after, after, sizeof after),
            cli_format_bytes((double)result->bytes_before, before, sizeof before));
    for (int type = 0; type < PM_TYPE_COUNT; type++)
        if (result->n_tensors[type] > 0) {
            fprintf(stderr, "%s%zu %s", separator, result->n_tensors[type], pm_type_name((pm_type)type));
            separator = ", ";
        }
    if (result->n_fallbacks > 0)
        fprintf(stderr, " (%zu with rows that are no whole blocks of the type asked for)", result->n_fallbacks);
    if (job->has_tokenizer && job->tokenizer.n_tokens > 0)
        fprintf(stderr, "; tokenizer %s%s%s, %zu tokens", job->tokenizer.model, job->tokenizer.pre[0] ? " " : "",
                job->tokenizer.pre, job->tokenizer.n_tokens);
    fputc('\n', stderr);
}

static int convert(const char *input, const convert_options *options)
{
    struct stat info;
    pm_error err = {0};
    pm_convert_result result;
    convert_job job = {.input = input, .progress = {.hidden = options->quiet}, .has_tokenizer = 1};
    int is_directory = stat(input, &info) == 0 && S_ISDIR(info.st_mode);
    const pm_convert_options settings = {
        .type = types[options->type],
        .keeps_types = options->type == 0,
        .n_threads = options->threads,
        .describe = is_directory ? add_vocabulary : NULL,
        .describe_user = &job,
        .progress = cli_progress_callback,
        .user = &job.progress,
    };
    cli_catch_interrupts();
    pm_status status = pm_convert(input, options->output, &settings, &result, &err);
    cli_progress_clear(&job.progress);
    if (status != PM_OK)
        return cli_report("convert", &err);
    if (is_directory)
        warn_of_tokenizer(&job);
    if (result.n_requantised > 0)
        cli_error("convert", "warning: %zu tensors were quantised before, which costs accuracy twice; better begin with F16 or "
                             "more", result.n_requantised);
    if (!options->quiet)
        summarise(options->output, &job, &result);
    return CLI_OK;
}

int cmd_convert(int argc, char **argv)
{
    convert_options options = {0};
    const cli_group group = {"Options", rows, CLI_COUNT(rows), &options};
    const cli_spec spec = {
        .command = "convert",
        .synopsis = "[OPTION]... MODEL -o FILE.gguf",
        .about = "Writes a GGUF file from a model: a directory as Hugging Face keeps them (config.json, safetensors,\n"
                 "tokenizer.json), or another GGUF file. With --type its matrices are quantised on the way. The file loads\n"
                 "in other programs that read GGUF, too.",
        .examples = "  pumice convert SmolLM2-135M -o smollm2.gguf\n"
                    "  pumice convert SmolLM2-135M -o smollm2-q8_0.gguf --type Q8_0\n"
                    "  pumice convert llama-f16.gguf -o llama-q4_k.gguf --type Q4_K",
        .groups = &group,
        .n_groups = 1,
        .max_arguments = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (n_arguments == 0)
        return cli_usage(&spec, "which model?");
    if (!options.output)
        return cli_usage(&spec, "where to? Give the file's name with -o");
    return convert(argv[0], &options);
}
