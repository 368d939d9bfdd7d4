/* The decoding loop of `pumice run`: session -> token -> decode stream (whole characters only) -> stop filter
 * (what may be the beginning of a stop string is held back) -> standard output. */
#include "answer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct answer_writer {
    pm_decode_stream *stream;
    pm_stop_filter *filter;
    cli_text *text;
    size_t capacity;
    int stopped; /* a stop string came */
    int closed;  /* standard output takes no more */
} answer_writer;

static pm_status show(answer_writer *writer, const char *text, size_t size, pm_error *err)
{
    if (size == 0)
        return PM_OK;
    if (writer->text->size + size + 1 > writer->capacity) {
        size_t capacity = (writer->text->size + size + 1) * 2;
        char *larger = realloc(writer->text->data, capacity);
        if (!larger)
            return cli_fail(err, PM_ERR_MEMORY, "no memory for an answer of %zu bytes", capacity);
        writer->text->data = larger;
        writer->capacity = capacity;
    }
    memcpy(writer->text->data + writer->text->size, text, size);
    writer->text->size += size;
    writer->text->data[writer->text->size] = '\0';
    if (fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0)
        writer->closed = 1; /* main says why, where that is worth saying */
    return PM_OK;
}

static pm_status filter_and_show(answer_writer *writer, const char *text, size_t size, pm_error *err)
{
    const char *certain = NULL;
    size_t n_certain = 0;
    pm_status status =
        pm_stop_filter_push(writer->filter, text, size, &certain, &n_certain, &writer->stopped, err);
    return status == PM_OK ? show(writer, certain, n_certain, err) : status;
}

static pm_status put_token(answer_writer *writer, int32_t token, pm_error *err)
{
    const char *text = NULL;
    size_t size = 0;
    pm_status status = pm_decode_stream_push(writer->stream, token, &text, &size, err);
    return status == PM_OK ? filter_and_show(writer, text, size, err) : status;
}

/* What was held back: half a character, the beginning of a stop string. */
static pm_status put_rest(answer_writer *writer, pm_error *err)
{
    const char *text = NULL;
    size_t size = 0;
    pm_status status = pm_decode_stream_flush(writer->stream, &text, &size, err);
    if (status == PM_OK)
        status = filter_and_show(writer, text, size, err);
    if (status == PM_OK && !writer->stopped)
        status = pm_stop_filter_flush(writer->filter, &text, &size, err);
    return status == PM_OK && !writer->stopped ? show(writer, text, size, err) : status;
}

/* Whether the answer ends with the token just shown, which follows the first n_past of the timeline. */
static int is_over(const cli_engine *engine, const cli_answer_options *options, const answer_writer *writer,
                   int32_t n_past, cli_answer *answer)
{
    if (writer->stopped)
        answer->end = CLI_END_STOP;
    else if (writer->closed)
        answer->end = CLI_END_OUTPUT;
    else if (cli_interrupted())
        answer->end = CLI_END_INTERRUPTED;
    else if (options->max_tokens && answer->n_made >= (size_t)options->max_tokens)
        answer->end = CLI_END_LENGTH;
    else if (n_past >= pm_session_n_ctx(engine->session))
        answer->end = CLI_END_CONTEXT;
    else
        return 0;
    return 1;
}

/* Shows next[0 .. n), which the device made by itself, as far as the answer goes; the timeline keeps what was shown.
 * Whether the answer ends is in *over. */
static pm_status take_tokens(cli_engine *engine, const cli_answer_options *options, const int32_t *next, size_t n,
                             answer_writer *writer, cli_answer *answer, int *over, pm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        int32_t n_past = pm_session_n_past(engine->session) - (int32_t)(n - 1 - i);
        pm_status status = PM_OK;
        *over = pm_tokenizer_is_end_of_generation(engine->tokenizer, next[i]);
        if (*over)
            answer->end = CLI_END_MODEL;
        else {
            status = put_token(writer, next[i], err);
            answer->n_made++;
            *over = status != PM_OK || is_over(engine, options, writer, n_past, answer);
        }
        if (*over)
            return status == PM_OK ? pm_session_truncate(engine->session, n_past, err) : status;
    }
    return PM_OK;
}

static pm_status decode(cli_engine *engine, const cli_answer_options *options, const int32_t *tokens, size_t n,
                        answer_writer *writer, cli_answer *answer, pm_error *err)
{
    int32_t next[PM_MOST_STEPS] = {0};
    size_t n_next = 1;
    int over = 0;
    uint64_t start = cli_now_ns(), first = 0;
    pm_status status = pm_session_next(engine->session, tokens, n, &options->sampling, next, err);
    first = cli_now_ns();
    answer->prompt_ns = first - start;
    while (status == PM_OK) {
        status = take_tokens(engine, options, next, n_next, writer, answer, &over, err);
        answer->made_ns = cli_now_ns() - first;
        if (status != PM_OK || over)
            break;
        size_t left = options->max_tokens ? (size_t)options->max_tokens - answer->n_made : PM_MOST_STEPS;
        status = pm_session_decode(engine->session, next[n_next - 1], &options->sampling,
                                   left < PM_MOST_STEPS ? left : PM_MOST_STEPS, next, &n_next, err);
    }
    if (status == PM_ERR_CANCELLED && cli_interrupted()) {
        answer->end = CLI_END_INTERRUPTED;
        status = PM_OK;
    }
    return status;
}

int cli_make_answer(cli_engine *engine, const cli_answer_options *options, const int32_t *tokens, size_t n,
                    cli_answer *answer)
{
    pm_error err = {0};
    answer_writer writer = {.text = &answer->text};
    answer->n_prompt = n;
    pm_status status = pm_decode_stream_create(engine->tokenizer, options->decode_flags, &writer.stream, &err);
    if (status == PM_OK)
        status = pm_stop_filter_create(options->stops->items, options->stops->n, &writer.filter, &err);
    if (status == PM_OK) {
        status = decode(engine, options, tokens, n, &writer, answer, &err);
        /* Also after a failure: what the model has said is the user's. */
        pm_status rest = put_rest(&writer, status == PM_OK ? &err : NULL);
        status = status == PM_OK ? rest : status;
    }
    pm_stop_filter_destroy(writer.filter);
    pm_decode_stream_destroy(writer.stream);
    return status == PM_OK ? CLI_OK : cli_report(engine->command, &err);
}

static double per_second(size_t n, uint64_t ns)
{
    return ns ? (double)n * 1e9 / (double)ns : 0.0;
}

void cli_print_figures(const cli_answer *answer, const cli_answer_options *options)
{
    fprintf(stderr, "%sprompt %zu tokens, %.1f tokens/s; first token after %.3f s", cli_dim(stderr),
            answer->n_prompt, per_second(answer->n_prompt, answer->prompt_ns), (double)answer->prompt_ns / 1e9);
    /* The first token comes with the prompt; the others are what decoding made. */
    if (answer->n_made > 1)
        fprintf(stderr, "; answer %zu tokens, %.1f tokens/s", answer->n_made,
                per_second(answer->n_made - 1, answer->made_ns));
    else
        fprintf(stderr, "; answer %zu token%s", answer->n_made, answer->n_made == 1 ? "" : "s");
    if (options->sampling.temperature > 0)
        fprintf(stderr, "; seed %" PRIu64, options->sampling.seed);
    fprintf(stderr, "%s\n", cli_plain(stderr));
}
