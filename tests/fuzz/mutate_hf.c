/* fuzz.hf_mutations: Hugging Face directories whose config.json or safetensors header is damaged, opened as models
 * and, where they still are some, evaluated and converted. Each is refused with a message or evaluated to the end.
 *
 * usage: mutate_hf DIRECTORY [FILES [SEQUENCE]], where DIRECTORY is a small model that is as it should be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pumice/convert.h"
#include "pumice/encode.h"
#include "pumice/search.h"
#include "tests/fuzz/damage.h"

static const char *const words[] = {"\"",
                                    "{",
                                    "}",
                                    "[",
                                    "]",
                                    ",",
                                    ":",
                                    "null",
                                    "true",
                                    "-1",
                                    "0",
                                    "1e999",
                                    "0.5",
                                    "4294967296",
                                    "99999999999999999999",
                                    "9223372036854775807",
                                    "\"F16\"",
                                    "\"BF16\"",
                                    "\"F64\"",
                                    "\"I64\"",
                                    "\"shape\":[0]",
                                    "\"data_offsets\":[0,4]",
                                    "\\u0000",
                                    "\\ud800",
                                    "\xFF",
                                    "llama",
                                    "mistral",
                                    "qwen3",
                                    "gpt2",
                                    "gemma3_text",
                                    "glm4",
                                    "bert",
                                    "t5",
                                    "marian",
                                    "bart",
                                    "\"norm_first\":true",
                                    "\"layer_types\":[]",
                                    "\"relative_attention_num_buckets\":4",
                                    "\"pad_token_id\":40",
                                    "\"rope_type\":\"yarn\"",
                                    "\"rope_type\":\"llama3\"",
                                    "\"sliding_window\":3",
                                    "\"num_key_value_heads\":1",
                                    "\"head_dim\":7",
                                    "\"tie_word_embeddings\":true",
                                    "64",
                                    "1000000"};

static char folder[] = "/tmp/pumice-hf-XXXXXX";

static size_t read_whole(const char *directory, const char *name, uint8_t *out)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(out, 1, DAMAGE_MAX_BYTES, file) : 0;
    if (file)
        fclose(file);
    if (n == 0 || n == DAMAGE_MAX_BYTES) {
        printf("%s: cannot be read, or is too large\n", path);
        exit(EXIT_FAILURE);
    }
    return n;
}

static void write_whole(const char *name, const uint8_t *bytes, size_t n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

/* Two tokens, or what models of another shape do. */
static pm_status evaluate(pm_model *model, pm_error *err)
{
    static const int32_t text[] = {3, 1, 2};
    const pm_token_sequence sequence = {.tokens = text, .n = 3};
    const pm_model_info *info = pm_model_get_info(model);
    pm_session *session;
    pm_hypothesis *found = NULL;
    size_t n_found = 0;
    int32_t next = info->shape == PM_SHAPE_ENCODER_DECODER ? info->start_token : 0;
    float *vector = malloc(sizeof *vector * (size_t)info->n_embd);
    if (!vector)
        return PM_ERR_INTERNAL;
    pm_status status = pm_session_create(model, &(pm_session_options){.n_ctx = 4, .n_beams = 2}, &session, err);
    if (status == PM_OK && info->shape != PM_SHAPE_DECODER_ONLY)
        status = pm_session_embed(session, &sequence, 1, PM_POOLING_MEAN, 0, vector, err);
    if (status == PM_OK && info->shape == PM_SHAPE_ENCODER_DECODER)
        status = pm_session_beam_search(session, &next, 1, NULL, &found, &n_found, err);
    for (int i = 0; i < 2 && status == PM_OK && info->shape != PM_SHAPE_ENCODER_ONLY; i++)
        status = pm_session_next(session, &next, 1, NULL, &next, err);
    pm_hypotheses_free(found, n_found);
    pm_session_destroy(session);
    free(vector);
    return status;
}

/* Converted: to the end, or refused with a message (weights that are no numbers), and then nothing is left. */
static pm_status convert(pm_error *err)
{
    char path[512];
    snprintf(path, sizeof path, "%s/converted.gguf", folder);
    pm_status status = pm_convert(folder, path, &(pm_convert_options){.type = PM_TYPE_Q8_0, .n_threads = 1}, NULL, err);
    if (status == PM_OK && remove(path) != 0)
        return PM_ERR_INTERNAL;
    return status;
}

/* 1: it ran; 0: refused with a message; -1: neither. */
static int check(pm_device *device, unsigned index)
{
    pm_model *model;
    pm_error err = {PM_OK, ""};
    pm_status status = pm_model_open(folder, device, NULL, &model, &err);
    int taken = status == PM_OK;
    if (taken)
        status = evaluate(model, &err);
    pm_model_close(model);
    if (taken && status == PM_OK)
        status = convert(&err);
    if ((status != PM_OK && !err.message[0]) || status == PM_ERR_INTERNAL) {
        printf("number %u: %s\n", index, err.message[0] ? err.message : "refused without a message");
        return -1;
    }
    return taken;
}

static int run(pm_device *device, const char *directory, unsigned n_files, uint64_t sequence)
{
    static const char *const names[] = {"config.json", "model.safetensors"};
    static damage d;
    static uint8_t good[2][DAMAGE_MAX_BYTES];
    size_t n_good[2];
    unsigned n_taken = 0, n_defects = 0;
    for (int i = 0; i < 2; i++) {
        n_good[i] = read_whole(directory, names[i], good[i]);
        write_whole(names[i], good[i], n_good[i]);
    }
    if (check(device, 0) != 1) {
        printf("%s is refused as it is\n", directory);
        return EXIT_FAILURE;
    }
    d.random = sequence;
    for (unsigned i = 0; i < n_files; i++) {
        int which = (int)damage_draw(&d, 2);
        d.n = n_good[which];
        d.n_reach = which == 1 ? 8 + (size_t)good[1][0] + ((size_t)good[1][1] << 8) : 0; /* the header */
        memcpy(d.bytes, good[which], d.n);
        for (size_t k = 0, n = 1 + damage_draw(&d, 2); k < n; k++)
            damage_once(&d, words, sizeof words / sizeof words[0]);
        write_whole(names[which], d.bytes, d.n);
        int verdict = check(device, i);
        n_taken += verdict == 1;
        n_defects += verdict < 0;
        write_whole(names[which], good[which], n_good[which]);
    }
    printf("%u models: %u refused, %u ran, %u with defects\n", n_files, n_files - n_taken - n_defects, n_taken,
           n_defects);
    int balanced = n_taken >= n_files / 50 && n_taken <= n_files - n_files / 20;
    return n_defects == 0 && balanced ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    pm_device *device;
    pm_error err;
    char path[512];
    if (argc < 2 || !mkdtemp(folder)) {
        fprintf(stderr, "usage: mutate_hf DIRECTORY [FILES [SEQUENCE]]\n");
        return EXIT_FAILURE;
    }
    if (pm_device_open(&(pm_device_options){.name = "reference", .n_threads = 1}, &device, &err) != PM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return EXIT_FAILURE;
    }
    int result = run(device, argv[1], argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10000,
                     argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
    pm_device_close(device);
    static const char *const made[] = {"config.json", "model.safetensors"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, made[i]);
        remove(path);
    }
    rmdir(folder);
    return result;
}
