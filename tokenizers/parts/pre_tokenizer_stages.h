/* The stages that pre-tokenizers are made of; inside of pre_tokenizer*.c only. */
#ifndef PUMICE_PARTS_PRE_TOKENIZER_STAGES_H
#define PUMICE_PARTS_PRE_TOKENIZER_STAGES_H

#include "parts/pre_tokenizer.h"
#include "parts/regex.h"
#include "parts/split_patterns.h"

typedef enum stage_kind {
    STAGE_SPLIT,     /* a matcher, and what becomes of matches */
    STAGE_SCRIPTS,   /* UnicodeScripts */
    STAGE_LENGTH,    /* FixedLength */
    STAGE_METASPACE, /* spaces become a symbol, with one in front */
    STAGE_PREFIX,    /* ByteLevel's add_prefix_space */
    STAGE_SPELL,     /* ByteLevel: bytes spelled as characters */
    STAGE_UNSPELL    /* ... and back, where the model works on bytes */
} stage_kind;

typedef enum matcher_kind {
    MATCH_SCANNER,  /* split_patterns.h */
    MATCH_REGEX,    /* ICU */
    MATCH_STRING,   /* a fixed string */
    MATCH_CHARACTER /* each character for which `is` holds */
} matcher_kind;

/* As Hugging Face's SplitDelimiterBehavior. */
typedef enum split_behavior {
    SPLIT_ISOLATED = 0,
    SPLIT_REMOVED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS
} split_behavior;

typedef struct stage {
    stage_kind kind;
    matcher_kind matcher;
    split_behavior behavior;
    int invert;
    pm_split_scanner *scanner; /* MATCH_SCANNER */
    URegularExpression *regex; /* cloned for each run */
    char *string;              /* MATCH_STRING; METASPACE: the symbol */
    size_t n_string;
    int (*is)(uint32_t code);
    int prepends;  /* METASPACE: 0 never, 1 only where the text starts, 2 always */
    size_t length; /* LENGTH: characters */
} stage;

enum { MOST_STAGES = 64 };

struct pm_pre_tokenizer {
    stage stages[MOST_STAGES];
    size_t n;
    int gives_bytes, needs_origins;
};

struct pm_pre_tokenizer_run {
    URegularExpression *regexes[MOST_STAGES];
    UText texts[MOST_STAGES];
    pm_text_buffer buffers[MOST_STAGES];
    size_t n;
};

/* The next match of a stage's matcher, which is no scanner, within piece->bytes[at, n): [*begin, *end), both n
 * where there is none. */
pm_plugin_code stage_next_match(const stage *s, URegularExpression *regex, const pm_piece *piece, size_t at,
                                size_t *begin, size_t *end, const pm_plugin_message *message);

/* Rewriting stages; 0 when out of memory. */
int stage_metaspace(const stage *s, const pm_piece *in, pm_text_buffer *out, int with_origins);
int stage_prefix(const pm_piece *in, pm_text_buffer *out, int with_origins, int *same);
int stage_spell(const pm_piece *in, pm_text_buffer *out, int with_origins);
int stage_unspell(const pm_piece *in, pm_text_buffer *out, int with_origins);

/* The end of the run of characters of one script that starts at `at`, as UnicodeScripts sees it. */
size_t stage_script_end(const pm_piece *piece, size_t at);

/* Character classes by the names of their pre-tokenizers. */
int character_is_space(uint32_t code);
int character_is_punctuation(uint32_t code);

#endif
