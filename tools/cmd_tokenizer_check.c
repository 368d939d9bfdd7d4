/* `pumice tokenizer-check`: whether a plugin keeps the rules of pumice/plugin.h, for those who write one. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "options.h"
#include "pumice/conformance.h"
#include "text.h"

typedef struct check_options {
    const char *vocabulary;
    int json, quiet, lossless, rounds, threads;
    cli_seed seed;
} check_options;

#define FIELD(member) offsetof(check_options, member)

static const cli_option rows[] = {
    {.name = "vocabulary", .letter = 'm', .kind = CLI_TEXT, .offset = FIELD(vocabulary), .value_name = "FILE",
     .help = "check with the vocabulary of this model or tokenizer file (default: small built-in ones)"},
    {.name = "lossless", .kind = CLI_FLAG, .offset = FIELD(lossless),
     .help = "decoding must give back every text to the byte"},
    {.name = "rounds", .kind = CLI_INT, .offset = FIELD(rounds), .value_name = "N", .min = 1, .max = 1 << 30,
     .help = "rounds of the fuzzing pass (default: 2000)"},
    {.name = "seed", .kind = CLI_SEED, .offset = FIELD(seed), .value_name = "N",
     .help = "where the fuzzing pass starts (default: 0)"},
    {.name = "threads", .letter = 't', .kind = CLI_INT, .offset = FIELD(threads), .value_name = "N", .min = 1, .max = 64,
     .help = "threads that encode at once (default: 8)"},
    {.name = "json", .letter = 'j', .kind = CLI_FLAG, .offset = FIELD(json), .help = "write one JSON document"},
    {.name = "quiet", .letter = 'q', .kind = CLI_FLAG, .offset = FIELD(quiet), .help = "list only what fails"},
};

typedef struct check_report {
    const check_options *options;
    json_t *list;
    const char *vocabulary; /* whose heading was printed last */
} check_report;

static void print_result(void *user, const pm_conformance_result *result)
{
    static const char *const words[] = {"ok", "FAILED", "skipped"};
    check_report *report = user;
    if (report->list) {
        json_array_append_new(report->list, json_pack("{s:s, s:s, s:s, s:o}", "check", result->check, "vocabulary",
                                                      result->vocabulary, "outcome", words[result->outcome], "detail",
                                                      cli_json_text(result->detail, strlen(result->detail))));
        return;
    }
    if (report->options->quiet && result->outcome != PM_CONFORMANCE_FAILED)
        return;
    if (result->vocabulary[0] && (!report->vocabulary || strcmp(report->vocabulary, result->vocabulary) != 0))
        printf("%s\n", result->vocabulary);
    report->vocabulary = result->vocabulary;
    printf("  %-8s %-28s %s\n", words[result->outcome], result->check, result->detail);
    fflush(stdout);
}

int cmd_tokenizer_check(int argc, char **argv)
{
    check_options options = {0};
    const cli_group groups[] = {{"Options", rows, CLI_COUNT(rows), &options}};
    const cli_spec spec = {
        .command = "tokenizer-check",
        .synopsis = "[OPTION]... NAME|FILE.so",
        .about = "Checks a tokenizer plugin against the rules of pumice/plugin.h: its description, texts of every kind\n"
                 "(broken UTF-8 and NUL bytes among them), buffers that are too small, round trips, special tokens, a\n"
                 "megabyte without a space, many threads at once, random texts and ids, vocabularies that are wrong.\n"
                 "Each check runs in a process of its own: a plugin that crashes is reported. Exit status 0: all passed.",
        .examples = "  pumice tokenizer-check ./my_tokenizer.so\n"
                    "  pumice tokenizer-check bpe --vocabulary tokenizer.json --lossless",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (n_arguments == 0)
        return cli_usage(&spec, "which plugin?");

    pm_conformance_options checks = {.plugin = argv[0], .vocabulary = options.vocabulary, .seed = options.seed.value,
                                     .fuzz_rounds = options.rounds, .n_threads = options.threads,
                                     .lossless = options.lossless};
    check_report report = {.options = &options, .list = options.json ? json_array() : NULL};
    size_t n_failed = 0;
    pm_error err = {0};
    if (pm_plugin_conformance(&checks, print_result, &report, &n_failed, &err) != PM_OK) {
        json_decref(report.list);
        fprintf(stderr, "pumice tokenizer-check: %s\n", err.message);
        return CLI_FAILURE;
    }
    if (report.list) {
        status = cli_print_json("tokenizer-check", json_pack("{s:s, s:I, s:o}", "plugin", argv[0], "n_failed",
                                                             (json_int_t)n_failed, "checks", report.list));
        return status != CLI_OK ? status : n_failed ? CLI_FAILURE : CLI_OK;
    }
    if (n_failed > 0)
        printf("%zu check%s failed\n", n_failed, n_failed == 1 ? "" : "s");
    else if (!options.quiet)
        puts("all checks passed");
    return n_failed > 0 ? CLI_FAILURE : CLI_OK;
}
