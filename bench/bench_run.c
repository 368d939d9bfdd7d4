/* The children, one after the other, and the document that joins what they say: see bench.h. */
#include "bench.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_measure.h"
#include "open_model.h"
#include "pumice/gguf.h"
#include "pumice/model.h"
#include "pumice/trace.h"

enum { GRACE_S = 20 }; /* for a child that was asked to stop */

double bench_now_s(void)
{
    return (double)pm_trace_now_ns() * 1e-9;
}

int bench_stopped(const bench_settings *settings)
{
    return settings->should_stop && settings->should_stop(settings->user);
}

void bench_note(const bench_settings *settings, const char *format, ...)
{
    char line[160];
    va_list args;
    if (!settings->note)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    settings->note(settings->user, line);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* ---- One child ---- */

typedef struct job {
    const bench_settings *settings;
    const char *device, *cache_dir;
    bench_truth *truth;
    enum { JOB_START, JOB_DEVICE, JOB_TRUTH } what;
} job;

void bench_publish(const bench_channel *channel)
{
    char *text = json_dumps(channel->entry, JSON_COMPACT);
    if (!text)
        return;
    size_t size = strlen(text);
    text[size++] = '\n'; /* in place of the NUL: a line is whole when its end has come */
    for (size_t at = 0; at < size;) {
        ssize_t n = write(channel->fd, text + at, size - at);
        if (n < 0 && errno != EINTR)
            break;
        at += n > 0 ? (size_t)n : 0;
    }
    free(text);
}

/* In a process group of its own, so that a terminal's Ctrl-C goes to the parent alone, which passes it on; and
 * never longer than the parent. Leaves without running the parent's exit handlers. */
static void run_child(const job *j, int fd)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_channel channel = {.fd = fd, .entry = json_object()};
    if (j->what == JOB_START)
        bench_child_start(j->settings, j->device, j->cache_dir, &channel);
    else if (j->what == JOB_DEVICE)
        bench_child_device(j->settings, j->device, j->cache_dir, j->truth, &channel);
    else
        bench_child_truth(j->settings, j->truth, &channel);
    bench_publish(&channel);
    _exit(0);
}

typedef struct answer {
    char *bytes;
    size_t size, capacity;
} answer;

static int read_some(int fd, answer *a)
{
    if (a->capacity - a->size < 4096) {
        char *grown = realloc(a->bytes, a->capacity + 65536);
        if (!grown)
            return -1;
        a->bytes = grown;
        a->capacity += 65536;
    }
    ssize_t n = read(fd, a->bytes + a->size, a->capacity - a->size);
    if (n < 0)
        return errno == EINTR ? 1 : -1;
    a->size += (size_t)n;
    return n > 0;
}

/* Reads until the child closes the pipe; false when the time limit comes first. An interruption is passed on once.
 */
static int read_answer(const job *j, int fd, pid_t pid, answer *a)
{
    double limit = j->settings->limit_s, end = limit > 0 ? bench_now_s() + limit : 0;
    int told = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = poll(&wait, 1, 200);
        if (bench_stopped(j->settings) && !told) {
            told = 1;
            end = bench_now_s() + GRACE_S;
            kill(pid, SIGINT);
        }
        if (end > 0 && bench_now_s() > end)
            return 0;
        if (ready <= 0)
            continue;
        int more = read_some(fd, a);
        if (more <= 0)
            return more == 0;
    }
}

/* The last whole line. */
static json_t *last_line(const answer *a)
{
    size_t end = a->size;
    while (end > 0 && a->bytes[end - 1] != '\n')
        end--;
    if (end == 0)
        return NULL;
    size_t begin = end - 1;
    while (begin > 0 && a->bytes[begin - 1] != '\n')
        begin--;
    return json_loadb(a->bytes + begin, end - 1 - begin, 0, NULL);
}

static void put_end(json_t *entry, const job *j, int whole, int status)
{
    char why[160];
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (!whole)
        snprintf(why, sizeof why, "stopped after the time limit of %.0f s", j->settings->limit_s);
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "the process that used it was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(why, sizeof why, "the process that used it failed with status %d", WEXITSTATUS(status));
    json_object_set_new(entry, "error", json_string(why));
}

static json_t *failed(const char *why)
{
    return json_pack("{s:s}", "error", why);
}

/* What the child has said, with "error" where it did not end well. */
static json_t *run_job(const job *j)
{
    int fds[2];
    if (pipe(fds) != 0)
        return failed(strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return failed(strerror(errno));
    }
    if (pid == 0) {
        close(fds[0]);
        run_child(j, fds[1]);
    }
    close(fds[1]);
    answer a = {0};
    int status = 0, whole = read_answer(j, fds[0], pid, &a);
    close(fds[0]);
    if (!whole)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    json_t *entry = last_line(&a);
    free(a.bytes);
    if (!entry)
        entry = json_object();
    put_end(entry, j, whole, status);
    return entry;
}

/* ---- One device: its starts, then the rest, with caches of its own ---- */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static json_t *measure_device(const bench_settings *settings, const char *name, bench_truth *truth)
{
    job j = {.settings = settings, .device = name, .truth = truth, .what = JOB_START};
    char folder[] = "/tmp/pumice-bench-XXXXXX";
    int has_pipelines = strncmp(name, "vulkan", 6) == 0;
    json_t *start = json_object();
    if (has_pipelines && !settings->no_cold && mkdtemp(folder)) {
        j.cache_dir = folder;
        bench_note(settings, "%s: first start, empty caches", name);
        json_object_set_new(start, "cold", run_job(&j));
    }
    if (!bench_stopped(settings)) {
        bench_note(settings, "%s: start", name);
        json_object_set_new(start, "warm", run_job(&j));
    }
    j.what = JOB_DEVICE;
    json_t *entry = bench_stopped(settings) ? json_object() : run_job(&j);
    json_object_set_new(entry, "name", json_string(name));
    json_object_set_new(entry, "start", start);
    if (bench_stopped(settings))
        json_object_set_new(entry, "stopped", json_true());
    if (j.cache_dir)
        nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return entry;
}

/* ---- The document ---- */

static json_t *machine(void)
{
    struct utsname name;
    char processor[128] = "", line[256];
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info && fgets(line, sizeof line, info))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            snprintf(processor, sizeof processor, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"),
                     strchr(line, ':') + 2);
            break;
        }
    if (info)
        fclose(info);
    uname(&name);
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I}", "system", name.sysname, "release", name.release, "architecture",
                     name.machine, "processor", processor, "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
                     "memory_bytes", (json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
}

static json_t *build(void)
{
    int is_optimised = 0, is_checked = 1;
#ifdef __OPTIMIZE__
    is_optimised = 1;
#endif
#ifdef NDEBUG
    is_checked = 0;
#endif
    return json_pack("{s:s,s:s,s:b,s:b}", "version", PUMICE_VERSION, "compiler", __VERSION__, "optimised",
                     is_optimised, "assertions", is_checked);
}

json_t *bench_document(void)
{
    char date[32];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    return json_pack("{s:i,s:s,s:s,s:o,s:o}", "schema", BENCH_SCHEMA, "pumice", PUMICE_VERSION, "date", date,
                     "build", build(), "machine", machine());
}

/* The type of most weights, in bytes. */
static pm_type main_type(const pm_gguf *file)
{
    double bytes[PM_TYPE_COUNT] = {0};
    int most = 0;
    for (size_t i = 0; i < pm_gguf_n_tensors(file); i++)
        bytes[pm_gguf_tensor_at(file, i)->type] += (double)pm_gguf_tensor_at(file, i)->n_bytes;
    for (int t = 0; t < PM_TYPE_COUNT; t++)
        most = bytes[t] > bytes[most] ? t : most;
    return (pm_type)most;
}

static pm_status describe_model(const char *path, json_t **out, double *n_weights, size_t *row, pm_error *err)
{
    pm_gguf *file;
    pm_status status = pm_model_read(path, &file, err);
    if (status != PM_OK)
        return status;
    pm_str name = {"", 0}, architecture = {"", 0};
    (void)pm_gguf_get_str(file, "general.name", &name, NULL);
    (void)pm_gguf_get_str(file, "general.architecture", &architecture, NULL);
    json_t *text = json_stringn(name.data, name.size),
           *family = json_stringn(architecture.data, architecture.size);
    uint64_t bytes = 0, file_bytes = pm_gguf_file_size(file);
    *n_weights = 0;
    for (size_t i = 0; i < pm_gguf_n_tensors(file); i++) {
        const pm_gguf_tensor *t = pm_gguf_tensor_at(file, i);
        bytes += t->n_bytes;
        *n_weights += (double)t->n_bytes / pm_type_get(t->type)->block_bytes * pm_type_get(t->type)->block_elems;
    }
    const pm_gguf_tensor *table = pm_gguf_find_tensor(file, "token_embd.weight");
    *row = table ? (size_t)(table->dim[1] > table->dim[0] ? table->dim[1] : table->dim[0]) : 0;
    *out = json_pack("{s:o,s:o,s:s,s:I,s:I,s:I}", "name", text ? text : json_string("?"), "architecture",
                     family ? family : json_string("?"), "type", pm_type_name(main_type(file)), "n_weights",
                     (json_int_t)*n_weights, "weight_bytes", (json_int_t)bytes, "file_bytes",
                     (json_int_t)(file_bytes > bytes ? file_bytes : bytes)); /* a directory is many files */
    pm_gguf_close(file);
    return PM_OK;
}

static json_t *sizes_json(const bench_sizes *sizes)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizes->n; i++)
        json_array_append_new(list, json_integer(sizes->list[i]));
    return list;
}

static json_t *settings_json(const bench_settings *s)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:s,s:o,s:o,s:o,s:f}", "repeats", s->n_repeats, "threads", s->n_threads,
                     "decode_tokens", s->n_decode, "decode_steps", s->n_steps, "kv_type", cli_kv_type_names[s->kv_type], "prompts",
                     sizes_json(&s->prompts), "depths", sizes_json(&s->depths), "batches", sizes_json(&s->batches), "budget_s", s->budget_s);
}

/* So many that the reference takes a second or two, and, of a small model, enough to need the kernels of long
 * prompts. */
static int32_t choose_verify(const bench_settings *s, double n_weights)
{
    if (s->n_verify >= 0)
        return s->n_verify;
    double n = 6e9 / (n_weights + 1);
    return n < 4 ? 4 : n > 40 ? 40 : (int32_t)n;
}

/* Runs the reference; the memory that its results lie in is shared with the children to come. */
static json_t *make_truth(const bench_settings *settings, double n_weights, size_t row, bench_truth **out)
{
    int32_t n = choose_verify(settings, n_weights);
    *out = NULL;
    if (n == 0 || row == 0)
        return NULL;
    size_t n_values = (size_t)n * row, bytes = sizeof(bench_truth) + n_values * sizeof(float);
    bench_truth *truth = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (truth == MAP_FAILED)
        return failed("no memory for the reference's logits");
    *truth = (bench_truth){.n_tokens = n, .n_values = n_values, .values = (float *)(truth + 1)};
    *out = truth;
    bench_note(settings, "reference: logits of %d tokens", n);
    return run_job(&(job){.settings = settings, .device = "reference", .truth = truth, .what = JOB_TRUTH});
}

pm_status bench_run(const bench_settings *settings, json_t **out, pm_error *err)
{
    json_t *model;
    double n_weights;
    size_t row;
    bench_truth *truth;
    pm_status status = describe_model(settings->model_path, &model, &n_weights, &row, err);
    if (status != PM_OK)
        return status;
    *out = bench_document();
    json_object_set_new(*out, "model", model);
    json_object_set_new(*out, "settings", settings_json(settings));
    json_t *reference = make_truth(settings, n_weights, row, &truth);
    if (reference)
        json_object_set_new(*out, "reference", reference);
    json_t *devices = json_array();
    json_object_set_new(*out, "devices", devices);
    for (size_t i = 0; i < settings->n_devices && !bench_stopped(settings); i++)
        json_array_append_new(devices, measure_device(settings, settings->devices[i], truth));
    if (truth)
        munmap(truth, sizeof *truth + truth->n_values * sizeof(float));
    if (bench_stopped(settings))
        json_object_set_new(*out, "stopped", json_true());
    return PM_OK;
}
