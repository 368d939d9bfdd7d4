/* `pumice detokenize`: token ids to text; the bytes that they stand for, and nothing added to them. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "open_model.h"
#include "options.h"
#include "text.h"

typedef struct detokenize_options {
    cli_engine_options engine;
    int skip_special;
} detokenize_options;

static const cli_option rows[] = {
    {.name = "skip-special", .letter = 's', .kind = CLI_FLAG, .offset = offsetof(detokenize_options, skip_special),
     .help = "leave special tokens out of the text"},
};

typedef struct id_list {
    int32_t *ids;
    size_t n, capacity;
} id_list;

static pm_status add_id(id_list *list, long long id, pm_error *err)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 1024;
        int32_t *larger = realloc(list->ids, capacity * sizeof *larger);
        if (!larger)
            return cli_fail(err, PM_ERR_MEMORY, "no memory for %zu token ids", capacity);
        list->ids = larger;
        list->capacity = capacity;
    }
    list->ids[list->n++] = (int32_t)id;
    return PM_OK;
}

/* Reads the numbers of a text: ids separated by white space or commas. */
static pm_status add_ids(id_list *list, const char *text, pm_error *err)
{
    static const char separators[] = " \t\r\n,";
    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        char *end = NULL;
        errno = 0;
        long long id = strtoll(text, &end, 10);
        if (end == text || errno || id < 0 || id > INT32_MAX || (*end && !strchr(separators, *end)))
            return cli_fail(err, PM_ERR_ARGUMENT, "'%.*s' is no token id", (int)strcspn(text, separators), text);
        pm_status status = add_id(list, id, err);
        if (status != PM_OK)
            return status;
        text = end;
    }
    return PM_OK;
}

static int detokenize(const detokenize_options *options, const id_list *list)
{
    pm_tokenizer *tokenizer = NULL;
    pm_error err = {0};
    char *text = NULL;
    size_t size = 0;
    int status = cli_open_tokenizer_alone("detokenize", &options->engine, &tokenizer);
    if (status != CLI_OK)
        return status;
    uint32_t flags = options->skip_special ? PM_DECODE_SKIP_SPECIAL : 0;
    if (pm_tokenizer_decode(tokenizer, list->ids, list->n, flags, &text, &size, &err) != PM_OK)
        status = cli_report("detokenize", &err);
    else
        fwrite(text, 1, size, stdout);
    if (status == CLI_OK && cli_is_terminal(stdout))
        putchar('\n');
    pm_text_free(text);
    pm_tokenizer_close(tokenizer);
    return status;
}

int cmd_detokenize(int argc, char **argv)
{
    detokenize_options options = {0};
    const cli_group groups[] = {{"Options", rows, CLI_COUNT(rows), &options}, cli_model_group(&options.engine)};
    const cli_spec spec = {
        .command = "detokenize",
        .synopsis = "[OPTION]... [ID]...",
        .about = "Turns token ids into text. Reads ids from standard input, separated by spaces, commas or line ends, where\n"
                 "none are given. --model takes anything that describes a tokenizer, as for tokenize.",
        .examples = "  pumice tokenize --ids \"Hello, world\" | pumice detokenize",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = -1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;

    id_list list = {0};
    cli_text text = {0};
    pm_error err = {0};
    pm_status read = PM_OK;
    for (int i = 0; i < n_arguments && read == PM_OK; i++)
        read = add_ids(&list, argv[i], &err);
    if (n_arguments == 0)
        read = cli_read_file("-", &text, &err);
    if (n_arguments == 0 && read == PM_OK)
        read = add_ids(&list, text.data, &err);
    cli_text_free(&text);
    status = read == PM_OK ? detokenize(&options, &list) : cli_report("detokenize", &err);
    free(list.ids);
    return status;
}
