/* What is inside of a pm_tokenizer, for the host's own files. */
#ifndef PUMICE_TOKENIZER_INSTANCE_H
#define PUMICE_TOKENIZER_INSTANCE_H

#include <stdatomic.h>

#include "plugin_loader.h"
#include "pumice/tokenizer.h"

struct pm_tokenizer {
    atomic_size_t owners;
    pm_plugin_handle plugin;
    const pm_tokenizer_api *api;
    void *instance;
    pm_tokenizer_info info;
    int32_t eot;
    uint8_t *marks; /* one a token */
    char *chat_template;
    pm_batch_options batch_options; /* what the file says of truncation and padding */
};

/* Reads "truncation" and "padding" of a pipeline; both may be absent. PM_ERR_FORMAT where they are out of range.
 */
pm_status pm_batch_options_read(const pm_tokenizer_spec *spec, pm_batch_options *out, pm_error *err);

#endif
