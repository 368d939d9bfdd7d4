/* Standard error and signals. The interrupt counter is the program's only mutable global: a signal handler has
 * nowhere else to look. */
#include "terminal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "options.h"

enum { REDRAW_NS = 50 * 1000 * 1000 };

static volatile sig_atomic_t interrupts;

int cli_error(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "pumice %s: ", command);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return CLI_FAILURE;
}

int cli_report(const char *command, const pm_error *err)
{
    if (err->status == PM_ERR_CANCELLED && cli_interrupted())
        return cli_error(command, "interrupted");
    return cli_error(command, "%s", err->message[0] ? err->message : pm_status_text(err->status));
}

int cli_is_terminal(FILE *stream)
{
    const char *term = getenv("TERM");
    return isatty(fileno(stream)) && !(term && strcmp(term, "dumb") == 0);
}

static const char *escape(FILE *stream, const char *sequence)
{
    const char *no_color = getenv("NO_COLOR"); /* the convention of no-color.org: set and not empty */
    return cli_is_terminal(stream) && !(no_color && no_color[0]) ? sequence : "";
}

const char *cli_dim(FILE *stream)
{
    return escape(stream, "\033[2m");
}

const char *cli_bold(FILE *stream)
{
    return escape(stream, "\033[1m");
}

const char *cli_plain(FILE *stream)
{
    return escape(stream, "\033[0m");
}

static void on_interrupt(int signal_number)
{
    if (interrupts++ == 0)
        return;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void cli_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART: a blocking read must end */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int cli_interrupted(void)
{
    return interrupts > 0;
}

int cli_should_stop(void *unused)
{
    (void)unused;
    return cli_interrupted();
}

void cli_forget_interrupt(void)
{
    interrupts = 0;
}

uint64_t cli_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void cli_progress_show(cli_progress *progress, const char *what, uint64_t done, uint64_t total)
{
    if (progress->hidden || !cli_is_terminal(stderr))
        return;
    uint64_t now = cli_now_ns();
    if (progress->shown && done < total && now - progress->last_ns < REDRAW_NS)
        return;
    progress->last_ns = now;
    progress->shown = 1;
    struct winsize size = {0};
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    double share = total ? (double)(done < total ? done : total) / (double)total : 0.0;
    char label[48], bar[64];
    int width = columns - 48 > 40 ? 40 : columns - 48;
    if (width < 0)
        width = 0;
    snprintf(label, sizeof label, "%s", what ? what : "");
    for (int i = 0; i < width; i++)
        bar[i] = i < (int)(share * width + 0.5) ? '#' : '.';
    bar[width] = '\0';
    fprintf(stderr, "\r\033[K%-.*s [%s] %3.0f %%", columns > 24 ? columns - 12 - width : 12, label, bar,
            share * 100);
    fflush(stderr);
}

void cli_progress_clear(cli_progress *progress)
{
    if (progress->shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    progress->shown = 0;
}

int cli_progress_callback(void *user, const char *what, uint64_t done, uint64_t total)
{
    cli_progress_show(user, what, done, total);
    return cli_interrupted();
}
