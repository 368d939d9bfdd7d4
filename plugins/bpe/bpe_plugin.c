/* The plugin's door: the BPE model (bpe.h) on the pipeline that plugins share. */
#include "bpe/bpe.h"
#include "parts/pipeline.h"

static pm_plugin_code create(const pm_tokenizer_spec *spec, void **instance, const pm_plugin_message *message)
{
    const pm_model_kind *const kinds[] = {&bpe_kind};
    return pm_pipeline_create(kinds, 1, spec, instance, message);
}

static const pm_tokenizer_api api = {
    .size = sizeof(pm_tokenizer_api),
    .create = create,
    .destroy = pm_pipeline_destroy,
    .info = pm_pipeline_info,
    .token_info = pm_pipeline_token_info,
    .encode = pm_pipeline_encode,
    .decode = pm_pipeline_decode,
};

PM_PLUGIN_EXPORT const pm_plugin *pumice_plugin(void);

const pm_plugin *pumice_plugin(void)
{
    static const pm_plugin plugin = {
        .abi_version = PM_PLUGIN_ABI,
        .kind = PM_PLUGIN_TOKENIZER,
        .size = sizeof(pm_plugin),
        .name = "bpe",
        .version = "0.1.0",
        .summary =
            "byte-pair encoding: byte-level (GPT-2, LLaMA 3, Qwen, ...) and SentencePiece with byte fallback",
        .api = &api,
    };
    return &plugin;
}
