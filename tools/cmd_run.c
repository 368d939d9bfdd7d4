/* `pumice run`: a prompt answered, a text continued (--raw), or a chat. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "answer.h"
#include "command.h"
#include "conversation.h"
#include "open_model.h"
#include "options.h"
#include "pumice/encode.h"
#include "text.h"

typedef struct run_options {
    cli_engine_options engine;
    const char *prompt, *file, *system, *chat_template;
    int raw, chat, max_tokens;
    cli_list stops;
    float temperature, top_p, min_p, repeat_penalty; /* negative: the default */
    int top_k, repeat_window;
    cli_seed seed;
} run_options;

#define FIELD(member) offsetof(run_options, member)

static const cli_option prompt_rows[] = {
    {.name = "prompt", .letter = 'p', .kind = CLI_TEXT, .offset = FIELD(prompt), .value_name = "TEXT",
     .help = "the prompt"},
    {.name = "file", .letter = 'f', .kind = CLI_TEXT, .offset = FIELD(file), .value_name = "FILE",
     .help = "read the prompt from a file (- is standard input)"},
    {.name = "system", .letter = 's', .kind = CLI_TEXT, .offset = FIELD(system), .value_name = "TEXT",
     .help = "the system message: how the model is to behave"},
    {.name = "raw", .letter = 'r', .kind = CLI_FLAG, .offset = FIELD(raw),
     .help = "continue the text of the prompt, without a chat template; writes the continuation alone"},
    {.name = "template", .kind = CLI_TEXT, .offset = FIELD(chat_template), .value_name = "FILE|NAME",
     .help = "the chat template: a Jinja file, or chatml, llama2, llama3 (default: auto, the model's own)"},
    {.name = "chat", .kind = CLI_FLAG, .offset = FIELD(chat),
     .help = "chat, even where standard input is no terminal: one message a line"},
    {.name = "max-tokens", .letter = 'n', .kind = CLI_INT, .offset = FIELD(max_tokens), .value_name = "N", .min = 0,
     .max = 1 << 30, .help = "most tokens of an answer (default: until the model ends it or the context is full)"},
    {.name = "stop", .kind = CLI_LIST, .offset = FIELD(stops), .value_name = "TEXT",
     .help = "end the answer before this text; may be given several times"},
};

static const cli_option sampling_rows[] = {
    {.name = "temp", .kind = CLI_FLOAT, .offset = FIELD(temperature), .value_name = "T", .min = 0, .max = 100,
     .help = "temperature; 0 always takes the most probable token (default: 0.3 in chats, 0 with --raw)"},
    {.name = "top-k", .kind = CLI_INT, .offset = FIELD(top_k), .value_name = "N", .min = 0, .max = 1 << 24,
     .help = "choose among the N most probable tokens; 0: all (default: 40 in chats)"},
    {.name = "top-p", .kind = CLI_FLOAT, .offset = FIELD(top_p), .value_name = "P", .min = 0, .max = 1,
     .help = "choose among the fewest tokens with this much probability; 1: all (default: 0.9 in chats)"},
    {.name = "min-p", .kind = CLI_FLOAT, .offset = FIELD(min_p), .value_name = "P", .min = 0, .max = 1,
     .help = "drop tokens less probable than this share of the most probable (default: 0)"},
    {.name = "repeat-penalty", .kind = CLI_FLOAT, .offset = FIELD(repeat_penalty), .value_name = "X", .min = 0,
     .max = 100, .help = "make recent tokens less probable; 1: off (default: 1.05 in chats)"},
    {.name = "repeat-window", .kind = CLI_INT, .offset = FIELD(repeat_window), .value_name = "N", .min = 0,
     .max = 1024, .help = "how many recent tokens that is (default: 64)"},
    {.name = "seed", .kind = CLI_SEED, .offset = FIELD(seed), .value_name = "N",
     .help = "the same seed gives the same answer (default: a new one each time, shown at the end)"},
};

static float given_or(float given, float otherwise)
{
    return given >= 0 ? given : otherwise;
}

static pm_sampling choose_sampling(const run_options *options, int raw)
{
    pm_sampling sampling = {
        .temperature = given_or(options->temperature, raw ? 0.0f : 0.3f),
        .top_k = options->top_k >= 0 ? options->top_k : raw ? 0 : 40,
        .top_p = given_or(options->top_p, raw ? 0.0f : 0.9f),
        .min_p = given_or(options->min_p, 0.0f),
        .repeat_penalty = given_or(options->repeat_penalty, raw ? 0.0f : 1.05f),
        .repeat_window = options->repeat_window,
        .seed = options->seed.value,
    };
    if (!options->seed.given && sampling.temperature > 0) {
        unsigned int seed = 0; /* short enough to be typed again */
        if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
            seed = (unsigned int)cli_now_ns();
        sampling.seed = seed;
    }
    return sampling;
}

static bool is_translator(const cli_engine *engine)
{
    return pm_model_get_info(engine->model)->shape == PM_SHAPE_ENCODER_DECODER;
}

static int answer_source(cli_engine *engine, const cli_answer_options *options, const pm_tokens *source,
                         cli_answer *answer)
{
    int32_t start = pm_model_get_info(engine->model)->start_token;
    pm_error err = {0};
    uint64_t begin = cli_now_ns();
    if (pm_session_set_source(engine->session, source->ids, source->n, NULL, &err) != PM_OK)
        return cli_report("run", &err);
    uint64_t encoded = cli_now_ns();
    int status = cli_make_answer(engine, options, &start, 1, answer);
    answer->n_prompt = source->n;
    answer->prompt_ns += encoded - begin;
    return status;
}

/* The text goes on, or, of an encoder-decoder model, it is the source and the answer its target. */
static int continue_text(cli_engine *engine, const cli_answer_options *options, const cli_text *prompt,
                         cli_answer *answer)
{
    pm_error err = {0};
    pm_tokens tokens = {0};
    int status;
    if (pm_tokenizer_encode(engine->tokenizer, prompt->data, prompt->size, PM_ENCODE_ADD_SPECIAL, &tokens, &err) !=
        PM_OK)
        status = cli_report("run", &err);
    else if (tokens.n == 0)
        status = cli_error("run", "the prompt is empty, and this model does not start texts with a token of its own");
    else if (!is_translator(engine))
        status = cli_make_answer(engine, options, tokens.ids, tokens.n, answer);
    else
        status = answer_source(engine, options, &tokens, answer);
    pm_tokens_free(&tokens);
    return status;
}

static void say_how_it_ended(const cli_engine *engine, const cli_answer *answer, const cli_answer_options *options)
{
    if (engine->options->quiet)
        return;
    if (answer->end == CLI_END_INTERRUPTED)
        fputs("interrupted\n", stderr);
    if (answer->end == CLI_END_CONTEXT)
        fprintf(stderr, "the context of %d tokens is full; --ctx N makes room for more\n",
                pm_session_n_ctx(engine->session));
    cli_print_figures(answer, options);
}

static int answer_once(cli_engine *engine, cli_conversation *conversation, const cli_answer_options *options, int raw,
                       const cli_text *prompt)
{
    cli_answer answer = {0};
    int status = raw ? continue_text(engine, options, prompt, &answer)
                     : cli_conversation_ask(conversation, engine, options, prompt->data, prompt->size, &answer);
    /* A continuation is written to the byte, so that scripts can join it to its prompt. */
    int ends_line = answer.text.size && answer.text.data[answer.text.size - 1] == '\n';
    int is_whole = !raw || is_translator(engine);
    if (answer.end != CLI_END_OUTPUT && (cli_is_terminal(stdout) ? !ends_line : is_whole && status == CLI_OK))
        putchar('\n');
    fflush(stdout);
    if (status == CLI_OK && answer.end != CLI_END_OUTPUT)
        say_how_it_ended(engine, &answer, options);
    cli_text_free(&answer.text);
    return status;
}

static int run(cli_engine *engine, const run_options *options, const cli_text *prompt)
{
    int raw = options->raw || is_translator(engine);
    if (is_translator(engine) && (options->chat || options->system))
        return cli_error("run", "an encoder-decoder model answers a text with a text: there is no %s with it",
                         options->chat ? "chat" : "system message");
    cli_answer_options answer_options = {
        .sampling = choose_sampling(options, raw),
        .max_tokens = options->max_tokens,
        .stops = &options->stops,
        /* A continuation goes on where its prompt ended; an answer begins a text of its own. */
        .decode_flags = PM_DECODE_SKIP_SPECIAL | (options->raw && !is_translator(engine) ? PM_DECODE_CONTINUATION : 0),
    };
    cli_conversation conversation = {0};
    pm_error err = {0};
    int status = CLI_OK;
    if (pm_model_get_info(engine->model)->shape == PM_SHAPE_ENCODER_ONLY) /* said before what it lacks for a chat */
        status = cli_error("run", "a model of architecture '%s' is an encoder: it writes no text (pumice embed and pumice "
                                  "fill use it)", pm_model_get_info(engine->model)->architecture);
    if (status == CLI_OK && !raw &&
        cli_conversation_open(&conversation, engine->tokenizer, options->chat_template, &err) != PM_OK)
        status = cli_report("run", &err);
    if (status == CLI_OK && options->system &&
        cli_conversation_add(&conversation, "system", options->system, strlen(options->system), &err) != PM_OK)
        status = cli_report("run", &err);
    if (status == CLI_OK && prompt->data)
        status = answer_once(engine, &conversation, &answer_options, raw, prompt);
    if (status == CLI_OK && options->chat)
        status = cli_chat_loop(&conversation, engine, &answer_options);
    cli_conversation_close(&conversation);
    return status;
}

/* Where the prompt comes from: an option, an argument, a file, standard input; or there is none and it is a chat. */
static int read_prompt(const cli_spec *spec, run_options *options, int n_arguments, char **arguments, cli_text *prompt)
{
    pm_error err = {0};
    pm_status status = PM_OK;
    if ((options->prompt != NULL) + (options->file != NULL) + (n_arguments > 0) > 1)
        return cli_usage(spec, "the prompt is given twice");
    if (options->raw && (options->chat || options->system))
        return cli_usage(spec, "--raw continues a text: there is no --%s in it", options->chat ? "chat" : "system");
    const char *text = n_arguments ? arguments[0] : options->prompt;
    if (text)
        status = cli_copy_text(text, strlen(text), prompt, &err);
    else if (options->file)
        status = cli_read_file(options->file, prompt, &err);
    else if (!cli_is_terminal(stdin) && !options->chat)
        status = cli_read_file("-", prompt, &err);
    else if (options->raw)
        return cli_usage(spec, "--raw needs a text to continue: --prompt TEXT or --file FILE");
    else
        options->chat = 1;
    return status == PM_OK ? -1 : cli_report("run", &err);
}

int cmd_run(int argc, char **argv)
{
    run_options options = {.temperature = -1, .top_p = -1, .min_p = -1, .repeat_penalty = -1, .top_k = -1};
    const cli_group groups[] = {
        {"Prompt and answer", prompt_rows, CLI_COUNT(prompt_rows), &options},
        {"Sampling", sampling_rows, CLI_COUNT(sampling_rows), &options},
        cli_model_group(&options.engine),
        cli_device_group(&options.engine),
        cli_session_group(&options.engine),
    };
    const cli_spec spec = {
        .command = "run",
        .synopsis = "[OPTION]... [PROMPT]",
        .about = "Answers a prompt, and streams the answer to standard output. The prompt is put into the model's chat\n"
                 "template, unless --raw is given; an encoder-decoder model takes it as the source. Without a prompt it is\n"
                 "read from standard input, or a chat begins where that is a terminal. Ctrl-C stops the answer; what has\n"
                 "come so far is kept.",
        .examples = "  pumice run \"What is the capital of France?\"\n"
                    "  pumice run --raw --prompt \"Once upon a time\" --max-tokens 100\n"
                    "  pumice run --device vulkan --system \"Answer in rhymes.\"",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    cli_text prompt = {0};
    if (status < 0)
        status = read_prompt(&spec, &options, n_arguments, argv, &prompt);
    if (status >= 0)
        return status;
    cli_engine engine = {0};
    status = cli_engine_open(&engine, "run", &options.engine);
    if (status == CLI_OK)
        status = cli_engine_open_tokenizer(&engine);
    if (status == CLI_OK)
        status = cli_engine_start(&engine);
    if (status == CLI_OK)
        status = run(&engine, &options, &prompt);
    cli_text_free(&prompt);
    return cli_engine_close(&engine, status);
}
