/* `pumice tokenize`: text to token ids. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "open_model.h"
#include "options.h"
#include "text.h"

typedef struct tokenize_options {
    cli_engine_options engine;
    const char *file, *pair;
    int max_tokens;
    int ids, offsets, special, parse_special, json;
} tokenize_options;

#define FIELD(member) offsetof(tokenize_options, member)

static const cli_option rows[] = {
    {.name = "file", .letter = 'f', .kind = CLI_TEXT, .offset = FIELD(file), .value_name = "FILE",
     .help = "read the text from a file (- is standard input)"},
    {.name = "ids", .letter = 'i', .kind = CLI_FLAG, .offset = FIELD(ids),
     .help = "write the ids alone, on one line, separated by spaces"},
    {.name = "offsets", .letter = 'o', .kind = CLI_FLAG, .offset = FIELD(offsets),
     .help = "write also where in the text each token stands, as bytes BEGIN:END"},
    {.name = "special", .letter = 's', .kind = CLI_FLAG, .offset = FIELD(special),
     .help = "add the special tokens that the model wants around a text, such as <s>"},
    {.name = "parse-special", .kind = CLI_FLAG, .offset = FIELD(parse_special),
     .help = "take special tokens that are written out in the text for what they are"},
    {.name = "pair", .kind = CLI_TEXT, .offset = FIELD(pair), .value_name = "TEXT",
     .help = "a second text, as for models that judge two: question and answer, two sentences"},
    {.name = "max-tokens", .kind = CLI_INT, .offset = FIELD(max_tokens), .value_name = "N", .min = 1, .max = 1 << 30,
     .help = "cut the text so that at most so many tokens come out, the special ones counted; of a pair the longer"},
    {.name = "json", .letter = 'j', .kind = CLI_FLAG, .offset = FIELD(json),
     .help = "write one JSON document: ids, texts, and where in the text they stand, in bytes"},
};

static void print_ids(const pm_tokens *tokens)
{
    for (size_t i = 0; i < tokens->n; i++)
        printf("%s%" PRId32, i ? " " : "", tokens->ids[i]);
    putchar('\n');
}

static void print_span(const pm_text_span *span)
{
    char text[64];
    snprintf(text, sizeof text, "%zu:%zu", span->begin, span->end);
    printf("%-13s ", text);
}

static void print_pieces(const pm_tokenizer *tokenizer, const pm_tokens *tokens)
{
    for (size_t i = 0; i < tokens->n; i++) {
        size_t size = 0;
        const char *bytes = pm_tokenizer_token_bytes(tokenizer, tokens->ids[i], &size);
        printf("%8" PRId32 "  ", tokens->ids[i]);
        if (tokens->spans)
            print_span(&tokens->spans[i]);
        cli_print_escaped(stdout, bytes ? bytes : "", size);
        putchar('\n');
    }
}

static json_t *json_token(const pm_tokenizer *tokenizer, const pm_tokens *tokens, size_t i)
{
    size_t size = 0;
    const char *bytes = pm_tokenizer_token_bytes(tokenizer, tokens->ids[i], &size);
    json_t *token = json_pack("{s:i, s:o, s:I, s:I}", "id", (int)tokens->ids[i], "text",
                              cli_json_text(bytes ? bytes : "", size), "begin", (json_int_t)tokens->spans[i].begin,
                              "end", (json_int_t)tokens->spans[i].end);
    if (tokens->sequences) { /* of a pair: 0 for tokens around the texts, 1 and 2 for those of the texts */
        json_object_set_new(token, "sequence", json_integer(tokens->sequences[i]));
        json_object_set_new(token, "type", json_integer(tokens->type_ids[i]));
    }
    return token;
}

static int print_json(const pm_tokenizer *tokenizer, const pm_tokens *tokens)
{
    json_t *list = json_array();
    for (size_t i = 0; i < tokens->n; i++)
        json_array_append_new(list, json_token(tokenizer, tokens, i));
    json_t *document = json_pack("{s:s, s:I, s:I, s:I, s:o}", "tokenizer", pm_tokenizer_plugin_name(tokenizer),
                                 "n_tokens", (json_int_t)tokens->n, "n_unknown_bytes",
                                 (json_int_t)tokens->n_unknown_bytes, "n_truncated", (json_int_t)tokens->n_truncated,
                                 "tokens", list);
    return cli_print_json("tokenize", document);
}

static int tokenize(const tokenize_options *options, const cli_text *text)
{
    pm_tokenizer *tokenizer = NULL;
    pm_tokens tokens = {0};
    pm_error err = {0};
    int status = cli_open_tokenizer_alone("tokenize", &options->engine, &tokenizer);
    if (status != CLI_OK)
        return status;
    const pm_encode_request request = {
        .text = text->data,
        .size = text->size,
        .flags = (options->special ? PM_ENCODE_ADD_SPECIAL : 0) | (options->parse_special ? PM_ENCODE_PARSE_SPECIAL : 0),
        .with_spans = options->json || options->offsets,
        .pair = options->pair,
        .pair_size = options->pair ? strlen(options->pair) : 0,
        .with_types = options->json && options->pair,
        .max_tokens = (size_t)options->max_tokens,
    };
    if (pm_tokenizer_encode_request(tokenizer, &request, &tokens, &err) != PM_OK)
        status = cli_report("tokenize", &err);
    else if (options->json)
        status = print_json(tokenizer, &tokens);
    else if (options->ids)
        print_ids(&tokens);
    else
        print_pieces(tokenizer, &tokens);
    if (tokens.n_unknown_bytes)
        fprintf(stderr, "%zu bytes of the text are in no token\n", tokens.n_unknown_bytes);
    if (tokens.n_truncated)
        fprintf(stderr, "%zu tokens were cut off\n", tokens.n_truncated);
    pm_tokens_free(&tokens);
    pm_tokenizer_close(tokenizer);
    return status;
}

int cmd_tokenize(int argc, char **argv)
{
    tokenize_options options = {0};
    const cli_group groups[] = {{"Options", rows, CLI_COUNT(rows), &options}, cli_model_group(&options.engine)};
    const cli_spec spec = {
        .command = "tokenize",
        .synopsis = "[OPTION]... [TEXT]",
        .about = "Turns text into the token ids of a model, with the tokenizer that the model file asks for or another.\n"
                 "--model takes anything that describes a tokenizer: a GGUF file, tokenizer.json, SentencePiece model,\n"
                 "tiktoken rank file, vocab.txt, or a directory with one of them.\n"
                 "Reads standard input whole where no text is given. Writes a line with id and text for each token.",
        .examples = "  pumice tokenize \"Hello, world\"\n"
                    "  pumice tokenize --model model.gguf --ids < book.txt\n"
                    "  pumice tokenize --model tokenizer.json --offsets \"Hello, world\"\n"
                    "  pumice tokenize --tokenizer whitespace \"Hello, world\"",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (n_arguments && options.file)
        return cli_usage(&spec, "a text and --file: which?");
    if (options.ids && options.json)
        return cli_usage(&spec, "--ids and --json: which?");
    if (options.ids && options.offsets)
        return cli_usage(&spec, "--ids and --offsets: which?");

    cli_text text = {0};
    pm_error err = {0};
    pm_status read = n_arguments ? cli_copy_text(argv[0], strlen(argv[0]), &text, &err)
                                 : cli_read_file(options.file ? options.file : "-", &text, &err);
    if (read != PM_OK)
        return cli_report("tokenize", &err);
    status = tokenize(&options, &text);
    cli_text_free(&text);
    return status;
}
