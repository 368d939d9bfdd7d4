/* `pumice score`: a language model as a probability. Log-probability of each token and of the whole text; perplexity.
 *
 * A text longer than the window is scored in windows that overlap: each new one moves on by `stride` tokens and
 * counts only those, so that every token is counted once and none but the first `stride` has fewer than
 * window - stride tokens before it. Where the model starts texts with a special token, so does every window.
 * With a stride as long as the window each window stands alone, and its first token, which nothing predicts, is not
 * counted: the way in which other tools give the perplexity of a file.
 *
 * A masked language model gives the pseudo-log-likelihood: each token given all others, in turn behind the mask. An
 * encoder-decoder model gives the probability of a target given its source.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "masks.h"
#include "open_model.h"
#include "options.h"
#include "pumice/encode.h"
#include "text.h"

typedef struct score_options {
    cli_engine_options engine;
    const char *file, *source;
    int json, tokens, window, stride, max_tokens, top;
} score_options;

#define FIELD(member) offsetof(score_options, member)

static const cli_option rows[] = {
    {.name = "file", .letter = 'f', .kind = CLI_TEXT, .offset = FIELD(file), .value_name = "FILE",
     .help = "read the text from a file (- is standard input)"},
    {.name = "tokens", .kind = CLI_FLAG, .offset = FIELD(tokens),
     .help = "list the tokens of a file too, not its totals alone"},
    {.name = "window", .letter = 'w', .kind = CLI_INT, .offset = FIELD(window), .value_name = "N", .min = 2,
     .max = 1 << 24, .help = "score longer texts in windows of so many tokens (default: the context)"},
    {.name = "stride", .kind = CLI_INT, .offset = FIELD(stride), .value_name = "N", .min = 1, .max = 1 << 24,
     .help = "how many tokens a window moves on, at most the window: then each stands alone (default: half of it)"},
    {.name = "max-tokens", .kind = CLI_INT, .offset = FIELD(max_tokens), .value_name = "N", .min = 2, .max = INT32_MAX,
     .help = "score no more than the first so many tokens of the text"},
    {.name = "top-logprobs", .kind = CLI_INT, .offset = FIELD(top), .value_name = "N", .min = 0, .max = 1000,
     .help = "list the N most probable tokens for each place too"},
    {.name = "source", .kind = CLI_TEXT, .offset = FIELD(source), .value_name = "TEXT",
     .help = "of an encoder-decoder model: what the text is the target for"},
    {.name = "json", .letter = 'j', .kind = CLI_FLAG, .offset = FIELD(json), .help = "write one JSON document"},
};

typedef struct text_scores {
    pm_tokens tokens;
    double *log_probs; /* of each token; NAN where nothing comes before it */
    size_t n_top;
    pm_token_prob *top; /* [tokens.n][n_top]; NULL: not wanted */
    size_t n_scored;
    double sum;
} text_scores;

/* Scores tokens[done..end) with what comes before them in the window tokens[begin..end). */
static pm_status score_window(cli_engine *engine, text_scores *scores, size_t begin, size_t done, size_t end, int has_bos,
                              int32_t *ids, double *log_probs, pm_token_prob *top, pm_error *err)
{
    memcpy(ids, scores->tokens.ids + begin, (end - begin) * sizeof *ids);
    if (begin > 0 && has_bos)
        ids[0] = scores->tokens.ids[0];
    pm_status status = pm_session_score(engine->session, ids, end - begin, log_probs, scores->n_top, top, err);
    if (status != PM_OK)
        return status;
    for (size_t i = done; i <= begin; i++) /* the first of its window */
        scores->log_probs[i] = NAN;
    for (size_t i = done > begin ? done : begin + 1; i < end; i++) {
        scores->log_probs[i] = log_probs[i - begin];
        if (top)
            memcpy(scores->top + i * scores->n_top, top + (i - begin) * scores->n_top, scores->n_top * sizeof *top);
        scores->sum += log_probs[i - begin];
        scores->n_scored++;
    }
    return PM_OK;
}

static pm_status score_all(cli_engine *engine, const score_options *options, text_scores *scores, pm_error *err)
{
    size_t n = scores->tokens.n, window = (size_t)pm_session_n_ctx(engine->session);
    if (options->window && (size_t)options->window < window)
        window = (size_t)options->window;
    size_t stride = options->stride ? (size_t)options->stride : window / 2;
    if (stride > window)
        return cli_fail(err, PM_ERR_ARGUMENT, "a stride of %zu tokens leaves out tokens between windows of %zu", stride,
                        window);
    int has_bos = pm_tokenizer_adds_bos(engine->tokenizer);
    int32_t *ids = malloc(window * sizeof *ids);
    double *log_probs = malloc(window * sizeof *log_probs);
    pm_token_prob *top = scores->n_top ? malloc(window * scores->n_top * sizeof *top) : NULL;
    pm_status status = PM_OK;
    if (!ids || !log_probs || (scores->n_top && !top))
        status = cli_fail(err, PM_ERR_MEMORY, "no memory to score %zu tokens", n);
    for (size_t done = 0; status == PM_OK && done < n;) {
        size_t end = done == 0 ? window : done + stride;
        if (end > n)
            end = n;
        size_t begin = stride == window ? done : end > window ? end - window : 0;
        cli_progress_show(&engine->progress, "scoring", done, n);
        status = score_window(engine, scores, begin, done, end, has_bos, ids, log_probs, top, err);
        done = end;
    }
    cli_progress_clear(&engine->progress);
    free(ids);
    free(log_probs);
    free(top);
    return status;
}

/* Room for what is known of each token; no token has a score yet. */
static pm_status alloc_scores(const score_options *options, text_scores *scores, pm_error *err)
{
    size_t n = scores->tokens.n;
    scores->n_top = (size_t)options->top;
    scores->log_probs = malloc(n * sizeof *scores->log_probs);
    if (scores->n_top)
        scores->top = malloc(n * scores->n_top * sizeof *scores->top);
    if (!scores->log_probs || (scores->n_top && !scores->top))
        return cli_fail(err, PM_ERR_MEMORY, "no memory to score %zu tokens", n);
    for (size_t i = 0; i < n; i++)
        scores->log_probs[i] = NAN;
    for (size_t i = 0; i < n * scores->n_top; i++)
        scores->top[i] = (pm_token_prob){-1, -INFINITY};
    return PM_OK;
}

static void sum_up(text_scores *scores, const uint8_t *skip)
{
    for (size_t i = 0; i < scores->tokens.n; i++) {
        if (skip[i])
            scores->log_probs[i] = NAN;
        else
            scores->sum += scores->log_probs[i];
        scores->n_scored += !skip[i];
    }
}

/* Each token but the special ones around the text, given all others. */
static pm_status score_masked(cli_engine *engine, text_scores *scores, pm_error *err)
{
    const char *spelling;
    int32_t mask = cli_find_mask(engine->tokenizer, &spelling);
    size_t n = scores->tokens.n;
    uint8_t *skip = malloc(n + 1);
    if (!skip)
        return cli_fail(err, PM_ERR_MEMORY, "no memory to score %zu tokens", n);
    for (size_t i = 0; i < n; i++)
        skip[i] = pm_tokenizer_is_special(engine->tokenizer, scores->tokens.ids[i]) &&
                  scores->tokens.ids[i] != pm_tokenizer_unk(engine->tokenizer);
    const pm_token_sequence sequence = {.tokens = scores->tokens.ids, .n = n};
    pm_status status = PM_OK;
    if (mask == PM_NO_TOKEN)
        status = cli_fail(err, PM_ERR_UNSUPPORTED, "this model's tokenizer has no mask token");
    if (status == PM_OK)
        status = pm_session_score_masked(engine->session, &sequence, mask, skip, scores->log_probs, scores->n_top,
                                         scores->top, err);
    if (status == PM_OK)
        sum_up(scores, skip);
    free(skip);
    return status;
}

/* The target's tokens, the first of which is the decoder's start, given the source. */
static pm_status score_target(cli_engine *engine, const score_options *options, text_scores *scores, pm_error *err)
{
    pm_tokens source = {0};
    if (!options->source)
        return cli_fail(err, PM_ERR_ARGUMENT, "an encoder-decoder model scores a target given its source: --source TEXT");
    pm_status status = pm_tokenizer_encode(engine->tokenizer, options->source, strlen(options->source),
                                           PM_ENCODE_ADD_SPECIAL, &source, err);
    if (status == PM_OK)
        status = pm_session_set_source(engine->session, source.ids, source.n, NULL, err);
    if (status == PM_OK)
        status = pm_session_score(engine->session, scores->tokens.ids, scores->tokens.n, scores->log_probs,
                                  scores->n_top, scores->top, err);
    for (size_t i = 1; i < scores->tokens.n && status == PM_OK; i++)
        scores->sum += scores->log_probs[i];
    scores->log_probs[0] = NAN;
    scores->n_scored = scores->tokens.n - 1;
    pm_tokens_free(&source);
    return status;
}

static pm_status score_any(cli_engine *engine, const score_options *options, text_scores *scores, pm_error *err)
{
    pm_model_shape shape = pm_model_get_info(engine->model)->shape;
    pm_status status = alloc_scores(options, scores, err);
    if (status != PM_OK)
        return status;
    if (options->source && shape != PM_SHAPE_ENCODER_DECODER)
        return cli_fail(err, PM_ERR_ARGUMENT, "only encoder-decoder models have a --source");
    return shape == PM_SHAPE_ENCODER_ONLY      ? score_masked(engine, scores, err)
           : shape == PM_SHAPE_ENCODER_DECODER ? score_target(engine, options, scores, err)
                                               : score_all(engine, options, scores, err);
}

static double perplexity(const text_scores *scores)
{
    return exp(-scores->sum / (double)scores->n_scored);
}

/* The tokens that were most probable in place of token i. */
static void print_top(const cli_engine *engine, const text_scores *scores, size_t i)
{
    for (size_t k = 0; k < scores->n_top; k++) {
        const pm_token_prob *t = &scores->top[i * scores->n_top + k];
        size_t size = 0;
        const char *bytes = pm_tokenizer_token_bytes(engine->tokenizer, t->id, &size);
        if (t->id < 0)
            continue;
        printf("%8s  %12.6f  %11.5g    %8" PRId32 "  ", "", t->log_prob, exp(t->log_prob), t->id);
        cli_print_escaped(stdout, bytes ? bytes : "", size);
        putchar('\n');
    }
}

static json_t *top_json(const cli_engine *engine, const text_scores *scores, size_t i)
{
    json_t *list = json_array();
    for (size_t k = 0; k < scores->n_top; k++) {
        const pm_token_prob *t = &scores->top[i * scores->n_top + k];
        size_t size = 0;
        const char *bytes = pm_tokenizer_token_bytes(engine->tokenizer, t->id, &size);
        if (t->id >= 0)
            json_array_append_new(list, json_pack("{s:i, s:o, s:f}", "id", (int)t->id, "text",
                                                  cli_json_text(bytes ? bytes : "", size), "log_prob", t->log_prob));
    }
    return list;
}

static void print_scores(const cli_engine *engine, const text_scores *scores, int with_tokens)
{
    if (with_tokens)
        printf("%8s  %12s  %11s  %s\n", "id", "log-prob", "probability", "token");
    for (size_t i = 0; with_tokens && i < scores->tokens.n; i++) {
        size_t size = 0;
        const char *bytes = pm_tokenizer_token_bytes(engine->tokenizer, scores->tokens.ids[i], &size);
        if (isnan(scores->log_probs[i]))
            printf("%8" PRId32 "  %12s  %11s  ", scores->tokens.ids[i], "-", "-");
        else
            printf("%8" PRId32 "  %12.6f  %11.5g  ", scores->tokens.ids[i], scores->log_probs[i],
                   exp(scores->log_probs[i]));
        cli_print_escaped(stdout, bytes ? bytes : "", size);
        putchar('\n');
        print_top(engine, scores, i);
    }
    printf("%zu tokens, %zu scored\nlog-probability %.6f\nperplexity %.6f\n", scores->tokens.n, scores->n_scored,
           scores->sum, perplexity(scores));
}

static int print_json(const cli_engine *engine, const text_scores *scores)
{
    const pm_gguf *file = pm_model_file(engine->model);
    json_t *list = json_array();
    for (size_t i = 0; i < scores->tokens.n; i++) {
        size_t size = 0;
        const char *bytes = pm_tokenizer_token_bytes(engine->tokenizer, scores->tokens.ids[i], &size);
        double log_prob = scores->log_probs[i];
        json_t *token = json_pack("{s:i, s:o, s:o}", "id", (int)scores->tokens.ids[i], "text",
                                  cli_json_text(bytes ? bytes : "", size), "log_prob",
                                  isfinite(log_prob) ? json_real(log_prob) : json_null());
        if (scores->n_top)
            json_object_set_new(token, "top_logprobs", top_json(engine, scores, i));
        json_array_append_new(list, token);
    }
    double ppl = perplexity(scores);
    json_t *document = json_pack(
        "{s:o, s:s, s:I, s:I, s:o, s:o, s:o}", "model", cli_json_text(pm_gguf_path(file), strlen(pm_gguf_path(file))),
        "device", pm_device_get_info(engine->device)->name, "n_tokens", (json_int_t)scores->tokens.n, "n_scored",
        (json_int_t)scores->n_scored, "log_prob", isfinite(scores->sum) ? json_real(scores->sum) : json_null(),
        "perplexity", isfinite(ppl) ? json_real(ppl) : json_null(), "tokens", list);
    return cli_print_json("score", document);
}

static pm_status put_in_front(pm_tokens *tokens, int32_t id, pm_error *err)
{
    int32_t *ids = realloc(tokens->ids, (tokens->n + 1) * sizeof *ids);
    if (!ids)
        return cli_fail(err, PM_ERR_MEMORY, "no memory for %zu tokens", tokens->n + 1);
    memmove(ids + 1, ids, tokens->n * sizeof *ids);
    ids[0] = id;
    tokens->ids = ids;
    tokens->n++;
    return PM_OK;
}

static pm_status encode_text(const cli_engine *engine, const score_options *options, const cli_text *text, pm_tokens *out,
                             pm_error *err)
{
    pm_status status =
        pm_tokenizer_encode(engine->tokenizer, text->data, text->size, PM_ENCODE_ADD_SPECIAL, out, err);
    if (status == PM_OK && pm_model_get_info(engine->model)->shape == PM_SHAPE_ENCODER_DECODER)
        status = put_in_front(out, pm_model_get_info(engine->model)->start_token, err);
    if (options->max_tokens && out->n > (size_t)options->max_tokens)
        out->n = (size_t)options->max_tokens;
    return status;
}

static int score_text(cli_engine *engine, const score_options *options, const cli_text *text)
{
    pm_error err = {0};
    text_scores scores = {0};
    int status = CLI_OK;
    if (encode_text(engine, options, text, &scores.tokens, &err) != PM_OK)
        status = cli_report("score", &err);
    else if (scores.tokens.n < 2)
        status = cli_error("score", "the text is too short: there must be a token with another one before it");
    else if (score_any(engine, options, &scores, &err) != PM_OK)
        status = cli_report("score", &err);
    else if (options->json)
        status = print_json(engine, &scores);
    else
        print_scores(engine, &scores, options->tokens || !options->file);
    free(scores.log_probs);
    free(scores.top);
    pm_tokens_free(&scores.tokens);
    return status;
}

int cmd_score(int argc, char **argv)
{
    score_options options = {0};
    const cli_group groups[] = {
        {"Options", rows, CLI_COUNT(rows), &options},
        cli_model_group(&options.engine),
        cli_device_group(&options.engine),
        cli_session_group(&options.engine),
    };
    const cli_spec spec = {
        .command = "score",
        .synopsis = "[OPTION]... [TEXT]",
        .about = "Says how probable a model finds a text: the natural logarithm of the probability of each token given those\n"
                 "before it, their sum, and the perplexity. Reads standard input where no text is given. A file gets its\n"
                 "totals; --tokens and --json list its tokens too. Masked language models (BERT) give each token's probability\n"
                 "given all others, encoder-decoder models (T5) that of a target given its --source.",
        .examples = "  pumice score \"The cat sat on the mat.\"\n"
                    "  pumice score --file book.txt --window 512\n"
                    "  pumice score --file book.txt --window 512 --stride 512 --max-tokens 4096",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (n_arguments && options.file)
        return cli_usage(&spec, "a text and --file: which?");
    if (options.window && options.stride > options.window)
        return cli_usage(&spec, "--stride must not be more than --window");
    if (!n_arguments && !options.file)
        options.file = "-";

    cli_text text = {0};
    pm_error err = {0};
    cli_engine engine = {0};
    pm_status read = n_arguments ? cli_copy_text(argv[0], strlen(argv[0]), &text, &err)
                                 : cli_read_file(options.file, &text, &err);
    if (read != PM_OK)
        return cli_report("score", &err);
    status = cli_engine_open(&engine, "score", &options.engine);
    if (status == CLI_OK)
        status = cli_engine_open_tokenizer(&engine);
    if (status == CLI_OK)
        status = cli_engine_start(&engine);
    if (status == CLI_OK)
        status = score_text(&engine, &options, &text);
    cli_text_free(&text);
    return cli_engine_close(&engine, status);
}
