/* fuzz.model_mutations: damaged models, opened as models and, where they still are some, run for two tokens.
 *
 * What the GGUF reader lets through (a consistent file) may still be no consistent model: sizes that do not fit
 * together, missing tensors, absurd hyperparameters, NaN weights. Each is refused with a message or evaluated to the
 * end on the reference backend. usage: mutate_model [FILES [SEQUENCE]] */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pumice/session.h"
#include "tests/fuzz/gguf_mutations.h"

/* Runs two tokens, as a prompt and one more. Context and batch are small: damage must not make the test slow. */
static pm_status evaluate(pm_model *model, pm_error *err)
{
    pm_session_options options = {.n_ctx = 4};
    pm_session *session;
    pm_status status = pm_session_create(model, &options, &session, err);
    int32_t next = 0;
    const pm_sampling sampling = {.temperature = 0.8f, .top_k = 5, .top_p = 0.9f, .repeat_penalty = 1.1f};
    if (status == PM_OK)
        status = pm_session_next(session, &next, 1, NULL, &next, err);
    if (status == PM_OK)
        status = pm_session_next(session, &next, 1, &sampling, &next, err);
    if (status == PM_OK && (next < 0 || next >= pm_model_get_info(model)->n_vocab)) {
        snprintf(err->message, sizeof err->message, "the token chosen, %d, is outside the vocabulary", next);
        err->status = status = PM_ERR_INTERNAL;
    }
    pm_session_destroy(session);
    return status;
}

static int check(const uint8_t *bytes, size_t size, const char *name, void *context)
{
    pm_device *device = context;
    int fd = memfd_create("model", 0);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size) {
        perror("memfd");
        exit(EXIT_FAILURE);
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    pm_model *model;
    pm_error err = {PM_OK, ""};
    pm_status status = pm_model_open(path, device, NULL, &model, &err);
    int taken = status == PM_OK;
    if (taken)
        status = evaluate(model, &err);
    pm_model_close(model);
    close(fd);
    if ((status != PM_OK && !err.message[0]) || status == PM_ERR_INTERNAL) {
        printf("%s: %s\n", name, err.message[0] ? err.message : "refused without a message");
        return -1;
    }
    return taken;
}

int main(int argc, char **argv)
{
    uint32_t n_files = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 4000;
    uint64_t sequence = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    static const char *const models[] = {"llama_tied", "llama3_rope_bias", "llama_yarn", "mistral_window", "qwen2", "qwen3"};
    gguf_seeds seeds = {0};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/llama/%s.gguf", PUMICE_TEST_DATA, models[i]);
        gguf_seeds_add_file(&seeds, models[i], path);
    }
    pm_device *device;
    pm_error err = {PM_OK, ""};
    pm_device_options options = {.name = "reference", .n_threads = 1};
    if (pm_device_open(&options, &device, &err) != PM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return EXIT_FAILURE;
    }
    mutation_report report = gguf_mutations_run(&seeds, sequence, n_files, check, device, PUMICE_BUILD_DIR);
    printf("%u damaged models: %u refused, %u run, %u with defects\n", n_files, report.n_refused, report.n_taken,
           report.n_defects);
    pm_device_close(device);
    gguf_seeds_destroy(&seeds);
    int balanced = report.n_refused >= n_files / 10 && report.n_taken >= n_files / 50;
    if (!balanced)
        printf("too few files of one kind\n");
    return report.n_defects == 0 && balanced ? EXIT_SUCCESS : EXIT_FAILURE;
}
