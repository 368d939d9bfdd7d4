/* The third party's plugin with one thing wrong at run time, which `pumice tokenizer-check` must find. Compiled once for
 * each fault, with -DFAULT_... */
#include <stdlib.h>

#define FAULT
#define encode plain_encode
#define decode plain_decode
#include "outside_plugin.c"
#undef encode
#undef decode

static pm_plugin_code rude_encode(const void *instance, pm_encode_call *call, const pm_plugin_message *message)
{
#ifdef FAULT_CRASH
    if (call->n_text > 0 && (call->text[0] & 0x80))
        abort();
#elif defined(FAULT_EXIT)
    if (call->n_text == 1)
        exit(0);
#endif
    pm_plugin_code code = plain_encode(instance, call, message);
#ifdef FAULT_OVERRUN
    if (call->n_ids > call->capacity && call->ids)
        call->ids[call->capacity] = 7;
#elif defined(FAULT_BAD_ID)
    if (call->n_ids > 20 && call->capacity > 20)
        call->ids[20] = 256;
#elif defined(FAULT_SPAN)
    if (call->n_ids > 3 && call->capacity > 3 && call->spans)
        call->spans[3].end = call->n_text + 1;
#elif defined(FAULT_FORGETFUL)
    static int calls;
    if (call->n_ids > 2 && call->capacity > 2)
        call->ids[1] = calls++ % 256;
#elif defined(FAULT_COUNT)
    if (code == PM_PLUGIN_TOO_SMALL)
        call->n_ids = call->capacity + 1;
#elif defined(FAULT_REFUSAL)
    for (size_t i = 0; i < call->n_text; i++)
        if (!call->text[i])
            return PM_PLUGIN_FORMAT;
#endif
    return code;
}

static pm_plugin_code rude_decode(const void *instance, pm_decode_call *call, const pm_plugin_message *message)
{
    pm_plugin_code code = plain_decode(instance, call, message);
#ifdef FAULT_DECODE
    for (size_t i = 0; i < call->n_text && i < call->capacity; i++)
        call->text[i] = (char)(call->text[i] + 1);
#elif defined(FAULT_ANY_ID)
    if (code == PM_PLUGIN_ARGUMENT) {
        call->n_text = 0;
        return PM_PLUGIN_OK;
    }
#endif
    return code;
}

static const pm_tokenizer_api rude_api = {sizeof(pm_tokenizer_api), create, destroy, info, token_info, rude_encode,
                                          rude_decode};
static const pm_plugin rude = {
    PM_PLUGIN_ABI, PM_PLUGIN_TOKENIZER, sizeof(pm_plugin), "rude", "1", "one thing wrong", &rude_api};

PM_PLUGIN_EXPORT const pm_plugin *pumice_plugin(void);

const pm_plugin *pumice_plugin(void)
{
    return &rude;
}
