/* fuzz.hf_mutations: Hugging Face directories, of which a JSON file or the header of a safetensors file is
 * damaged, one after the other. The directory is opened as a model and, where it still is one, evaluated and
 * converted; where it has a tokenizer, a text is encoded and decoded. Each is refused with a message or goes to
 * the end.
 *
 * usage: mutate_hf DIRECTORY [TIMES [SEQUENCE]], where DIRECTORY is a small model that is as it should be and each
 * of its files is damaged so many times. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pumice/convert.h"
#include "pumice/encode.h"
#include "pumice/search.h"
#include "pumice/tokenizer.h"
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
                                    "\"type\":\"Unigram\"",
                                    "\"type\":\"BPE\"",
                                    "\"special\":true",
                                    "\"content\":\"\"",
                                    "[[[[[[[[[[[[[[[[",
                                    "64",
                                    "1000000"};

enum { MOST_FILES = 16 };

/* What is damaged: bytes as they should be, read from the directory, and written to a folder of our own. */
typedef struct good_file {
    char name[256];
    uint8_t *bytes;
    size_t n, n_reach; /* of safetensors, the header */
    unsigned n_taken, n_refused, n_defects;
} good_file;

static char folder[] = "/tmp/pumice-hf-XXXXXX";

static void write_whole(const char *name, const uint8_t *bytes, size_t n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%.255s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

static int ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

static void read_whole(const char *directory, good_file *f)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%.255s", directory, f->name);
    FILE *file = fopen(path, "rb");
    f->bytes = malloc(DAMAGE_MAX_BYTES);
    f->n = file && f->bytes ? fread(f->bytes, 1, DAMAGE_MAX_BYTES, file) : 0;
    if (file)
        fclose(file);
    if (f->n < 8 || f->n == DAMAGE_MAX_BYTES) {
        printf("%s: cannot be read, or is too small or too large\n", path);
        exit(EXIT_FAILURE);
    }
    if (ends_with(f->name, ".safetensors"))
        f->n_reach = 8 + (size_t)f->bytes[0] + ((size_t)f->bytes[1] << 8);
}

static size_t read_directory(const char *directory, good_file *files)
{
    DIR *list = opendir(directory);
    size_t n = 0;
    for (struct dirent *entry; list && (entry = readdir(list)) != NULL;) {
        if (!ends_with(entry->d_name, ".json") && !ends_with(entry->d_name, ".safetensors"))
            continue;
        if (n == MOST_FILES) {
            printf("%s: more than %d files\n", directory, MOST_FILES);
            exit(EXIT_FAILURE);
        }
        snprintf(files[n].name, sizeof files[n].name, "%s", entry->d_name);
        read_whole(directory, &files[n]);
        write_whole(files[n].name, files[n].bytes, files[n].n);
        n++;
    }
    if (list)
        closedir(list);
    return n;
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
    pm_status status =
        pm_convert(folder, path, &(pm_convert_options){.type = PM_TYPE_Q8_0, .n_threads = 1}, NULL, err);
    if (status == PM_OK && remove(path) != 0)
        return PM_ERR_INTERNAL;
    return status;
}

static int is_explained(pm_status status, const pm_error *err, const char *name, unsigned index)
{
    if (status == PM_OK || (err->message[0] && status != PM_ERR_INTERNAL))
        return 1;
    printf("%s, number %u: %s\n", name, index, err->message[0] ? err->message : "refused without a message");
    return 0;
}

/* 1: it ran; 0: refused with a message; -1: neither. */
static int check_model(pm_device *device, const char *name, unsigned index)
{
    pm_model *model;
    pm_error err = {PM_OK, ""};
    pm_status status = pm_model_open(folder, device, NULL, &model, &err);
    int is_opened = status == PM_OK;
    if (is_opened)
        status = evaluate(model, &err);
    pm_model_close(model);
    if (is_opened && status == PM_OK)
        status = convert(&err);
    return is_explained(status, &err, name, index) ? is_opened : -1;
}

static pm_status encode_and_decode(const pm_tokenizer *tokenizer, pm_error *err)
{
    static const char text[] = "The house is small: it's 1234 \xE4\xB8\x96\xF0\x9F\x8C\x8B\xFF </s><pad>\n x";
    pm_tokens tokens = {0};
    char *back = NULL;
    size_t n_back;
    pm_status status = pm_tokenizer_encode(tokenizer, text, sizeof text - 1, PM_ENCODE_ADD_SPECIAL, &tokens, err);
    for (size_t i = 0; i < tokens.n && status == PM_OK; i++)
        if (tokens.ids[i] < 0 || (size_t)tokens.ids[i] >= pm_tokenizer_n_tokens(tokenizer))
            status = PM_ERR_INTERNAL;
    if (status == PM_OK)
        status = pm_tokenizer_decode(tokenizer, tokens.ids, tokens.n, 0, &back, &n_back, err);
    pm_text_free(back);
    pm_tokens_free(&tokens);
    return status;
}

/* The same for its tokenizer. */
static int check_tokenizer(const char *name, unsigned index)
{
    const pm_tokenizer_options options = {.plugin_dirs = PUMICE_BUILD_DIR "/plugins"};
    pm_tokenizer *tokenizer = NULL;
    pm_error err = {PM_OK, ""};
    pm_status status = pm_tokenizer_open_file(folder, &options, &tokenizer, &err);
    int is_opened = status == PM_OK;
    if (is_opened)
        status = encode_and_decode(tokenizer, &err);
    pm_tokenizer_close(tokenizer);
    return is_explained(status, &err, name, index) ? is_opened : -1;
}

/* Whoever reads the file is asked; config.json is read by both. */
static int check(pm_device *device, int has_tokenizer, const char *name, unsigned index)
{
    int is_of_tokenizer = strstr(name, "token") != NULL;
    int verdict = has_tokenizer && !ends_with(name, ".safetensors") ? check_tokenizer(name, index) : 1;
    int model = is_of_tokenizer ? 1 : check_model(device, name, index);
    return verdict < model ? verdict : model;
}

static void damage_file(pm_device *device, int has_tokenizer, good_file *f, unsigned n_times, uint64_t sequence)
{
    static damage d;
    d.random = sequence;
    for (unsigned i = 0; i < n_times; i++) {
        d.n = f->n;
        d.n_reach = f->n_reach;
        memcpy(d.bytes, f->bytes, d.n);
        for (size_t k = 0, n = 1 + damage_draw(&d, 2); k < n; k++)
            damage_once(&d, words, sizeof words / sizeof words[0]);
        write_whole(f->name, d.bytes, d.n);
        int verdict = check(device, has_tokenizer, f->name, i);
        f->n_taken += verdict == 1;
        f->n_refused += verdict == 0;
        f->n_defects += verdict < 0;
    }
    write_whole(f->name, f->bytes, f->n);
    printf("%s: %u damaged, %u refused, %u taken, %u with defects\n", f->name, n_times, f->n_refused, f->n_taken,
           f->n_defects);
}

static int run(pm_device *device, const char *directory, unsigned n_times, uint64_t sequence)
{
    static good_file files[MOST_FILES];
    size_t n = read_directory(directory, files);
    unsigned n_taken = 0, n_refused = 0, n_defects = 0;
    int has_tokenizer = 0;
    for (size_t i = 0; i < n; i++)
        has_tokenizer |= strcmp(files[i].name, "tokenizer.json") == 0;
    int is_good = check(device, has_tokenizer, "config.json", 0) == 1;
    if (!is_good)
        printf("%s is refused as it is\n", directory);
    for (size_t i = 0; i < n && is_good; i++) {
        damage_file(device, has_tokenizer, &files[i], n_times, sequence + i);
        n_taken += files[i].n_taken;
        n_refused += files[i].n_refused;
        n_defects += files[i].n_defects;
    }
    for (size_t i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%.255s", folder, files[i].name);
        remove(path);
        free(files[i].bytes);
    }
    /* Both kinds must be there in numbers, or the damage was too weak or too strong to test anything. */
    int is_balanced = n_taken >= n * n_times / 50 && n_refused >= n * n_times / 20;
    return is_good && n_defects == 0 && is_balanced ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    pm_device *device;
    pm_error err;
    if (argc < 2 || !mkdtemp(folder)) {
        fprintf(stderr, "usage: mutate_hf DIRECTORY [TIMES [SEQUENCE]]\n");
        return EXIT_FAILURE;
    }
    if (pm_device_open(&(pm_device_options){.name = "reference", .n_threads = 1}, &device, &err) != PM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return EXIT_FAILURE;
    }
    int result = run(device, argv[1], argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10000,
                     argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
    pm_device_close(device);
    rmdir(folder);
    return result;
}
