/* A tokenizer: an instance of a plugin with what the host knows of its vocabulary. See pumice/tokenizer.h.
 *
 * Flow: the vocabulary is read into a spec (vocabulary_gguf.c), the plugin is loaded (plugin_loader.c), its
 * create() makes the instance, and the host asks it about every token once to mark those that end an answer.
 * Afterwards nothing changes, so that all calls are free of locks.
 */
#include "pumice/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tokenizer_instance.h"
#include "vocabulary.h"

enum { IS_SPECIAL = 1, ENDS_GENERATION = 2 };

/* ---- Opening ---- */

/* clang-format off */
/* How the released models call the tokens that end an answer, and of these, a turn within a chat. */
static const char *const end_names[] = {
    "<|endoftext|>", "<|im_end|>",      "<|end|>",       "<|eot_id|>", "<|eom_id|>",   "<|end_of_text|>",
    "<|eot|>",       "<|endofturn|>",   "</s>",          "<eos>",      "<end_of_turn>", "<|end_of_turn|>",
    "<EOT>",         "_<EOT>",          "<|return|>",    "<end_of_utterance>",          "<|END_OF_TURN_TOKEN|>",
    "<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
};
static const char *const turn_names[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|eot|>", "<|endofturn|>", "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
};
/* clang-format on */

static int is_name(const pm_token_info *token, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) == token->n_bytes && memcmp(names[i], token->bytes, token->n_bytes) == 0)
            return 1;
    return 0;
}

static void mark_end(pm_tokenizer *t, int32_t id)
{
    if (id >= 0 && (size_t)id < t->info.n_tokens)
        t->marks[id] |= ENDS_GENERATION;
}

static pm_status mark_tokens(pm_tokenizer *t, const pm_vocabulary *known, pm_error *err)
{
    if (t->info.n_tokens > INT32_MAX)
        return pm_fail(err, PM_ERR_LIMIT, "plugin '%s': %zu tokens are too many", t->plugin.path,
                       t->info.n_tokens);
    t->marks = calloc(t->info.n_tokens + 1, 1);
    if (!t->marks)
        return pm_fail_memory(err, t->info.n_tokens + 1, "a tokenizer");
    for (size_t i = 0; i < t->info.n_tokens; i++) {
        pm_token_info token = {.size = sizeof token};
        pm_plugin_code code = t->api->token_info(t->instance, (int32_t)i, &token);
        if (code != PM_PLUGIN_OK || (!token.bytes && token.n_bytes > 0))
            return pm_fail(err, PM_ERR_INTERNAL, "plugin '%s' knows nothing of token %zu", t->plugin.path, i);
        int may_end = token.kind == PM_TOKEN_CONTROL || token.kind == PM_TOKEN_USER_DEFINED;
        if (token.kind == PM_TOKEN_CONTROL || token.kind == PM_TOKEN_UNKNOWN)
            t->marks[i] |= IS_SPECIAL;
        if (may_end && is_name(&token, end_names, sizeof end_names / sizeof end_names[0]))
            t->marks[i] |= ENDS_GENERATION;
        if (may_end && t->eot == PM_NO_TOKEN &&
            is_name(&token, turn_names, sizeof turn_names / sizeof turn_names[0]))
            t->eot = (int32_t)i;
    }
    mark_end(t, t->info.eos);
    mark_end(t, t->eot);
    for (size_t i = 0; known && i < known->n_ends; i++)
        mark_end(t, known->ends[i]);
    return PM_OK;
}

/* The spec with the caller's settings instead of its own, where there are any. */
static pm_tokenizer_spec with_settings(const pm_tokenizer_spec *spec, const pm_tokenizer_options *options)
{
    pm_tokenizer_spec full = *spec;
    if (options->n_settings > 0) {
        full.settings = options->settings;
        full.n_settings = options->n_settings;
    }
    return full;
}

static pm_status make_instance(pm_tokenizer *t, const pm_tokenizer_spec *spec, const pm_vocabulary *known,
                               pm_error *err)
{
    char text[400] = "";
    pm_plugin_message message = {text, sizeof text};
    pm_plugin_code code = t->api->create(spec, &t->instance, &message);
    if (code == PM_PLUGIN_OK && !t->instance)
        code = PM_PLUGIN_INTERNAL;
    PM_TRY(pm_plugin_error(err, code, spec->source ? spec->source : t->plugin.plugin->name, text));
    t->info.size = sizeof t->info;
    code = t->api->info(t->instance, &t->info);
    PM_TRY(pm_plugin_error(err, code, t->plugin.path, "the plugin does not describe its instance"));
    return mark_tokens(t, known, err);
}

/* known: what the vocabulary's file says beyond the spec; NULL: nothing. */
static pm_status open_spec(const pm_tokenizer_spec *spec, const pm_tokenizer_options *options,
                           const pm_vocabulary *known, pm_tokenizer **out, pm_error *err)
{
    const char *name = options->plugin ? options->plugin : spec->model;
    if (!name)
        return pm_fail(err, PM_ERR_ARGUMENT,
                       "no tokenizer plugin is named, and there is no vocabulary to choose by");
    pm_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return pm_fail_memory(err, sizeof *t, "a tokenizer");
    atomic_init(&t->owners, 1);
    t->eot = known ? known->eot : PM_NO_TOKEN;
    pm_status status = pm_batch_options_read(spec, &t->batch_options, err);
    if (status == PM_OK)
        status = pm_plugin_load(name, options->plugin_dirs, PM_PLUGIN_TOKENIZER, &t->plugin, err);
    if (status == PM_OK) {
        pm_tokenizer_spec full = with_settings(spec, options);
        t->api = t->plugin.plugin->api;
        status = make_instance(t, &full, known, err);
    }
    if (status == PM_OK && known && known->chat_template) {
        t->chat_template = strdup(known->chat_template);
        if (!t->chat_template)
            status = pm_fail_memory(err, strlen(known->chat_template), "a chat template");
    }
    if (status == PM_OK)
        *out = t;
    else
        pm_tokenizer_close(t);
    return status;
}

static const pm_tokenizer_options default_options;

pm_status pm_tokenizer_open_gguf(const pm_gguf *file, const pm_tokenizer_options *options, pm_tokenizer **out,
                                 pm_error *err)
{
    pm_vocabulary vocabulary;
    pm_status status = pm_vocabulary_read_gguf(file, &vocabulary, err);
    if (status == PM_OK)
        status = open_spec(&vocabulary.spec, options ? options : &default_options, &vocabulary, out, err);
    pm_vocabulary_free(&vocabulary);
    return status;
}

pm_status pm_tokenizer_open_file(const char *path, const pm_tokenizer_options *options, pm_tokenizer **out,
                                 pm_error *err)
{
    pm_vocabulary vocabulary;
    const pm_tokenizer_options *chosen = options ? options : &default_options;
    pm_status status = pm_vocabulary_read_file(path, chosen->settings, chosen->n_settings, &vocabulary, err);
    if (status == PM_OK)
        status = open_spec(&vocabulary.spec, chosen, &vocabulary, out, err);
    pm_vocabulary_free(&vocabulary);
    return status;
}

pm_status pm_tokenizer_open_spec(const pm_tokenizer_spec *spec, const pm_tokenizer_options *options,
                                 pm_tokenizer **out, pm_error *err)
{
    if (!spec || spec->size < sizeof *spec)
        return pm_fail(err, PM_ERR_ARGUMENT, "the description of the tokenizer lacks its size");
    return open_spec(spec, options ? options : &default_options, NULL, out, err);
}

pm_status pm_tokenizer_open_plugin(const pm_tokenizer_options *options, pm_tokenizer **out, pm_error *err)
{
    pm_tokenizer_spec empty = {.size = sizeof empty};
    empty.bos = empty.eos = empty.unk = empty.pad = empty.sep = empty.cls = empty.mask = PM_NO_TOKEN;
    return pm_tokenizer_open_spec(&empty, options, out, err);
}

pm_tokenizer *pm_tokenizer_retain(pm_tokenizer *tokenizer)
{
    atomic_fetch_add_explicit(&tokenizer->owners, 1, memory_order_relaxed);
    return tokenizer;
}

void pm_tokenizer_close(pm_tokenizer *tokenizer)
{
    if (!tokenizer || atomic_fetch_sub_explicit(&tokenizer->owners, 1, memory_order_acq_rel) > 1)
        return;
    if (tokenizer->instance)
        tokenizer->api->destroy(tokenizer->instance);
    pm_plugin_unload(&tokenizer->plugin);
    free(tokenizer->marks);
    free(tokenizer->chat_template);
    free(tokenizer);
}

/* ---- Encoding ---- */

void pm_tokens_free(pm_tokens *tokens)
{
    if (!tokens)
        return;
    free(tokens->ids);
    free(tokens->spans);
    free(tokens->type_ids);
    free(tokens->sequences);
    memset(tokens, 0, sizeof *tokens);
}

static pm_status reserve_tokens(pm_tokens *tokens, size_t n, const pm_encode_request *request, pm_error *err)
{
    pm_tokens_free(tokens);
    if (n > SIZE_MAX / sizeof *tokens->spans)
        return pm_fail_memory(err, SIZE_MAX, "tokens");
    size_t least = n ? n : 1;
    tokens->ids = malloc(least * sizeof *tokens->ids);
    if (request->with_spans)
        tokens->spans = malloc(least * sizeof *tokens->spans);
    if (request->with_types) {
        tokens->type_ids = malloc(least);
        tokens->sequences = malloc(least);
    }
    if (!tokens->ids || (request->with_spans && !tokens->spans) ||
        (request->with_types && (!tokens->type_ids || !tokens->sequences))) {
        pm_tokens_free(tokens);
        return pm_fail_memory(err, n * sizeof *tokens->ids, "tokens");
    }
    return PM_OK;
}

static pm_encode_call make_call(const pm_encode_request *request, const pm_tokens *tokens, size_t capacity)
{
    return (pm_encode_call){
        .size = sizeof(pm_encode_call),
        .text = request->text,
        .n_text = request->size,
        .flags = request->flags,
        .special_spans = request->special_spans,
        .n_special_spans = request->n_special_spans,
        .ids = tokens->ids,
        .spans = tokens->spans,
        .capacity = capacity,
        .pair = request->pair,
        .n_pair = request->pair_size,
        .type_ids = tokens->type_ids,
        .sequences = tokens->sequences,
        .max_tokens = request->max_tokens,
        .truncation = request->truncation,
        .truncate_left = request->truncate_left != 0,
    };
}

enum { LONG_TEXT = 1 << 26 };

pm_status pm_tokenizer_encode_request(const pm_tokenizer *tokenizer, const pm_encode_request *request,
                                      pm_tokens *out, pm_error *err)
{
    pm_tokens tokens = {0};
    char text[400] = "";
    pm_plugin_message message = {text, sizeof text};
    /* Room that nearly always is enough; else the plugin says how much is, and everything is done again. All but
     * very long texts get a token a byte: memory that is not written to costs nothing. */
    size_t size = request->size + (request->pair ? request->pair_size : 0);
    size_t capacity = size < LONG_TEXT ? size + 16 : size / 2;
    pm_plugin_code code = PM_PLUGIN_TOO_SMALL;
    for (int attempt = 0; attempt < 2 && code == PM_PLUGIN_TOO_SMALL; attempt++) {
        PM_TRY(reserve_tokens(&tokens, capacity, request, err));
        pm_encode_call call = make_call(request, &tokens, capacity);
        code = tokenizer->api->encode(tokenizer->instance, &call, &message);
        if (code == PM_PLUGIN_OK && call.n_ids > capacity)
            code = PM_PLUGIN_INTERNAL;
        tokens.n = call.n_ids;
        tokens.n_unknown_bytes = call.n_unknown_bytes;
        tokens.n_truncated = call.n_truncated;
        capacity = call.n_ids;
    }
    if (code != PM_PLUGIN_OK) {
        pm_tokens_free(&tokens);
        return pm_plugin_error(err, code, tokenizer->plugin.plugin->name, text);
    }
    *out = tokens;
    return PM_OK;
}

pm_status pm_tokenizer_encode(const pm_tokenizer *tokenizer, const char *text, size_t size, uint32_t flags,
                              pm_tokens *out, pm_error *err)
{
    pm_encode_request request = {.text = text, .size = size, .flags = flags};
    return pm_tokenizer_encode_request(tokenizer, &request, out, err);
}

/* ---- Decoding ---- */

pm_status pm_tokenizer_decode(const pm_tokenizer *tokenizer, const int32_t *ids, size_t n, uint32_t flags,
                              char **text, size_t *size, pm_error *err)
{
    char sentence[400] = "";
    pm_plugin_message message = {sentence, sizeof sentence};
    size_t capacity = n < SIZE_MAX / 16 ? n * 8 + 64 : n;
    char *bytes = NULL;
    pm_plugin_code code = PM_PLUGIN_TOO_SMALL;
    for (int attempt = 0; attempt < 2 && code == PM_PLUGIN_TOO_SMALL; attempt++) {
        free(bytes);
        bytes = capacity < SIZE_MAX ? malloc(capacity + 1) : NULL;
        if (!bytes)
            return pm_fail_memory(err, capacity, "decoded text");
        pm_decode_call call = {
            .size = sizeof call, .ids = ids, .n_ids = n, .flags = flags, .text = bytes, .capacity = capacity};
        code = tokenizer->api->decode(tokenizer->instance, &call, &message);
        if (code == PM_PLUGIN_OK && call.n_text > capacity)
            code = PM_PLUGIN_INTERNAL;
        capacity = call.n_text;
    }
    if (code != PM_PLUGIN_OK) {
        free(bytes);
        return pm_plugin_error(err, code, tokenizer->plugin.plugin->name, sentence);
    }
    bytes[capacity] = '\0';
    *text = bytes;
    *size = capacity;
    return PM_OK;
}

void pm_text_free(char *text)
{
    free(text);
}

/* ---- What a tokenizer knows ---- */

size_t pm_tokenizer_n_tokens(const pm_tokenizer *tokenizer)
{
    return tokenizer->info.n_tokens;
}

const char *pm_tokenizer_plugin_name(const pm_tokenizer *tokenizer)
{
    return tokenizer->plugin.plugin->name;
}

const char *pm_tokenizer_plugin_path(const pm_tokenizer *tokenizer)
{
    return tokenizer->plugin.path;
}

int32_t pm_tokenizer_bos(const pm_tokenizer *tokenizer)
{
    return tokenizer->info.bos;
}

int32_t pm_tokenizer_eos(const pm_tokenizer *tokenizer)
{
    return tokenizer->info.eos;
}

int32_t pm_tokenizer_eot(const pm_tokenizer *tokenizer)
{
    return tokenizer->eot;
}

int32_t pm_tokenizer_unk(const pm_tokenizer *tokenizer)
{
    return tokenizer->info.unk;
}

int32_t pm_tokenizer_pad(const pm_tokenizer *tokenizer)
{
    return tokenizer->info.pad;
}

int pm_tokenizer_adds_bos(const pm_tokenizer *tokenizer)
{
    return (tokenizer->info.flags & PM_SPEC_ADD_BOS) != 0;
}

int pm_tokenizer_adds_eos(const pm_tokenizer *tokenizer)
{
    return (tokenizer->info.flags & PM_SPEC_ADD_EOS) != 0;
}

static int is_marked(const pm_tokenizer *tokenizer, int32_t id, int mark)
{
    return id >= 0 && (size_t)id < tokenizer->info.n_tokens && (tokenizer->marks[id] & mark) != 0;
}

int pm_tokenizer_is_special(const pm_tokenizer *tokenizer, int32_t id)
{
    return is_marked(tokenizer, id, IS_SPECIAL);
}

int pm_tokenizer_is_end_of_generation(const pm_tokenizer *tokenizer, int32_t id)
{
    return is_marked(tokenizer, id, ENDS_GENERATION);
}

const char *pm_tokenizer_token_bytes(const pm_tokenizer *tokenizer, int32_t id, size_t *size)
{
    pm_token_info token = {.size = sizeof token};
    *size = 0;
    if (id < 0 || (size_t)id >= tokenizer->info.n_tokens ||
        tokenizer->api->token_info(tokenizer->instance, id, &token) != PM_PLUGIN_OK)
        return NULL;
    *size = token.n_bytes;
    return token.bytes;
}

int32_t pm_tokenizer_find_special(const pm_tokenizer *tokenizer, const char *text)
{
    for (size_t i = 0; i < tokenizer->info.n_tokens; i++) {
        pm_token_info token = {.size = sizeof token};
        if (tokenizer->api->token_info(tokenizer->instance, (int32_t)i, &token) == PM_PLUGIN_OK &&
            (token.kind == PM_TOKEN_CONTROL || token.kind == PM_TOKEN_USER_DEFINED) && is_name(&token, &text, 1))
            return (int32_t)i;
    }
    return PM_NO_TOKEN;
}

const char *pm_tokenizer_chat_template(const pm_tokenizer *tokenizer)
{
    return tokenizer->chat_template;
}
