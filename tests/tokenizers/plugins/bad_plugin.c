/* Plugins that the loader must refuse. Compiled once for each fault, with -DFAULT_...; without any it would be a
 * plugin that loads (and whose every function fails). */
#include "pumice/plugin.h"

static pm_plugin_code create(const pm_tokenizer_spec *spec, void **instance, const pm_plugin_message *message)
{
    (void)spec;
    (void)message;
#ifdef FAULT_NULL_INSTANCE
    *instance = NULL;
    return PM_PLUGIN_OK;
#elif defined(FAULT_CODE)
    (void)instance;
    return (pm_plugin_code)77;
#else
    (void)instance;
    if (message && message->text && message->capacity > 4) {
        const char no[] = "nope";
        for (int i = 0; i < 5; i++)
            message->text[i] = no[i];
    }
    return PM_PLUGIN_UNSUPPORTED;
#endif
}

static void destroy(void *instance)
{
    (void)instance;
}

static pm_plugin_code info(const void *instance, pm_tokenizer_info *out)
{
    (void)instance;
    (void)out;
    return PM_PLUGIN_INTERNAL;
}

static pm_plugin_code token_info(const void *instance, int32_t id, pm_token_info *out)
{
    (void)instance;
    (void)id;
    (void)out;
    return PM_PLUGIN_INTERNAL;
}

static pm_plugin_code encode(const void *instance, pm_encode_call *call, const pm_plugin_message *message)
{
    (void)instance;
    (void)call;
    (void)message;
    return PM_PLUGIN_INTERNAL;
}

#ifndef FAULT_MISSING_FUNCTION
static pm_plugin_code decode(const void *instance, pm_decode_call *call, const pm_plugin_message *message)
{
    (void)instance;
    (void)call;
    (void)message;
    return PM_PLUGIN_INTERNAL;
}
#endif

static const pm_tokenizer_api api = {
    .size = sizeof(pm_tokenizer_api),
    .create = create,
    .destroy = destroy,
    .info = info,
    .token_info = token_info,
    .encode = encode,
#ifndef FAULT_MISSING_FUNCTION
    .decode = decode,
#endif
};

#ifdef FAULT_SYMBOL
#define pumice_plugin another_function
#endif

PM_PLUGIN_EXPORT const pm_plugin *pumice_plugin(void);

const pm_plugin *pumice_plugin(void)
{
    static const pm_plugin plugin = {
#ifdef FAULT_ABI
        .abi_version = PM_PLUGIN_ABI + 41,
#else
        .abi_version = PM_PLUGIN_ABI,
#endif
#ifdef FAULT_KIND
        .kind = 1007,
#else
        .kind = PM_PLUGIN_TOKENIZER,
#endif
#ifdef FAULT_SIZE
        .size = 8,
#else
        .size = sizeof(pm_plugin),
#endif
#ifndef FAULT_NAME
        .name = "bad",
#endif
        .api = &api,
    };
#ifdef FAULT_NULL
    return (void)plugin, (const pm_plugin *)0;
#else
    return &plugin;
#endif
}
