/* What the files of the conformance test share: a check, what it is given, and how it fails. */
#ifndef PUMICE_PLUGIN_CHECKS_H
#define PUMICE_PLUGIN_CHECKS_H

#include "pumice/conformance.h"

/* What a check says; lies in memory that parent and child share. */
typedef struct check_verdict {
    pm_conformance_outcome outcome;
    int finished;    /* the check came to its end */
    char stage[160]; /* what it is about to do: what is told where it crashes */
    char detail[400];
} check_verdict;

typedef struct check_run {
    const pm_conformance_options *options;
    const pm_plugin *plugin;
    const pm_tokenizer_api *api;
    const pm_tokenizer_spec *spec; /* NULL in checks that need no vocabulary */
    void *instance;                /* made from spec; NULL likewise */
    check_verdict *verdict;
} check_run;

typedef struct plugin_check {
    const char *name;
    void (*run)(check_run *run);
    int needs_instance;
    unsigned seconds; /* until it counts as hanging */
} plugin_check;

extern const plugin_check plugin_checks[];
extern const size_t n_plugin_checks;

/* conformance_fuzz.c */
void check_fuzzing(check_run *run);
void check_threads(check_run *run);
void check_broken_vocabularies(check_run *run);

/* Says what the check does next, for the report of a crash. */
void check_stage(check_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails the check, unless it has failed already; returns 0. */
int check_failed(check_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_note(check_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Calls with all rules of plugin.h checked ---- */

typedef struct check_text {
    const char *name; /* for messages */
    const char *bytes;
    size_t n;
} check_text;

extern const check_text check_texts[];
extern const size_t n_check_texts;

/* Ids with their spans, malloc'ed. */
typedef struct check_tokens {
    int32_t *ids;
    pm_text_span *spans;
    size_t n, n_unknown_bytes;
} check_tokens;
void check_tokens_free(check_tokens *tokens);

/* Encodes with a buffer that is as large as needed, and checks the result: ids in range, spans in order and within
 * the text, nothing written outside the buffers. 0 after a failure. */
int check_encode(check_run *run, const check_text *text, uint32_t flags, check_tokens *out);

/* Decodes likewise; *text is malloc'ed. */
int check_decode(check_run *run, const int32_t *ids, size_t n, uint32_t flags, char **text, size_t *n_text);

/* ---- The built-in vocabularies ---- */

typedef struct builtin_vocabulary {
    const char *name;
    pm_tokenizer_spec spec;
    pm_vocab_entry *entries;
    pm_vocab_merge *merges;
    char *bytes;
} builtin_vocabulary;

enum { N_BUILTIN_VOCABULARIES = 3 };
int builtin_vocabulary_create(int which, builtin_vocabulary *out); /* 0: out of memory */
void builtin_vocabulary_free(builtin_vocabulary *vocabulary);

#endif
