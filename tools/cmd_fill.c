/* `pumice fill`: what a masked language model puts in place of [MASK]; and whether one sentence follows another. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "masks.h"
#include "open_model.h"
#include "options.h"
#include "pumice/encode.h"
#include "text.h"

enum { MOST_MASKS = 64 };

typedef struct fill_options {
    cli_engine_options engine;
    const char *next;
    int top, json;
} fill_options;

#define FIELD(member) offsetof(fill_options, member)

static const cli_option rows[] = {
    {.name = "top", .letter = 'n', .kind = CLI_INT, .offset = FIELD(top), .value_name = "N", .min = 1, .max = 1000,
     .help = "how many tokens to show for each mask (default: 5)"},
    {.name = "next", .kind = CLI_TEXT, .offset = FIELD(next), .value_name = "TEXT",
     .help = "a second text after the first; where there is no mask, how probable it is that it follows the first"},
    {.name = "json", .letter = 'j', .kind = CLI_FLAG, .offset = FIELD(json), .help = "write one JSON document"},
};

int32_t cli_find_mask(const pm_tokenizer *tokenizer, const char **text)
{
    static const char *const spellings[] = {"[MASK]", "<mask>"};
    for (size_t i = 0; i < CLI_COUNT(spellings); i++) {
        int32_t id = pm_tokenizer_find_special(tokenizer, spellings[i]);
        *text = spellings[i];
        if (id != PM_NO_TOKEN)
            return id;
    }
    return PM_NO_TOKEN;
}

/* Where the text spells out the mask: no other special token in it counts. */
static size_t find_masks(const char *text, const char *mask, pm_text_span *spans)
{
    size_t n = 0, size = strlen(mask);
    for (const char *at = text; n < MOST_MASKS && (at = strstr(at, mask)); at += size)
        spans[n++] = (pm_text_span){(size_t)(at - text), (size_t)(at - text) + size};
    return n;
}

static pm_status encode(const cli_engine *engine, const fill_options *options, const char *text, const char *mask,
                        pm_tokens *out, pm_error *err)
{
    pm_text_span spans[MOST_MASKS];
    const pm_encode_request request = {
        .text = text,
        .size = strlen(text),
        .flags = PM_ENCODE_ADD_SPECIAL,
        .special_spans = spans,
        .n_special_spans = mask ? find_masks(text, mask, spans) : 0,
        .pair = options->next,
        .pair_size = options->next ? strlen(options->next) : 0,
        .with_types = 1,
        .max_tokens = (size_t)pm_session_max_sequence(engine->session),
    };
    return pm_tokenizer_encode_request(engine->tokenizer, &request, out, err);
}

static json_t *token_json(const cli_engine *engine, const pm_token_prob *t)
{
    size_t size = 0;
    const char *bytes = pm_tokenizer_token_bytes(engine->tokenizer, t->id, &size);
    return json_pack("{s:i, s:o, s:f}", "id", (int)t->id, "text", cli_json_text(bytes ? bytes : "", size), "probability",
                     exp(t->log_prob));
}

static void print_tokens(const cli_engine *engine, const pm_token_prob *top, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t size = 0;
        const char *bytes = pm_tokenizer_token_bytes(engine->tokenizer, top[i].id, &size);
        printf("%9.6f  ", exp(top[i].log_prob));
        cli_print_escaped(stdout, bytes ? bytes : "", size);
        putchar('\n');
    }
}

/* The masks' rows get their n_top tokens each. */
static int fill_masks(cli_engine *engine, const fill_options *options, const pm_token_sequence *sequence,
                      const int32_t *masks, size_t n_masks)
{
    size_t n_vocab = (size_t)pm_model_get_info(engine->model)->n_vocab, n_top = (size_t)options->top;
    float *logits = malloc(n_masks * n_vocab * sizeof *logits);
    pm_token_prob *top = malloc(n_top * sizeof *top);
    pm_error err = {0};
    int status = CLI_OK;
    json_t *list = options->json ? json_array() : NULL;
    if (!logits || !top)
        status = cli_error("fill", "no memory for the logits of %zu masks", n_masks);
    else if (pm_session_masked_logits(engine->session, sequence, masks, n_masks, logits, &err) != PM_OK)
        status = cli_report("fill", &err);
    for (size_t m = 0; m < n_masks && status == CLI_OK; m++) {
        size_t n = pm_top_tokens(logits + m * n_vocab, (int32_t)n_vocab, top, n_top);
        json_t *tokens = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(tokens, token_json(engine, &top[i]));
        if (list) {
            json_array_append_new(list, tokens);
        } else {
            json_decref(tokens);
            if (n_masks > 1)
                printf("%smask %zu\n", m ? "\n" : "", m + 1);
            print_tokens(engine, top, n);
        }
    }
    free(logits);
    free(top);
    if (list && status == CLI_OK)
        return cli_print_json("fill", json_pack("{s:o}", "masks", list));
    json_decref(list);
    return status;
}

static int predict_next(cli_engine *engine, const fill_options *options, const pm_token_sequence *pair)
{
    float logits[2];
    pm_error err = {0};
    if (pm_session_next_sentence(engine->session, pair, logits, &err) != PM_OK)
        return cli_report("fill", &err);
    double probability = 1 / (1 + exp((double)logits[1] - (double)logits[0]));
    if (options->json)
        return cli_print_json("fill", json_pack("{s:f}", "next_sentence", probability));
    printf("%9.6f  the second text follows the first\n", probability);
    return CLI_OK;
}

static int fill(cli_engine *engine, const fill_options *options, const char *text)
{
    const char *mask = NULL;
    int32_t mask_id = cli_find_mask(engine->tokenizer, &mask), masks[MOST_MASKS], *types = NULL;
    pm_tokens tokens = {0};
    pm_error err = {0};
    size_t n_masks = 0;
    if (encode(engine, options, text, mask_id == PM_NO_TOKEN ? NULL : mask, &tokens, &err) != PM_OK)
        return cli_report("fill", &err);
    types = calloc(tokens.n + 1, sizeof *types);
    for (size_t i = 0; types && i < tokens.n; i++) {
        bool has_types = pm_model_get_info(engine->model)->n_types > 1;
        types[i] = tokens.type_ids && has_types ? tokens.type_ids[i] : 0;
        if (mask_id != PM_NO_TOKEN && tokens.ids[i] == mask_id && n_masks < MOST_MASKS)
            masks[n_masks++] = (int32_t)i;
    }
    const pm_token_sequence sequence = {.tokens = tokens.ids, .types = types, .n = tokens.n};
    int status;
    if (tokens.n_truncated && !options->engine.quiet)
        fprintf(stderr, "pumice fill: the text was cut to %zu tokens\n", tokens.n);
    if (!types)
        status = cli_error("fill", "no memory for %zu tokens", tokens.n);
    else if (n_masks)
        status = fill_masks(engine, options, &sequence, masks, n_masks);
    else if (options->next)
        status = predict_next(engine, options, &sequence);
    else if (mask_id == PM_NO_TOKEN)
        status = cli_error("fill", "this model's tokenizer has no mask token");
    else
        status = cli_error("fill", "there is no %s in the text", mask);
    free(types);
    pm_tokens_free(&tokens);
    return status;
}

int cmd_fill(int argc, char **argv)
{
    fill_options options = {.top = 5};
    const cli_group groups[] = {
        {"Options", rows, CLI_COUNT(rows), &options},
        cli_model_group(&options.engine),
        cli_device_group(&options.engine),
        cli_session_group(&options.engine),
    };
    const cli_spec spec = {
        .command = "fill",
        .synopsis = "[OPTION]... [TEXT]",
        .about = "Says which tokens a masked language model (BERT, RoBERTa) expects in place of each [MASK] or <mask> of a\n"
                 "text, with their probabilities. With --next and no mask: how probable it is that one text follows the\n"
                 "other. Reads standard input where no text is given.",
        .examples = "  pumice fill --model bert-base-uncased \"Paris is the [MASK] of France.\"\n"
                    "  pumice fill --model bert-base-uncased \"It began to rain.\" --next \"He opened his umbrella.\"",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    cli_text text = {0};
    pm_error err = {0};
    if (!n_arguments && cli_read_file("-", &text, &err) != PM_OK)
        return cli_report("fill", &err);
    if (!n_arguments && text.size == 0) {
        cli_text_free(&text);
        return cli_usage(&spec, "a text is missing");
    }
    cli_engine engine = {0};
    status = cli_engine_open(&engine, "fill", &options.engine);
    if (status == CLI_OK)
        status = cli_engine_open_tokenizer(&engine);
    if (status == CLI_OK)
        status = cli_engine_start(&engine);
    if (status == CLI_OK)
        status = fill(&engine, &options, n_arguments ? argv[0] : text.data);
    cli_text_free(&text);
    return cli_engine_close(&engine, status);
}
