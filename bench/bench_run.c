/* One forked child a device: see bench.h. */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_device.h"
#include "pumice/gguf.h"
#include "pumice/model.h"

/* The child: measures, writes the entry to the pipe, and leaves without running the parent's exit handlers. */
static void child(const bench_settings *settings, const char *name, int fd)
{
    json_t *entry = bench_device(settings, name);
    FILE *out = fdopen(fd, "w");
    int failed = !entry || !out || json_dumpf(entry, out, JSON_COMPACT) != 0 || fclose(out) != 0;
    _exit(failed);
}

typedef struct text {
    char *bytes;
    size_t size, capacity;
} text;

/* Reads the child's answer until it closes the pipe; false when the time limit comes first or memory runs out. */
static int read_answer(int fd, double limit_s, text *answer)
{
    double left = limit_s;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = poll(&wait, 1, 500);
        if (ready < 0 && errno != EINTR)
            return 0;
        if (ready <= 0) {
            left -= 0.5;
            if (limit_s > 0 && left < 0)
                return 0;
            continue;
        }
        if (answer->capacity - answer->size < 4096) {
            char *grown = realloc(answer->bytes, answer->capacity + 65536);
            if (!grown)
                return 0;
            answer->bytes = grown;
            answer->capacity += 65536;
        }
        ssize_t n = read(fd, answer->bytes + answer->size, answer->capacity - answer->size);
        if (n == 0)
            return 1;
        if (n > 0)
            answer->size += (size_t)n;
        else if (errno != EINTR)
            return 0;
    }
}

static json_t *failed_entry(const char *name, const char *why)
{
    return json_pack("{s:s,s:s}", "name", name, "error", why);
}

static json_t *run_device(const bench_settings *settings, const char *name)
{
    int fds[2];
    if (pipe(fds) != 0)
        return failed_entry(name, strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return failed_entry(name, strerror(errno));
    }
    if (pid == 0) {
        close(fds[0]);
        child(settings, name, fds[1]);
    }
    close(fds[1]);
    text answer = {0};
    int whole = read_answer(fds[0], settings->limit_s, &answer);
    close(fds[0]);
    if (!whole)
        kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    json_t *entry = whole && answer.size ? json_loadb(answer.bytes, answer.size, 0, NULL) : NULL;
    free(answer.bytes);
    if (entry)
        return entry;
    char why[128];
    if (!whole)
        snprintf(why, sizeof why, "stopped after the time limit of %.0f s", settings->limit_s);
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "the process that used it was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(why, sizeof why, "the process that used it failed with status %d", WEXITSTATUS(status));
    return failed_entry(name, why);
}

static json_t *machine(void)
{
    struct utsname name;
    char processor[128] = "", line[256];
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info && fgets(line, sizeof line, info))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            snprintf(processor, sizeof processor, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"), strchr(line, ':') + 2);
            break;
        }
    if (info)
        fclose(info);
    uname(&name);
    return json_pack("{s:s,s:s,s:s,s:I}", "system", name.sysname, "architecture", name.machine, "processor", processor,
                     "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN));
}

static pm_status describe_model(const char *path, json_t **out, pm_error *err)
{
    pm_gguf *file;
    pm_status status = pm_model_read(path, &file, err);
    if (status != PM_OK)
        return status;
    pm_str name = {"", 0};
    (void)pm_gguf_get_str(file, "general.name", &name, NULL);
    *out = json_pack("{s:s%,s:I}", "name", name.data, name.size, "file_bytes", (json_int_t)pm_gguf_file_size(file));
    if (!*out) /* a name that is no UTF-8 */
        *out = json_pack("{s:s,s:I}", "name", "?", "file_bytes", (json_int_t)pm_gguf_file_size(file));
    pm_gguf_close(file);
    return PM_OK;
}

json_t *bench_document(void)
{
    char date[32];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    return json_pack("{s:s,s:s,s:o}", "pumice", PUMICE_VERSION, "date", date, "machine", machine());
}

pm_status bench_run(const bench_settings *settings, json_t **out, pm_error *err)
{
    json_t *model;
    pm_status status = describe_model(settings->model_path, &model, err);
    if (status != PM_OK)
        return status;
    json_t *devices = json_array();
    for (size_t i = 0; i < settings->n_devices; i++) {
        char line[128];
        snprintf(line, sizeof line, "measuring %s (%zu of %zu)", settings->devices[i], i + 1, settings->n_devices);
        if (settings->note)
            settings->note(settings->user, line);
        json_array_append_new(devices, run_device(settings, settings->devices[i]));
    }
    *out = bench_document();
    json_object_set_new(*out, "model", model);
    json_object_set_new(*out, "settings",
                        json_pack("{s:i,s:i,s:i}", "repeats", settings->n_repeats, "threads", settings->n_threads,
                                  "decode_tokens", settings->n_decode));
    json_object_set_new(*out, "devices", devices);
    return PM_OK;
}
