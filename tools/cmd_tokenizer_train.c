/* `pumice tokenizer-train`: from texts to a tokenizer.json. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "options.h"
#include "pumice/tokenizer_train.h"
#include "terminal.h"
#include "text.h"

typedef struct train_options {
    int type, n_tokens, min_frequency, max_chars, alphabet_limit, lowercase, byte_fallback, threads, quiet;
    const char *output, *pattern, *settings;
    cli_list special;
} train_options;

#define FIELD(member) offsetof(train_options, member)

static const char *const type_names[] = {"bpe", "unigram", "wordpiece", "wordlevel", NULL}; /* as pm_train_type */

static const cli_option rows[] = {
    {.name = "type", .kind = CLI_CHOICE, .offset = FIELD(type), .choices = type_names,
     .help = "the kind of tokenizer (default: bpe, on bytes as GPT-2's)"},
    {.name = "vocab", .letter = 'v', .kind = CLI_INT, .offset = FIELD(n_tokens), .value_name = "N", .min = 1, .max = 1 << 22,
     .help = "the size of the vocabulary, special tokens counted (default: 30000)"},
    {.name = "output", .letter = 'o', .kind = CLI_TEXT, .offset = FIELD(output), .value_name = "FILE",
     .help = "where to write the tokenizer (default: tokenizer.json)"},
    {.name = "min-frequency", .kind = CLI_INT, .offset = FIELD(min_frequency), .value_name = "N", .min = 1, .max = 1 << 30,
     .help = "leave out pairs (bpe, wordpiece) or words (wordlevel) that occur less often (default: 2; wordlevel 1)"},
    {.name = "special", .letter = 's', .kind = CLI_LIST, .offset = FIELD(special), .value_name = "TOKEN",
     .help = "a special token; may be given several times, in the order of the ids (default: <|endoftext|>, or <unk> <s> "
             "</s>, or [PAD] [UNK] [CLS] [SEP] [MASK], or [UNK], by type)"},
    {.name = "lowercase", .kind = CLI_FLAG, .offset = FIELD(lowercase), .help = "make all text lower case"},
    {.name = "byte-fallback", .kind = CLI_FLAG, .offset = FIELD(byte_fallback),
     .help = "bpe, unigram: characters that are no tokens become bytes; bpe then works on characters, as LLaMA 2's does"},
    {.name = "pattern", .kind = CLI_TEXT, .offset = FIELD(pattern), .value_name = "NAME|REGEX",
     .help = "bpe on bytes: what counts as a word, as a regular expression or by the name that GGUF files use: gpt-2, "
             "llama-bpe, qwen2, gpt-4o, ... (default: gpt-2)"},
    {.name = "alphabet-limit", .kind = CLI_INT, .offset = FIELD(alphabet_limit), .value_name = "N", .min = 1, .max = 1 << 21,
     .help = "the most characters that get a token of their own (default: all; unigram: 99.95 % of the text)"},
    {.name = "max-token-length", .kind = CLI_INT, .offset = FIELD(max_chars), .value_name = "N", .min = 1, .max = 1 << 16,
     .help = "the most characters of a token (default: no limit; unigram 16)"},
    {.name = "settings", .kind = CLI_TEXT, .offset = FIELD(settings), .value_name = "FILE",
     .help = "take normalizer, pre_tokenizer, post_processor and decoder from this tokenizer.json"},
    {.name = "threads", .letter = 't', .kind = CLI_INT, .offset = FIELD(threads), .value_name = "N", .min = 1, .max = 256,
     .help = "threads (default: all cores); the result does not depend on it"},
    {.name = "quiet", .letter = 'q', .kind = CLI_FLAG, .offset = FIELD(quiet), .help = "no progress, no summary"},
};

static int train(const train_options *options, const char *const *files, size_t n_files, const cli_text *settings)
{
    const char *output = options->output ? options->output : "tokenizer.json";
    cli_progress progress = {.hidden = options->quiet};
    pm_train_result result;
    pm_error err = {0};
    const pm_train_options train = {
        .type = (pm_train_type)options->type,
        .n_tokens = (size_t)options->n_tokens,
        .min_frequency = (size_t)options->min_frequency,
        .special_tokens = options->special.n ? options->special.items : NULL,
        .n_special_tokens = options->special.n,
        .max_token_chars = (size_t)options->max_chars,
        .alphabet_limit = (size_t)options->alphabet_limit,
        .lowercase = options->lowercase,
        .byte_fallback = options->byte_fallback,
        .pattern = options->pattern,
        .settings = options->settings ? settings->data : NULL,
        .n_settings = settings->size,
        .n_threads = options->threads,
        .progress = cli_progress_callback,
        .user = &progress,
    };
    cli_catch_interrupts();
    uint64_t begin = cli_now_ns();
    pm_status status = pm_tokenizer_train(&train, files, n_files, output, &result, &err);
    cli_progress_clear(&progress);
    if (status != PM_OK)
        return cli_report("tokenizer-train", &err);
    char size[32];
    if (!options->quiet)
        fprintf(stderr, "%s: %zu tokens, from %s of text with %zu different words, in %.1f s\n", output, result.n_tokens,
                cli_format_bytes((double)result.n_bytes, size, sizeof size), result.n_words,
                (double)(cli_now_ns() - begin) * 1e-9);
    if (!options->quiet && result.n_tokens < train.n_tokens)
        fprintf(stderr, "fewer than wanted: the texts give no more\n");
    return CLI_OK;
}

int cmd_tokenizer_train(int argc, char **argv)
{
    train_options options = {0};
    const cli_group groups[] = {{"Options", rows, CLI_COUNT(rows), &options}};
    const cli_spec spec = {
        .command = "tokenizer-train",
        .synopsis = "[OPTION]... TEXT...",
        .about = "Trains a tokenizer on text files, line by line, and writes a tokenizer.json that pumice and Hugging\n"
                 "Face's tokenizers read alike. The same texts and options always give the same file.",
        .examples = "  pumice tokenizer-train --vocab 8000 book.txt\n"
                    "  pumice tokenizer-train --type unigram --byte-fallback -v 32000 -o my/tokenizer.json *.txt\n"
                    "  pumice tokenizer-train --type wordpiece --lowercase book.txt",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = -1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (n_arguments == 0)
        return cli_usage(&spec, "which texts?");
    cli_text settings = {0};
    pm_error err = {0};
    if (options.settings && cli_read_file(options.settings, &settings, &err) != PM_OK)
        return cli_report("tokenizer-train", &err);
    status = train(&options, (const char *const *)argv, (size_t)n_arguments, &settings);
    cli_text_free(&settings);
    return status;
}
