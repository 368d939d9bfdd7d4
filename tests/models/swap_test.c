/* Tokenizers swapped at run time: one session streams with bpe while, on the same model, another one goes over to
 * whitespace, and while bpe's file on disk is replaced by another plugin. Both end with the text that they would
 * have ended with alone.
 *
 * A device serves one caller at a time, so passes take turns under a lock; encoding and decoding do not.
 *
 *     swap_test PLUGIN_FOLDER OTHER_PLUGIN.so MODEL.gguf */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pumice/session.h"
#include "pumice/tokenizer.h"

#include "counted_check.h"

enum { N_STREAMED = 150, N_ROUNDS = 12, N_A_ROUND = 8, TEXT_BYTES = 1 << 16 };

static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;

/* The stream beside the swap begins before it and ends after it. */
static _Atomic(int) n_streamed, is_swapped;

/* Continues a text by n tokens, greedily, and writes what the stream gives. */
static pm_status stream(pm_model *model, const pm_tokenizer *tokenizer, const char *prompt, int n, char *out,
                        int is_beside, pm_error *err)
{
    pm_session *session = NULL;
    pm_decode_stream *decoder = NULL;
    pm_tokens tokens = {0};
    const char *text;
    size_t size, n_out = 0;
    pm_status status = pm_tokenizer_encode(tokenizer, prompt, strlen(prompt), PM_ENCODE_ADD_SPECIAL, &tokens, err);
    if (status == PM_OK)
        status = pm_decode_stream_create(tokenizer, PM_DECODE_CONTINUATION, &decoder, err);
    pthread_mutex_lock(&device_lock);
    if (status == PM_OK)
        status = pm_session_create(model, &(pm_session_options){.n_ctx = 256}, &session, err);
    pthread_mutex_unlock(&device_lock);
    const pm_sampling greedy = {0};
    int32_t next = 0;
    for (int i = 0; i < n && status == PM_OK; i++) {
        if (is_beside)
            n_streamed = i;
        while (is_beside && i == N_STREAMED / 2 && !is_swapped)
            usleep(1000);
        pthread_mutex_lock(&device_lock);
        status = pm_session_next(session, i ? &next : tokens.ids, i ? 1 : tokens.n, &greedy, &next, err);
        pthread_mutex_unlock(&device_lock);
        if (status == PM_OK)
            status = pm_decode_stream_push(decoder, next, &text, &size, err);
        if (status == PM_OK && n_out + size < TEXT_BYTES) {
            memcpy(out + n_out, text, size);
            n_out += size;
        }
    }
    out[n_out] = '\0';
    if (is_beside)
        n_streamed = N_STREAMED; /* also after an error */
    pthread_mutex_lock(&device_lock);
    pm_session_destroy(session);
    pthread_mutex_unlock(&device_lock);
    pm_decode_stream_destroy(decoder);
    pm_tokens_free(&tokens);
    return status;
}

typedef struct streaming {
    pm_model *model;
    pm_tokenizer *tokenizer; /* an owner of its own */
    pm_status status;
    pm_error err;
    char text[TEXT_BYTES];
} streaming;

static const char prompt[] = "Once upon a time";

static void *stream_on_thread(void *user)
{
    streaming *s = user;
    s->status = stream(s->model, s->tokenizer, prompt, N_STREAMED, s->text, 1, &s->err);
    pm_tokenizer_close(s->tokenizer);
    return NULL;
}

static int copy_file(const char *from, const char *to)
{
    char bytes[4096];
    size_t n;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    int good = in && out;
    while (good && (n = fread(bytes, 1, sizeof bytes, in)) > 0)
        good = fwrite(bytes, 1, n, out) == n;
    if (in)
        fclose(in);
    return (!out || fclose(out) == 0) && good;
}

/* The other session: bpe first, then whitespace with a word list, then bpe by its name again, whose file is
 * another plugin's by then. */
static void swap(pm_model *model, pm_tokenizer **current, const char *folder, const char *other_plugin)
{
    static const char words[] = "once\nupon\na\ntime\nthe\ngirl\nwas\n";
    char word_list[512], plugin[512], replacement[512], *text = malloc(TEXT_BYTES);
    pm_error err = {0};
    pm_tokenizer *next = NULL;
    snprintf(word_list, sizeof word_list, "%s/words.txt", folder);
    snprintf(plugin, sizeof plugin, "%s/bpe.so", folder);
    snprintf(replacement, sizeof replacement, "%s/bpe.so.new", folder);
    FILE *file = fopen(word_list, "w");
    if (!file || !text)
        exit(EXIT_FAILURE);
    fputs(words, file);
    fclose(file);

    CHECK(stream(model, *current, prompt, N_A_ROUND, text, 0, &err) == PM_OK, "bpe before the swap: %s",
          err.message);
    CHECK(copy_file(other_plugin, replacement) && rename(replacement, plugin) == 0, "bpe.so cannot be replaced");
    const pm_plugin_setting setting = {"word_list", word_list, strlen(word_list)};
    const pm_tokenizer_options whitespace = {.plugin = "whitespace", .settings = &setting, .n_settings = 1};
    CHECK(pm_tokenizer_open_plugin(&whitespace, &next, &err) == PM_OK, "whitespace: %s", err.message);
    pm_tokenizer_close(*current); /* the other session's owner keeps it */
    *current = next;
    for (int i = 0; i < N_ROUNDS && next; i++) {
        pm_tokens tokens = {0};
        CHECK(pm_tokenizer_encode(next, "once upon a time", 16, 0, &tokens, &err) == PM_OK && tokens.n == 4,
              "whitespace gives %zu tokens for four words: %s", tokens.n, err.message);
        pm_tokens_free(&tokens);
        /* The model's tokens are not words; what matters is that ids go in and come out, known or not. */
        pm_status status = stream(model, next, "once upon a time the girl", N_A_ROUND, text, 0, &err);
        CHECK(status == PM_OK || status == PM_ERR_ARGUMENT, "whitespace: %s", err.message);
    }
    const pm_tokenizer_options named = {.plugin = "bpe", .plugin_dirs = folder};
    CHECK(pm_tokenizer_open_plugin(&named, &next, &err) == PM_OK, "the plugin in bpe's place: %s", err.message);
    CHECK(strcmp(pm_tokenizer_plugin_name(next), "bpe") != 0, "bpe's name still finds the old file");
    pm_tokenizer_close(*current);
    *current = next;
    free(text);
}

static int run(const char *plugins, const char *other_plugin, const char *model_path, const char *folder)
{
    char bpe[512], copy[512];
    static streaming alone, beside;
    pm_error err = {0};
    pm_device *device = NULL;
    pm_model *model = NULL;
    pm_tokenizer *tokenizer = NULL;
    pthread_t thread;
    snprintf(bpe, sizeof bpe, "%s/bpe.so", plugins);
    snprintf(copy, sizeof copy, "%s/bpe.so", folder);
    const pm_tokenizer_options options = {.plugin = "bpe", .plugin_dirs = folder};
    if (!copy_file(bpe, copy) || pm_device_open(&(pm_device_options){.name = "cpu"}, &device, &err) != PM_OK ||
        pm_model_open(model_path, device, NULL, &model, &err) != PM_OK ||
        pm_tokenizer_open_gguf(pm_model_file(model), &options, &tokenizer, &err) != PM_OK) {
        printf("FAILED: %s\n", err.message);
        return EXIT_FAILURE;
    }
    CHECK(strcmp(pm_tokenizer_plugin_path(tokenizer), copy) == 0, "loaded %s",
          pm_tokenizer_plugin_path(tokenizer));
    CHECK(stream(model, tokenizer, prompt, N_STREAMED, alone.text, 0, &err) == PM_OK, "alone: %s", err.message);
    beside = (streaming){.model = model, .tokenizer = pm_tokenizer_retain(tokenizer)};
    if (pthread_create(&thread, NULL, stream_on_thread, &beside) != 0)
        return EXIT_FAILURE;
    while (n_streamed < N_STREAMED / 4)
        usleep(1000);
    swap(model, &tokenizer, folder, other_plugin);
    is_swapped = 1;
    pthread_join(thread, NULL);
    CHECK(beside.status == PM_OK, "streaming: %s", beside.err.message);
    CHECK(strlen(alone.text) > 100 && strcmp(alone.text, beside.text) == 0,
          "the streamed text is another one than without the swap:\n%s\n%s", alone.text, beside.text);
    pm_tokenizer_close(tokenizer);
    pm_model_close(model);
    pm_device_close(device);
    return checks_ended();
}

int main(int argc, char **argv)
{
    static const char *const made[] = {"bpe.so", "bpe.so.new", "words.txt"};
    char folder[] = "/tmp/pumice-swap-XXXXXX", path[128];
    if (argc != 4 || !mkdtemp(folder)) {
        fprintf(stderr, "usage: swap_test PLUGIN_FOLDER OTHER_PLUGIN.so MODEL.gguf\n");
        return EXIT_FAILURE;
    }
    int result = run(argv[1], argv[2], argv[3], folder);
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, made[i]);
        remove(path);
    }
    rmdir(folder);
    return result;
}
