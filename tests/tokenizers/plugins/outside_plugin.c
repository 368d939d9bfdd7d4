/* A tokenizer by a third party: every byte is its own id. C and C++; compiled with nothing but the public header.
 */
#include <stdlib.h>
#include <string.h>

#include "pumice/plugin.h"

typedef struct byte_tokenizer {
    char bytes[256];
} byte_tokenizer;

static pm_plugin_code create(const pm_tokenizer_spec *spec, void **instance, const pm_plugin_message *message)
{
    byte_tokenizer *t = (byte_tokenizer *)malloc(sizeof *t);
    (void)spec;
    (void)message;
    if (!t)
        return PM_PLUGIN_MEMORY;
    for (int i = 0; i < 256; i++)
        t->bytes[i] = (char)i;
    *instance = t;
    return PM_PLUGIN_OK;
}

static void destroy(void *instance)
{
    free(instance);
}

/* Hosts of other versions have shorter or longer structs: never write beyond the size that they say. */
static void give(void *to, const void *from, size_t known, size_t size)
{
    memcpy((char *)to + sizeof size, (const char *)from + sizeof size, (size < known ? size : known) - sizeof size);
}

static pm_plugin_code info(const void *instance, pm_tokenizer_info *out)
{
    pm_tokenizer_info all;
    (void)instance;
    memset(&all, 0, sizeof all);
    all.n_tokens = 256;
    all.bos = all.eos = all.unk = all.pad = PM_NO_TOKEN;
    give(out, &all, sizeof all, out->size);
    return PM_PLUGIN_OK;
}

static pm_plugin_code token_info(const void *instance, int32_t id, pm_token_info *out)
{
    if (id < 0 || id > 255)
        return PM_PLUGIN_ARGUMENT;
    pm_token_info all;
    memset(&all, 0, sizeof all);
    all.bytes = ((const byte_tokenizer *)instance)->bytes + id;
    all.n_bytes = 1;
    all.kind = PM_TOKEN_NORMAL;
    give(out, &all, sizeof all, out->size);
    return PM_PLUGIN_OK;
}

static pm_plugin_code encode(const void *instance, pm_encode_call *call, const pm_plugin_message *message)
{
    (void)instance;
    (void)message;
    if (call->size < sizeof *call)
        return PM_PLUGIN_ARGUMENT;
    if (call->pair)
        return PM_PLUGIN_UNSUPPORTED;
    call->n_unknown_bytes = 0;
    for (call->n_ids = 0; call->n_ids < call->n_text; call->n_ids++)
        if (call->n_ids < call->capacity) {
            call->ids[call->n_ids] = (unsigned char)call->text[call->n_ids];
            if (call->spans) {
                call->spans[call->n_ids].begin = call->n_ids;
                call->spans[call->n_ids].end = call->n_ids + 1;
            }
        }
    return call->n_ids > call->capacity ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK;
}

static pm_plugin_code decode(const void *instance, pm_decode_call *call, const pm_plugin_message *message)
{
    (void)instance;
    (void)message;
    if (call->size < sizeof *call)
        return PM_PLUGIN_ARGUMENT;
    for (size_t i = 0; i < call->n_ids; i++)
        if (call->ids[i] < 0 || call->ids[i] > 255)
            return PM_PLUGIN_ARGUMENT;
    for (call->n_text = 0; call->n_text < call->n_ids; call->n_text++)
        if (call->n_text < call->capacity)
            call->text[call->n_text] = (char)call->ids[call->n_text];
    return call->n_text > call->capacity ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK;
}

#ifndef FAULT /* rude_plugin.c includes this file for the functions alone */
static const pm_tokenizer_api api = {sizeof(pm_tokenizer_api), create, destroy, info, token_info, encode, decode};
static const pm_plugin plugin = {
    PM_PLUGIN_ABI, PM_PLUGIN_TOKENIZER, sizeof(pm_plugin), "bytes", "1", "one id a byte", &api};

#ifdef __cplusplus
extern "C"
#endif
    PM_PLUGIN_EXPORT const pm_plugin *
    pumice_plugin(void);

const pm_plugin *pumice_plugin(void)
{
    return &plugin;
}
#endif
