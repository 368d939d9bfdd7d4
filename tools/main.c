/* The `pumice` command: finds the subcommand and runs it.
 *
 * Promises to scripts, kept here for all subcommands: results on standard output and everything else on standard
 * error; exit status 0 success, 1 failure, 2 wrong usage. A reader that goes away (`pumice run ... | head`) ends
 * the program quietly with status 1; a full disk is an error that is said.
 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "options.h"

typedef struct command_row {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} command_row;

static const command_row commands[] = {
    {"run", "answer a prompt, or chat", cmd_run},
    {"score", "how probable a text is: log-probabilities and perplexity", cmd_score},
    {"embed", "turn texts into vectors", cmd_embed},
    {"fill", "what stands in place of a masked token; whether a sentence follows", cmd_fill},
    {"translate", "give texts to an encoder-decoder model", cmd_translate},
#ifdef PUMICE_WITH_BENCH
    {"bench", "measure the speed of this machine's devices", cmd_bench},
#endif
    {"devices", "list the devices that models can run on", cmd_devices},
    {"inspect", "show what is in a model file, and the plan it compiles to", cmd_inspect},
    {"tokenize", "turn text into token ids", cmd_tokenize},
    {"detokenize", "turn token ids into text", cmd_detokenize},
    {"tokenizer-train", "train a tokenizer on texts", cmd_tokenizer_train},
    {"tokenizer-check", "check a tokenizer plugin against the rules of the plugin interface", cmd_tokenizer_check},
    {"convert", "write a GGUF file from a model of another form or type", cmd_convert},
    {"synth", "write a model with random weights in the shape of a known one", cmd_synth},
    {"pull", "get the default model, or another known one", cmd_pull},
};

static void print_help(FILE *out)
{
    fputs("Usage: pumice COMMAND [OPTION]...\n\n"
          "Runs transformer language models on any GPU through Vulkan compute, or on the processor.\n\nCommands\n",
          out);
    for (size_t i = 0; i < CLI_COUNT(commands); i++)
        fprintf(out, "  %-16s %s\n", commands[i].name, commands[i].summary);
    fputs("  help             print this text, or that of a command: pumice help run\n\n"
          "Options\n  -h, --help     print this text\n      --version  print the version\n\n"
          "Every command has --help. Results go to standard output, everything else to standard error.\n"
          "Exit status: 0 success, 1 failure, 2 wrong usage.\n",
          out);
}

static const command_row *find_command(const char *name)
{
    for (size_t i = 0; i < CLI_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[CLI_COUNT(commands) + 3] = {"help", "--help", "--version"};
    for (size_t i = 0; i < CLI_COUNT(commands); i++)
        names[i + 3] = commands[i].name;
    const char *nearest = cli_nearest(name, names, CLI_COUNT(names));
    fprintf(stderr, "pumice: unknown %s '%s'", name[0] == '-' ? "option" : "command", name);
    if (nearest)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    fputs("\nTry 'pumice --help'.\n", stderr);
    return CLI_USAGE;
}

static int help_of(const char *name)
{
    const command_row *command = find_command(name);
    char *arguments[] = {(char *)name, "--help", NULL};
    return command ? command->run(2, arguments) : unknown_command(name);
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        puts("pumice " PUMICE_VERSION);
        return CLI_OK;
    }
    if (strcmp(name, "help") == 0 && argc > 2)
        return help_of(argv[2]);
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return CLI_OK;
    }
    const command_row *command = find_command(name);
    return command ? command->run(argc - 1, argv + 1) : unknown_command(name);
}

int main(int argc, char **argv)
{
    /* For line editing; numbers keep the C locale's decimal point. Text is UTF-8 whatever the environment says. */
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
    int status = dispatch(argc, argv);
    int failed = fflush(stdout) != 0;
    if (!failed && !ferror(stdout))
        return status;
    /* A reader that went away is an error of the pipe; the errno of the write that failed may be long gone. */
    struct pollfd output = {.fd = STDOUT_FILENO};
    if (poll(&output, 1, 0) != 1 || !(output.revents & POLLERR))
        fprintf(stderr, "pumice: standard output could not be written%s%s\n", failed ? ": " : "",
                failed ? strerror(errno) : "");
    return CLI_FAILURE;
}
