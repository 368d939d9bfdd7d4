/* Command-line options, driven by tables.
 *
 * A command describes its options as constant tables; each row says where its value goes by offset into a struct.
 * The same rows parse the arguments, make the help text and find the nearest match of a misspelt name, so an
 * option is written down once. Parsing never exits: it returns what the command should do next.
 */
#ifndef PUMICE_TOOLS_OPTIONS_H
#define PUMICE_TOOLS_OPTIONS_H

#include <stddef.h>

enum { CLI_OK = 0, CLI_FAILURE = 1, CLI_USAGE = 2 }; /* exit statuses; a promise to scripts */
enum { CLI_LIST_MAX = 16 };

typedef enum cli_kind {
    CLI_FLAG,  /* int: 1 where given */
    CLI_TEXT,  /* const char *; borrowed from argv */
    CLI_LIST,  /* cli_list: may be given several times */
    CLI_INT,   /* int, min..max */
    CLI_FLOAT, /* float, min..max; what is not given keeps its value */
    CLI_SEED,  /* cli_seed: an unsigned 64-bit number */
    CLI_CHOICE /* int: index into `choices` */
} cli_kind;

typedef struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t n;
} cli_list;

typedef struct cli_seed {
    unsigned long long value;
    int given;
} cli_seed;

typedef struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* of the short form; 0: none */
    cli_kind kind;
    size_t offset;          /* of the value in the group's struct */
    const char *value_name; /* "FILE"; NULL for flags */
    const char *help;
    double min, max;            /* of numbers, both inclusive */
    const char *const *choices; /* of CLI_CHOICE; ends with NULL */
} cli_option;

/* Options that belong together, and the struct they fill in. */
typedef struct cli_group {
    const char *title; /* "Sampling"; heads the group in the help text */
    const cli_option *options;
    size_t n_options;
    void *values;
} cli_group;

typedef struct cli_spec {
    const char *command;  /* "run" */
    const char *synopsis; /* what follows `pumice COMMAND`: "[OPTION]... [PROMPT]" */
    const char *about;    /* paragraphs of the help text */
    const char *examples; /* lines of it; NULL: none */
    const cli_group *groups;
    size_t n_groups;
    int max_arguments; /* how many arguments that are no options may be given; -1: any number */
} cli_spec;

#define CLI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Parses argv[1..argc-1] (argv[0] is the command's name) and leaves the arguments that are no options at the front
 * of argv, their number in *n_arguments. Returns -1 to go on, or the exit status: CLI_OK after printing the help
 * text that --help asked for, CLI_USAGE after saying on standard error what is wrong. */
int cli_parse(const cli_spec *spec, int argc, char **argv, int *n_arguments);

/* Prints "pumice COMMAND: sentence" and where to find help on standard error; returns CLI_USAGE. */
int cli_usage(const cli_spec *spec, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The one of `names` nearest to `word`; NULL where none is near enough to be what was meant. */
const char *cli_nearest(const char *word, const char *const *names, size_t n_names);

#endif
