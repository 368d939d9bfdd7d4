/* The conformance test of plugins: see pumice/conformance.h.
 *
 * The plugin is loaded here; every check runs in a child process that shares one page with this one, its verdict.
 * A child that dies or hangs before it has finished has failed, and the stage it was at says where.
 */
#include "plugin_checks.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "plugin_loader.h"
#include "vocabulary.h"

typedef struct conformance_test {
    const pm_conformance_options *options;
    pm_plugin_handle handle;
    check_verdict *verdict; /* shared with the child */
    pm_conformance_report report;
    void *user;
    size_t n_failed;
} conformance_test;

static void report(conformance_test *test, const char *check, const char *vocabulary,
                   pm_conformance_outcome outcome, const char *detail)
{
    pm_conformance_result result = {check, vocabulary, outcome, detail};
    test->n_failed += outcome == PM_CONFORMANCE_FAILED;
    if (test->report)
        test->report(test->user, &result);
}

/* ---- In the child ---- */

static void run_check(conformance_test *test, const plugin_check *check, const pm_tokenizer_spec *spec)
{
    char words[300] = "";
    pm_plugin_message message = {words, sizeof words};
    check_run run = {.options = test->options,
                     .plugin = test->handle.plugin,
                     .api = test->handle.plugin->api,
                     .spec = spec,
                     .verdict = test->verdict};
    alarm(check->seconds);
    if (check->needs_instance) {
        check_stage(&run, "create");
        pm_plugin_code code = run.api->create(spec, &run.instance, &message);
        if (code != PM_PLUGIN_OK || !run.instance) {
            check_failed(&run, "create returns code %d: %s", (int)code, words);
            return;
        }
    }
    check->run(&run);
    if (run.instance) {
        check_stage(&run, "destroy");
        run.api->destroy(run.instance);
    }
}

/* ---- Around it ---- */

static void explain_death(check_verdict *verdict, int status, const plugin_check *check)
{
    verdict->outcome = PM_CONFORMANCE_FAILED;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(verdict->detail, sizeof verdict->detail, "still not done after %u s with: %s", check->seconds,
                 verdict->stage);
    else if (WIFSIGNALED(status))
        snprintf(verdict->detail, sizeof verdict->detail, "the plugin crashed (%s) with: %s",
                 strsignal(WTERMSIG(status)), verdict->stage);
    else
        snprintf(verdict->detail, sizeof verdict->detail, "the plugin ended the program (status %d) with: %s",
                 WEXITSTATUS(status), verdict->stage);
}

static void run_apart(conformance_test *test, const plugin_check *check, const char *vocabulary,
                      const pm_tokenizer_spec *spec)
{
    memset(test->verdict, 0, sizeof *test->verdict);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run_check(test, check, spec);
        test->verdict->finished = 1;
        _exit(0);
    }
    int status = 0;
    if (child < 0) {
        report(test, check->name, vocabulary, PM_CONFORMANCE_FAILED, "no process could be started for it");
        return;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!test->verdict->finished)
        explain_death(test->verdict, status, check);
    report(test, check->name, vocabulary, test->verdict->outcome, test->verdict->detail);
}

/* Whether the plugin makes an instance of the vocabulary; itself a check, since it may crash. */
static void check_create(check_run *run)
{
    char words[300] = "";
    pm_plugin_message message = {words, sizeof words};
    void *instance = NULL;
    check_stage(run, "create");
    pm_plugin_code code = run->api->create(run->spec, &instance, &message);
    if (code == PM_PLUGIN_OK && instance) {
        check_stage(run, "destroy");
        run->api->destroy(instance);
    } else if (code == PM_PLUGIN_OK) {
        check_failed(run, "create returns OK and no instance");
    } else if ((code == PM_PLUGIN_UNSUPPORTED || code == PM_PLUGIN_FORMAT) && words[0]) {
        run->verdict->outcome = PM_CONFORMANCE_SKIPPED;
        check_note(run, "not taken: %s", words);
    } else {
        check_failed(run, "create returns code %d: %s", (int)code, words[0] ? words : "(it gives no message)");
    }
}

/* All checks with one vocabulary; 1 where the plugin takes it. */
static int test_vocabulary(conformance_test *test, const char *name, const pm_tokenizer_spec *spec, int must_take)
{
    static const plugin_check create = {"create", check_create, 0, 60};
    pm_tokenizer_spec full = *spec;
    full.settings = test->options->settings;
    full.n_settings = test->options->n_settings;
    run_apart(test, &create, name, &full);
    if (test->verdict->outcome != PM_CONFORMANCE_PASSED) {
        if (must_take && test->verdict->outcome == PM_CONFORMANCE_SKIPPED)
            report(test, "vocabulary", name, PM_CONFORMANCE_FAILED,
                   "the plugin does not take the vocabulary that was given");
        return 0;
    }
    for (size_t i = 0; i < n_plugin_checks; i++)
        if (plugin_checks[i].needs_instance)
            run_apart(test, &plugin_checks[i], name, &full);
    return 1;
}

static pm_status test_given(conformance_test *test, pm_error *err)
{
    pm_vocabulary vocabulary;
    const pm_conformance_options *options = test->options;
    pm_status status =
        pm_vocabulary_read_file(options->vocabulary, options->settings, options->n_settings, &vocabulary, err);
    if (status == PM_OK)
        test_vocabulary(test, options->vocabulary, &vocabulary.spec, 1);
    pm_vocabulary_free(&vocabulary);
    return status;
}

static pm_status test_builtin(conformance_test *test, pm_error *err)
{
    int n_taken = 0;
    for (int i = 0; i < N_BUILTIN_VOCABULARIES; i++) {
        builtin_vocabulary vocabulary;
        if (!builtin_vocabulary_create(i, &vocabulary))
            return pm_fail_memory(err, sizeof vocabulary, "a vocabulary");
        n_taken += test_vocabulary(test, vocabulary.name, &vocabulary.spec, 0);
        builtin_vocabulary_free(&vocabulary);
    }
    if (n_taken == 0)
        report(test, "vocabulary", "", PM_CONFORMANCE_FAILED,
               "the plugin takes none of the built-in vocabularies: give one that it takes");
    return PM_OK;
}

pm_status pm_plugin_conformance(const pm_conformance_options *options, pm_conformance_report report_fn, void *user,
                                size_t *n_failed, pm_error *err)
{
    conformance_test test = {.options = options, .report = report_fn, .user = user};
    *n_failed = 0;
    PM_TRY(pm_plugin_load(options->plugin, options->plugin_dirs, PM_PLUGIN_TOKENIZER, &test.handle, err));
    test.verdict = mmap(NULL, sizeof *test.verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pm_status status = PM_OK;
    if (test.verdict == MAP_FAILED) {
        status = pm_fail_memory(err, sizeof *test.verdict, "the checks' verdict");
    } else {
        for (size_t i = 0; i < n_plugin_checks; i++)
            if (!plugin_checks[i].needs_instance)
                run_apart(&test, &plugin_checks[i], "", NULL);
        status = options->vocabulary ? test_given(&test, err) : test_builtin(&test, err);
        munmap(test.verdict, sizeof *test.verdict);
    }
    pm_plugin_unload(&test.handle);
    *n_failed = test.n_failed;
    return status;
}
