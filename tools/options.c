/* Parsing options and printing help from the tables of options.h. Forms: --name VALUE, --name=VALUE, -x VALUE,
 * -xVALUE; `--` ends the options; a lone `-` is an argument. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HELP_COLUMN = 30, HELP_WIDTH = 100, NEAREST_MAX_LENGTH = 40 };

static const cli_option help_option = {.name = "help", .letter = 'h', .kind = CLI_FLAG, .help = "print this text"};

int cli_usage(const cli_spec *spec, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "pumice %s: ", spec->command);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nTry 'pumice %s --help'.\n", spec->command);
    va_end(args);
    return CLI_USAGE;
}

/* Edit distance with insertions, deletions and substitutions (Wagner and Fischer 1974), one row at a time. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NEAREST_MAX_LENGTH + 1];
    size_t n_a = strlen(a), n_b = strlen(b);
    if (n_a > NEAREST_MAX_LENGTH || n_b > NEAREST_MAX_LENGTH)
        return NEAREST_MAX_LENGTH;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n_b];
}

const char *cli_nearest(const char *word, const char *const *names, size_t n_names)
{
    const char *nearest = NULL;
    size_t length = strlen(word);
    size_t best = length / 3 + 2; /* one slip in a short word, a few in a long one */
    for (size_t i = 0; i < n_names; i++) {
        /* The beginning of a name counts as near: `--temperature` for `--temp`, `--max` for `--max-tokens`. */
        size_t common = strlen(names[i]) < length ? strlen(names[i]) : length;
        size_t distance = common >= 3 && strncmp(word, names[i], common) == 0 ? 1 : edit_distance(word, names[i]);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

static const cli_option *find_option(const cli_spec *spec, const char *name, size_t length, char letter,
                                     void **values)
{
    *values = NULL;
    if (letter ? letter == help_option.letter
               : strlen(help_option.name) == length && !strncmp(name, help_option.name, length))
        return &help_option;
    for (size_t g = 0; g < spec->n_groups; g++) {
        const cli_group *group = &spec->groups[g];
        for (size_t i = 0; i < group->n_options; i++) {
            const cli_option *option = &group->options[i];
            int same = letter ? option->letter == letter
                              : strlen(option->name) == length && strncmp(option->name, name, length) == 0;
            if (same) {
                *values = group->values;
                return option;
            }
        }
    }
    return NULL;
}

static int unknown_option(const cli_spec *spec, const char *argument, const char *name, size_t length)
{
    const char *names[96];
    size_t n = 0;
    names[n++] = help_option.name;
    for (size_t g = 0; g < spec->n_groups; g++)
        for (size_t i = 0; i < spec->groups[g].n_options && n < CLI_COUNT(names); i++)
            names[n++] = spec->groups[g].options[i].name;
    char word[NEAREST_MAX_LENGTH + 1];
    const char *nearest = NULL;
    if (length > 1 && length < sizeof word) {
        memcpy(word, name, length);
        word[length] = '\0';
        nearest = cli_nearest(word, names, n);
    }
    if (nearest)
        return cli_usage(spec, "unknown option '%s'; did you mean '--%s'?", argument, nearest);
    return cli_usage(spec, "unknown option '%s'", argument);
}

static int set_number(const cli_spec *spec, const cli_option *option, const char *text, void *where)
{
    char *end = NULL;
    errno = 0;
    if (option->kind == CLI_SEED) {
        cli_seed *seed = where;
        seed->value = strtoull(text, &end, 10);
        if (end == text || *end || errno || text[0] == '-')
            return cli_usage(spec, "--%s takes a whole number from 0 to 2^64-1, not '%s'", option->name, text);
        seed->given = 1;
        return -1;
    }
    int whole = option->kind == CLI_INT;
    double number = whole ? (double)strtoll(text, &end, 10) : strtod(text, &end);
    if (end == text || *end || errno || !isfinite(number) || number < option->min || number > option->max)
        return cli_usage(spec, "--%s takes a %s from %.15g to %.15g, not '%s'", option->name,
                         whole ? "whole number" : "number", option->min, option->max, text);
    if (whole)
        *(int *)where = (int)number;
    else
        *(float *)where = (float)number;
    return -1;
}

static int set_choice(const cli_spec *spec, const cli_option *option, const char *text, int *where)
{
    char all[256] = "";
    for (int i = 0; option->choices[i]; i++) {
        if (strcasecmp(option->choices[i], text) == 0) {
            *where = i;
            return -1;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", option->choices[i]);
    }
    return cli_usage(spec, "--%s takes one of %s, not '%s'", option->name, all, text);
}

static int set_value(const cli_spec *spec, const cli_option *option, const char *text, void *values)
{
    void *where = (char *)values + option->offset;
    switch (option->kind) {
    case CLI_FLAG:
        *(int *)where = 1;
        return -1;
    case CLI_TEXT:
        *(const char **)where = text;
        return -1;
    case CLI_LIST: {
        cli_list *list = where;
        if (list->n == CLI_LIST_MAX)
            return cli_usage(spec, "--%s can be given at most %d times", option->name, CLI_LIST_MAX);
        list->items[list->n++] = text;
        return -1;
    }
    case CLI_CHOICE:
        return set_choice(spec, option, text, where);
    case CLI_INT:
    case CLI_FLOAT:
    case CLI_SEED:
        break;
    }
    return set_number(spec, option, text, where);
}

/* Prints `text` from column HELP_COLUMN on, broken at spaces; the cursor is at `column`. */
static void print_wrapped(const char *text, size_t column)
{
    printf("%*s", (int)(HELP_COLUMN - column), "");
    size_t at = HELP_COLUMN;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (at > HELP_COLUMN && at + 1 + word > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            at = HELP_COLUMN;
        } else if (at > HELP_COLUMN) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)word, text);
        at += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(const cli_option *option)
{
    char left[128], values[96] = "";
    if (option->choices) {
        for (int i = 0; option->choices[i]; i++) {
            size_t used = strlen(values);
            snprintf(values + used, sizeof values - used, "%s%s", i ? "|" : "", option->choices[i]);
        }
    } else if (option->value_name) {
        snprintf(values, sizeof values, "%s", option->value_name);
    }
    char letter[8] = "    ";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    int width = snprintf(left, sizeof left, "  %s--%s%s%s", letter, option->name, values[0] ? " " : "", values);
    fputs(left, stdout);
    size_t column = (size_t)width;
    if (column + 2 > HELP_COLUMN) {
        printf("\n%*s", HELP_COLUMN, "");
        column = HELP_COLUMN;
    }
    print_wrapped(option->help, column);
}

static void print_help(const cli_spec *spec)
{
    printf("Usage: pumice %s %s\n\n%s\n", spec->command, spec->synopsis, spec->about);
    for (size_t g = 0; g < spec->n_groups; g++) {
        printf("\n%s\n", spec->groups[g].title);
        for (size_t i = 0; i < spec->groups[g].n_options; i++)
            print_option(&spec->groups[g].options[i]);
        if (g == 0)
            print_option(&help_option);
    }
    if (spec->n_groups == 0) {
        printf("\nOptions\n");
        print_option(&help_option);
    }
    if (spec->examples)
        printf("\nExamples\n%s\n", spec->examples);
}

/* One argument that begins with a dash. *i is the index in argv, moved on where the value is the next argument. */
static int parse_option(const cli_spec *spec, int argc, char **argv, int *i)
{
    const char *argument = argv[*i], *value = NULL;
    int is_long = argument[1] == '-';
    const char *name = argument + (is_long ? 2 : 1);
    size_t length = is_long ? strcspn(name, "=") : 1;
    void *values = NULL;
    /* `-model` would otherwise be `-m odel`. */
    if (!is_long && name[1] && find_option(spec, name, strcspn(name, "="), '\0', &values))
        return cli_usage(spec, "unknown option '%s'; did you mean '-%s'?", argument, argument);
    const cli_option *option = find_option(spec, name, length, is_long ? '\0' : name[0], &values);
    if (!option)
        return unknown_option(spec, argument, name, is_long ? length : strlen(name));
    if (option == &help_option) {
        print_help(spec);
        return CLI_OK;
    }
    if (name[length])
        value = name + length + (is_long ? 1 : 0);
    if (option->kind == CLI_FLAG) {
        if (value)
            return cli_usage(spec, "--%s takes no value ('%s')", option->name, argument);
    } else if (!value) {
        if (*i + 1 >= argc)
            return cli_usage(spec, "--%s needs a value", option->name);
        value = argv[++*i];
    }
    return set_value(spec, option, value, values);
}

int cli_parse(const cli_spec *spec, int argc, char **argv, int *n_arguments)
{
    int n = 0, options_ended = 0;
    for (int i = 1; i < argc; i++) {
        if (options_ended || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[n++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            options_ended = 1;
        } else {
            int status = parse_option(spec, argc, argv, &i);
            if (status >= 0)
                return status;
        }
    }
    *n_arguments = n;
    if (spec->max_arguments >= 0 && n > spec->max_arguments)
        return cli_usage(spec, "unexpected argument '%s'", argv[spec->max_arguments]);
    return -1;
}
