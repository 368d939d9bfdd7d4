/* `pumice embed`: texts as vectors. What a directory of sentence-transformers says of pooling and length is followed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdbool.h>

#include "command.h"
#include "lines.h"
#include "open_model.h"
#include "options.h"
#include "pumice/encode.h"

enum { FORMAT_TEXT, FORMAT_JSON, FORMAT_BINARY };
enum { POOLING_AUTO }; /* then pm_pooling + 1 */
enum { BATCH = 64 };   /* texts between two looks at the progress bar */

typedef struct embed_options {
    cli_engine_options engine;
    const char *file;
    int pooling, as_they_are, format, max_length, special;
} embed_options;

#define FIELD(member) offsetof(embed_options, member)

static const char *const pooling_names[] = {"auto", "mean", "cls", "last", NULL};
static const char *const format_names[] = {"text", "json", "binary", NULL};

static const cli_option rows[] = {
    {.name = "file", .letter = 'f', .kind = CLI_TEXT, .offset = FIELD(file), .value_name = "FILE",
     .help = "embed each line of a file (- is standard input)"},
    {.name = "pooling", .kind = CLI_CHOICE, .offset = FIELD(pooling), .value_name = "HOW", .choices = pooling_names,
     .help = "what becomes of a text's hidden states: their mean, the first one (cls), the last one (default: auto, "
             "what the model's directory says, or mean; of decoder-only models last)"},
    {.name = "no-normalize", .kind = CLI_FLAG, .offset = FIELD(as_they_are),
     .help = "leave the vectors as long as they are; without it their length is 1"},
    {.name = "max-length", .kind = CLI_INT, .offset = FIELD(max_length), .value_name = "N", .min = 3, .max = 1 << 24,
     .help = "cut texts to so many tokens, special ones counted (default: what the model takes)"},
    {.name = "parse-special", .kind = CLI_FLAG, .offset = FIELD(special),
     .help = "take special tokens that are written out in the texts for what they are"},
    {.name = "format", .kind = CLI_CHOICE, .offset = FIELD(format), .value_name = "FORMAT", .choices = format_names,
     .help = "text: a line of numbers each; json: one document; binary: F32, little-endian, one after the other"},
};

typedef struct embedding_run {
    cli_engine engine;
    const embed_options *options;
    pm_pooling pooling;
    size_t max_length, n_embd, n_cut;
    json_t *list; /* of JSON output */
} embedding_run;

/* ---- What the model's directory says ---- */

static json_t *read_json(const char *folder, const char *name)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof path ? json_load_file(path, 0, NULL) : NULL;
}

static void choose_pooling(embedding_run *run)
{
    const char *folder = pm_gguf_path(pm_model_file(run->engine.model));
    bool decodes = pm_model_get_info(run->engine.model)->shape == PM_SHAPE_DECODER_ONLY;
    run->pooling = decodes ? PM_POOLING_LAST : PM_POOLING_MEAN;
    json_t *config = read_json(folder, "1_Pooling/config.json");
    if (json_is_true(json_object_get(config, "pooling_mode_cls_token")))
        run->pooling = PM_POOLING_CLS;
    if (json_is_true(json_object_get(config, "pooling_mode_mean_tokens")))
        run->pooling = PM_POOLING_MEAN;
    if (json_is_true(json_object_get(config, "pooling_mode_lasttoken")))
        run->pooling = PM_POOLING_LAST;
    json_decref(config);
    if (run->options->pooling != POOLING_AUTO)
        run->pooling = (pm_pooling)(run->options->pooling - 1);
}

static void choose_length(embedding_run *run)
{
    json_t *config = read_json(pm_gguf_path(pm_model_file(run->engine.model)), "sentence_bert_config.json");
    json_int_t said = json_integer_value(json_object_get(config, "max_seq_length"));
    json_decref(config);
    run->max_length = (size_t)pm_session_max_sequence(run->engine.session);
    if (said > 2 && (size_t)said < run->max_length)
        run->max_length = (size_t)said;
    if (run->options->max_length && (size_t)run->options->max_length < run->max_length)
        run->max_length = (size_t)run->options->max_length;
}

/* ---- Embedding ---- */

static void print_text(const float *vector, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("%s%.9g", i ? " " : "", (double)vector[i]);
    putchar('\n');
}

static void put(embedding_run *run, const float *vectors, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const float *vector = vectors + k * run->n_embd;
        if (run->options->format == FORMAT_TEXT)
            print_text(vector, run->n_embd);
        if (run->options->format == FORMAT_BINARY)
            fwrite(vector, sizeof *vector, run->n_embd, stdout);
        if (run->options->format == FORMAT_JSON) {
            json_t *numbers = json_array();
            for (size_t i = 0; i < run->n_embd; i++)
                json_array_append_new(numbers, json_real((double)vector[i]));
            json_array_append_new(run->list, numbers);
        }
    }
}

static pm_status embed_batch(embedding_run *run, const struct cli_line *lines, size_t n, pm_error *err)
{
    pm_batch_text texts[BATCH];
    pm_token_sequence sequences[BATCH];
    pm_token_batch batch = {0};
    const pm_batch_options how = {.flags = PM_ENCODE_ADD_SPECIAL |
                                           (run->options->special ? PM_ENCODE_PARSE_SPECIAL : 0u),
                                  .max_tokens = run->max_length};
    for (size_t i = 0; i < n; i++)
        texts[i] = (pm_batch_text){.text = lines[i].data, .size = lines[i].size};
    float *vectors = malloc(n * run->n_embd * sizeof *vectors);
    if (!vectors)
        return cli_fail(err, PM_ERR_MEMORY, "no memory for %zu embeddings", n);
    pm_status status = pm_tokenizer_encode_batch(run->engine.tokenizer, texts, n, &how, &batch, err);
    for (size_t i = 0; i < n && status == PM_OK; i++) {
        sequences[i] = (pm_token_sequence){.tokens = batch.ids + batch.starts[i],
                                           .n = batch.starts[i + 1] - batch.starts[i]};
        run->n_cut += batch.n_truncated[i] > 0;
    }
    if (status == PM_OK)
        status = pm_session_embed(run->engine.session, sequences, n, run->pooling, !run->options->as_they_are, vectors,
                                  err);
    if (status == PM_OK)
        put(run, vectors, n);
    pm_token_batch_free(&batch);
    free(vectors);
    return status;
}

static int embed_lines(embedding_run *run, const cli_lines *lines)
{
    pm_error err = {0};
    pm_status status = PM_OK;
    choose_pooling(run);
    choose_length(run);
    run->n_embd = (size_t)pm_model_get_info(run->engine.model)->n_embd;
    if (run->options->format == FORMAT_JSON)
        run->list = json_array();
    for (size_t done = 0, n; done < lines->n && status == PM_OK && !ferror(stdout); done += n) {
        n = lines->n - done < BATCH ? lines->n - done : BATCH;
        if (lines->n > BATCH)
            cli_progress_show(&run->engine.progress, "embedding", done, lines->n);
        status = embed_batch(run, lines->items + done, n, &err);
    }
    cli_progress_clear(&run->engine.progress);
    if (status != PM_OK) {
        json_decref(run->list);
        return cli_report("embed", &err);
    }
    if (run->n_cut && !run->options->engine.quiet)
        fprintf(stderr, "pumice embed: %zu of %zu texts were cut to %zu tokens\n", run->n_cut, lines->n, run->max_length);
    if (!run->list)
        return CLI_OK;
    const char *path = pm_gguf_path(pm_model_file(run->engine.model));
    return cli_print_json("embed", json_pack("{s:o, s:s, s:I, s:s, s:o}", "model", cli_json_text(path, strlen(path)),
                                             "device", pm_device_get_info(run->engine.device)->name, "dimensions",
                                             (json_int_t)run->n_embd, "pooling", pooling_names[run->pooling + 1],
                                             "embeddings", run->list));
}

int cmd_embed(int argc, char **argv)
{
    embed_options options = {0};
    const cli_group groups[] = {
        {"Options", rows, CLI_COUNT(rows), &options},
        cli_model_group(&options.engine),
        cli_device_group(&options.engine),
        cli_session_group(&options.engine),
    };
    const cli_spec spec = {
        .command = "embed",
        .synopsis = "[OPTION]... [TEXT]...",
        .about = "Turns texts into vectors whose directions say what the texts are about. Reads standard input, a text a\n"
                 "line, where none is given. Texts of unequal length share passes without padding.",
        .examples = "  pumice embed --model all-MiniLM-L6-v2 \"A cat sits on the mat.\" \"The weather is fine.\"\n"
                    "  pumice embed --model all-MiniLM-L6-v2 --file sentences.txt --format binary > vectors.f32",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = -1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (n_arguments && options.file)
        return cli_usage(&spec, "texts and --file: which?");
    if (options.format == FORMAT_BINARY && cli_is_terminal(stdout))
        return cli_usage(&spec, "binary numbers are not for a terminal: send them to a file");
    cli_lines lines;
    pm_error err = {0};
    embedding_run run = {.options = &options};
    status = cli_read_lines(n_arguments, argv, options.file, &lines, &err) == PM_OK ? CLI_OK : cli_report("embed", &err);
    if (status == CLI_OK)
        status = cli_engine_open(&run.engine, "embed", &options.engine);
    if (status == CLI_OK)
        status = cli_engine_open_tokenizer(&run.engine);
    if (status == CLI_OK)
        status = cli_engine_start(&run.engine);
    if (status == CLI_OK)
        status = embed_lines(&run, &lines);
    cli_lines_free(&lines);
    return cli_engine_close(&run.engine, status);
}
