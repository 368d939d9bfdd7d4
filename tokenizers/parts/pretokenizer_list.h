/* The known pre-tokenizers: which stages each name stands for. */
#ifndef PUMICE_PARTS_PRETOKENIZER_LIST_H
#define PUMICE_PARTS_PRETOKENIZER_LIST_H

#include <stddef.h>

#include "parts/split_scanners.h"

typedef enum pm_stage_kind {
    PM_STAGE_NONE = 0, /* ends the list */
    PM_STAGE_SCAN,     /* a hand-written scanner */
    PM_STAGE_RUN,      /* \s?[set]{1,most}, with or without the leading white space */
    PM_STAGE_TRAILING, /* \s+$: white space at the end of the piece */
    PM_STAGE_REGEX     /* an ICU regular expression */
} pm_stage_kind;

typedef struct pm_stage_spec {
    pm_stage_kind kind;
    pm_scanner scan;     /* SCAN */
    const char *pattern; /* RUN: the set in ICU's notation; REGEX: the expression; UTF-8 */
    size_t most;         /* RUN: characters a match has at most; 0: any number */
    int leading_space;   /* RUN: a match may start with one white-space character */
} pm_stage_spec;

enum { PM_STAGES_MAX = 8 };

typedef struct pm_pretokenizer {
    const char *names; /* separated by spaces; spelled as GGUF's tokenizer.ggml.pre spells them */
    pm_stage_spec stages[PM_STAGES_MAX];
} pm_pretokenizer;

/* The pre-tokenizer of that name, or NULL. Static storage. */
const pm_pretokenizer *pm_pretokenizer_find(const char *name);

#endif
