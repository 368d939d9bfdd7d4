/* The mask tokens that a text spells out for a masked language model. */
#ifndef PUMICE_TOOLS_MASKS_H
#define PUMICE_TOOLS_MASKS_H

#include "pumice/tokenizer.h"

/* The tokenizer's mask token, [MASK] or <mask>, with its text in *text; PM_NO_TOKEN where it has none. */
int32_t cli_find_mask(const pm_tokenizer *tokenizer, const char **text);

#endif
