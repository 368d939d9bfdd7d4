/* The interactive chat: lines come from libedit where standard input is a terminal (with a history that is kept in
 * $XDG_STATE_HOME/pumice/history), and as they are where it is not. */
#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "conversation.h"
#include "known_models.h"

enum { HISTORY_LINES = 1000 };

typedef struct line_reader {
    EditLine *editor; /* NULL where standard input is no terminal */
    History *history;
    char history_path[4096]; /* "" where none is kept */
    char *line;              /* of getline */
    size_t capacity;
} line_reader;

static char *prompt_text(EditLine *editor)
{
    (void)editor;
    return "> ";
}

/* Waits for input. Returns 0 when interrupted. SIGINT is let in only while waiting, so that one that comes just before
 * is not slept through. */
static int wait_for_input(int fd)
{
    struct pollfd input = {.fd = fd, .events = POLLIN};
    sigset_t interrupt, before;
    int ready = -1;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigaddset(&interrupt, SIGTERM);
    sigprocmask(SIG_BLOCK, &interrupt, &before);
    while (ready < 0 && !cli_interrupted()) {
        ready = ppoll(&input, 1, NULL, &before);
        if (ready < 0 && errno != EINTR)
            break;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return ready > 0;
}

/* libedit's way to a character: 1, 0 at the end of the input, -1 on an error or when interrupted. */
static int read_character(EditLine *editor, wchar_t *out)
{
    mbstate_t state = {0};
    (void)editor;
    for (;;) {
        char byte;
        if (!wait_for_input(STDIN_FILENO))
            return -1;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n <= 0)
            return (int)n;
        size_t length = mbrtowc(out, &byte, 1, &state);
        if (length == (size_t)-1)
            state = (mbstate_t){0}; /* no character: passed over */
        else if (length != (size_t)-2)
            return 1;
    }
}

static void open_reader(line_reader *reader)
{
    HistEvent event;
    /* The prompt and the line being edited are no results: they go to standard error. */
    if (!cli_is_terminal(stdin) || !cli_is_terminal(stderr))
        return;
    reader->editor = el_init("pumice", stdin, stderr, stderr);
    reader->history = history_init();
    if (!reader->editor || !reader->history)
        return;
    history(reader->history, &event, H_SETSIZE, HISTORY_LINES);
    history(reader->history, &event, H_SETUNIQUE, 1);
    el_set(reader->editor, EL_PROMPT, prompt_text);
    el_set(reader->editor, EL_EDITOR, "emacs");
    el_set(reader->editor, EL_GETCFN, read_character);
    el_set(reader->editor, EL_HIST, history, reader->history);
    if (cli_xdg_path("XDG_STATE_HOME", ".local/state", "pumice/history", reader->history_path,
                     sizeof reader->history_path) &&
        cli_make_folder_of(reader->history_path))
        history(reader->history, &event, H_LOAD, reader->history_path);
    else
        reader->history_path[0] = '\0';
}

static void close_reader(line_reader *reader)
{
    HistEvent event;
    if (reader->history && reader->history_path[0]) {
        mode_t mask = umask(077); /* what was typed is nobody else's business */
        history(reader->history, &event, H_SAVE, reader->history_path);
        umask(mask);
    }
    if (reader->editor)
        el_end(reader->editor);
    if (reader->history)
        history_end(reader->history);
    free(reader->line);
}

/* The next line without its end, valid until the next call; NULL at the end of the input or after Ctrl-C. */
static const char *read_line(line_reader *reader, size_t *size)
{
    const char *line = NULL;
    if (reader->editor) {
        int n = 0;
        HistEvent event;
        line = el_gets(reader->editor, &n);
        if (!line || n <= 0)
            return NULL;
        if (line[strspn(line, " \t\r\n")])
            history(reader->history, &event, H_ENTER, line);
        *size = (size_t)n;
    } else {
        ssize_t n = getline(&reader->line, &reader->capacity, stdin);
        if (n < 0)
            return NULL;
        line = reader->line;
        *size = (size_t)n;
    }
    while (*size && (line[*size - 1] == '\n' || line[*size - 1] == '\r'))
        --*size;
    return line;
}

static void print_chat_help(void)
{
    fputs("  /reset  forget the conversation\n"
          "  /help   print this list\n"
          "  /exit   leave; so does Ctrl-D\n"
          "Ctrl-C stops an answer.\n",
          stderr);
}

static int is_word(const char *line, size_t size, const char *word)
{
    while (size && (line[size - 1] == ' ' || line[size - 1] == '\t'))
        size--;
    return size == strlen(word) && memcmp(line, word, size) == 0;
}

/* A line that begins with a slash. Returns 1 where the chat is over. */
static int obey(const char *line, size_t size, cli_conversation *conversation, size_t n_first)
{
    static const char *const words[] = {"/exit", "/reset", "/help"};
    if (is_word(line, size, "/exit") || is_word(line, size, "/quit"))
        return 1;
    if (is_word(line, size, "/reset")) {
        cli_conversation_cut(conversation, n_first);
        fputs("The conversation is forgotten.\n", stderr);
    } else if (is_word(line, size, "/help")) {
        print_chat_help();
    } else {
        char word[32];
        snprintf(word, sizeof word, "%.*s", (int)(size < 31 ? size : 31), line);
        const char *nearest = cli_nearest(word, words, CLI_COUNT(words));
        fprintf(stderr, "There is no %s; %s%s\n", word, nearest ? "did you mean " : "/help lists what there is",
                nearest ? nearest : "");
    }
    return 0;
}

static int answer_line(cli_conversation *conversation, cli_engine *engine, cli_answer_options *options,
                       const char *line, size_t size)
{
    cli_answer answer = {0};
    int status = cli_conversation_ask(conversation, engine, options, line, size, &answer);
    if (answer.end != CLI_END_OUTPUT) {
        putchar('\n');
        fflush(stdout);
    }
    if (status == CLI_OK && answer.end == CLI_END_CONTEXT)
        fputs("The context is full: /reset starts anew, --ctx N makes room for more.\n", stderr);
    if (status == CLI_OK && !engine->options->quiet)
        cli_print_figures(&answer, options);
    options->sampling.seed++; /* the same question asked again may get another answer */
    cli_text_free(&answer.text);
    return answer.end == CLI_END_OUTPUT ? CLI_FAILURE : CLI_OK;
}

int cli_chat_loop(cli_conversation *conversation, cli_engine *engine, cli_answer_options *options)
{
    line_reader reader = {0};
    size_t n_first = conversation->n; /* the system message */
    int status = CLI_OK, n_interrupts = 0;
    open_reader(&reader);
    if (reader.editor && !engine->options->quiet)
        fputs("Chat. /help lists the commands, Ctrl-D ends it.\n", stderr);
    while (status == CLI_OK) {
        size_t size = 0;
        cli_forget_interrupt();
        const char *line = read_line(&reader, &size);
        if (!line && cli_interrupted() && ++n_interrupts < 2) {
            fputs("\nCtrl-C again, or Ctrl-D, leaves.\n", stderr);
            clearerr(stdin);
            continue;
        }
        if (!line)
            break;
        n_interrupts = 0;
        if (line[0] == '/' && size > 0) {
            if (obey(line, size, conversation, n_first))
                break;
        } else if (strspn(line, " \t") < size) {
            status = answer_line(conversation, engine, options, line, size);
        }
    }
    close_reader(&reader);
    return status;
}
