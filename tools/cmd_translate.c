/* `pumice translate`: an encoder-decoder model's target for each text, by beam search. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "lines.h"
#include "open_model.h"
#include "options.h"
#include "pumice/encode.h"
#include "pumice/search.h"

typedef struct translate_options {
    cli_engine_options engine;
    const char *file, *prefix;
    int n_best, max_tokens, early_stopping, json;
    float length_penalty;
} translate_options;

#define FIELD(member) offsetof(translate_options, member)

static const cli_option rows[] = {
    {.name = "file", .letter = 'f', .kind = CLI_TEXT, .offset = FIELD(file), .value_name = "FILE",
     .help = "translate each line of a file (- is standard input)"},
    {.name = "prefix", .kind = CLI_TEXT, .offset = FIELD(prefix), .value_name = "TEXT",
     .help = "put this before each text, as T5 wants: \"translate English to German: \""},
    {.name = "beams", .letter = 'b', .kind = CLI_INT, .offset = FIELD(engine.n_beams), .value_name = "N", .min = 1,
     .max = 64, .help = "hypotheses that the search keeps; 1: greedy (default: 4)"},
    {.name = "length-penalty", .kind = CLI_FLOAT, .offset = FIELD(length_penalty), .value_name = "X", .min = 0.001,
     .max = 10, .help = "scores are log P / length^X: more favours longer texts (default: 1)"},
    {.name = "early-stopping", .kind = CLI_FLAG, .offset = FIELD(early_stopping),
     .help = "end the search when as many hypotheses as beams are finished"},
    {.name = "n-best", .kind = CLI_INT, .offset = FIELD(n_best), .value_name = "N", .min = 1, .max = 64,
     .help = "write so many hypotheses of each text, at most one a beam (default: 1)"},
    {.name = "max-tokens", .letter = 'n', .kind = CLI_INT, .offset = FIELD(max_tokens), .value_name = "N", .min = 1,
     .max = 1 << 24, .help = "longest target (default: until the model ends it or the context is full)"},
    {.name = "json", .letter = 'j', .kind = CLI_FLAG, .offset = FIELD(json),
     .help = "write one JSON document, with scores"},
};

static pm_status encode_source(const cli_engine *engine, const translate_options *options, const struct cli_line *line,
                               pm_tokens *out, pm_error *err)
{
    const char *prefix = options->prefix ? options->prefix : "";
    size_t n = strlen(prefix), size = n + line->size;
    char *text = malloc(size + 1);
    if (!text)
        return cli_fail(err, PM_ERR_MEMORY, "no memory for a text of %zu bytes", size);
    memcpy(text, prefix, n);
    memcpy(text + n, line->data, line->size);
    pm_status status = pm_tokenizer_encode(engine->tokenizer, text, size, PM_ENCODE_ADD_SPECIAL, out, err);
    free(text);
    return status;
}

static pm_status put(const cli_engine *engine, const translate_options *options, const pm_hypothesis *h, json_t *list,
                     pm_error *err)
{
    char *text;
    size_t size;
    pm_status status = pm_tokenizer_decode(engine->tokenizer, h->tokens, h->n, PM_DECODE_SKIP_SPECIAL, &text, &size, err);
    if (status != PM_OK)
        return status;
    if (options->json) {
        json_array_append_new(list, json_pack("{s:o, s:f, s:f, s:I}", "text", cli_json_text(text, size), "score",
                                              h->score, "log_prob", h->log_prob, "n_tokens", (json_int_t)h->n));
    } else {
        fwrite(text, 1, size, stdout);
        putchar('\n');
        fflush(stdout);
    }
    pm_text_free(text);
    return PM_OK;
}

static pm_status translate_line(cli_engine *engine, const translate_options *options, const struct cli_line *line,
                                json_t *list, pm_error *err)
{
    int32_t start = pm_model_get_info(engine->model)->start_token, eos = pm_tokenizer_eos(engine->tokenizer);
    const pm_beam_options search = {
        .length_penalty = options->length_penalty,
        .early_stopping = options->early_stopping != 0,
        .max_tokens = options->max_tokens,
        .ends = &eos,
        .n_ends = eos != PM_NO_TOKEN,
        .banned = &start, /* padding, where it is not what ends a text */
        .n_banned = start != eos,
    };
    pm_tokens source = {0};
    pm_hypothesis *found = NULL;
    size_t n = 0;
    pm_status status = encode_source(engine, options, line, &source, err);
    if (status == PM_OK && source.n == 0) { /* nothing becomes nothing, and lines stay beside their translations */
        const pm_hypothesis nothing = {0};
        pm_tokens_free(&source);
        return put(engine, options, &nothing, list, err);
    }
    if (status == PM_OK)
        status = pm_session_set_source(engine->session, source.ids, source.n, NULL, err);
    if (status == PM_OK)
        status = pm_session_beam_search(engine->session, &start, 1, &search, &found, &n, err);
    for (size_t i = 0; i < n && i < (size_t)options->n_best && status == PM_OK; i++)
        status = put(engine, options, &found[i], list, err);
    pm_hypotheses_free(found, n);
    pm_tokens_free(&source);
    return status;
}

static int translate_lines(cli_engine *engine, const translate_options *options, const cli_lines *lines)
{
    pm_error err = {0};
    pm_status status = PM_OK;
    json_t *all = options->json ? json_array() : NULL;
    size_t n_done = 0;
    for (size_t i = 0; i < lines->n && status == PM_OK && !ferror(stdout); i++) {
        n_done = i + 1;
        json_t *list = options->json ? json_array() : NULL;
        if (lines->n > 1 && (options->json || !cli_is_terminal(stdout)))
            cli_progress_show(&engine->progress, "translating", i, lines->n);
        status = translate_line(engine, options, &lines->items[i], list, &err);
        if (list)
            json_array_append_new(all, list);
    }
    cli_progress_clear(&engine->progress);
    if (status != PM_OK) {
        json_decref(all);
        if (lines->n > 1 && !cli_interrupted())
            return cli_error("translate", "text %zu of %zu: %s", n_done, lines->n, err.message);
        return cli_report("translate", &err);
    }
    return all ? cli_print_json("translate", json_pack("{s:o}", "translations", all)) : CLI_OK;
}

int cmd_translate(int argc, char **argv)
{
    translate_options options = {.engine.n_beams = 4, .n_best = 1};
    const cli_group groups[] = {
        {"Options", rows, CLI_COUNT(rows), &options},
        cli_model_group(&options.engine),
        cli_device_group(&options.engine),
        cli_session_group(&options.engine),
    };
    const cli_spec spec = {
        .command = "translate",
        .synopsis = "[OPTION]... [TEXT]...",
        .about = "Gives each text to an encoder-decoder model (T5, BART, Marian, the original Transformer) and writes the\n"
                 "target that a beam search finds, a line each. Reads standard input, a text a line, where none is given.",
        .examples = "  pumice translate --model t5-small --prefix \"translate English to German: \" \"The house is small.\"\n"
                    "  pumice translate --model opus --file lines.txt --beams 6 > translated.txt",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = -1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (n_arguments && options.file)
        return cli_usage(&spec, "texts and --file: which?");
    cli_lines lines;
    pm_error err = {0};
    cli_engine engine = {0};
    status =
        cli_read_lines(n_arguments, argv, options.file, &lines, &err) == PM_OK ? CLI_OK : cli_report("translate", &err);
    if (status == CLI_OK)
        status = cli_engine_open(&engine, "translate", &options.engine);
    if (status == CLI_OK && pm_model_get_info(engine.model)->shape != PM_SHAPE_ENCODER_DECODER)
        status = cli_error("translate", "a model of architecture '%s' has no encoder and decoder to translate with",
                           pm_model_get_info(engine.model)->architecture);
    if (status == CLI_OK)
        status = cli_engine_open_tokenizer(&engine);
    if (status == CLI_OK)
        status = cli_engine_start(&engine);
    if (status == CLI_OK)
        status = translate_lines(&engine, &options, &lines);
    cli_lines_free(&lines);
    return cli_engine_close(&engine, status);
}
