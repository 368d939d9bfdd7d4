/* Tokenizers: text to token ids and back, through a plugin that is loaded at run time.
 *
 * The host (tokenizers/) finds and loads the plugin, reads the vocabulary from a model file into the plugin's
 * terms (pumice/plugin.h), and wraps its calls so that results are allocated and errors are pm_error. A
 * pm_tokenizer is immutable and may be used from any number of threads; each keeps its plugin loaded, so several
 * plugins, and several versions of one, live side by side.
 */
#ifndef PUMICE_TOKENIZER_H
#define PUMICE_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/gguf.h"
#include "pumice/plugin.h"
#include "pumice/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_tokenizer pm_tokenizer;

/* All zero: the plugin that the vocabulary asks for, from the standard places. */
typedef struct pm_tokenizer_options {
    const char *plugin;      /* a name ("bpe"), or the path of a file (anything with a '/' or ending in ".so") */
    const char *plugin_dirs; /* directories searched before all others, separated by ':' */
    const pm_plugin_setting *settings; /* passed on to the plugin, for instance {"word_list", path, length} */
    size_t n_settings;
} pm_tokenizer_options;

/* A plugin by name is the first NAME.so in: options->plugin_dirs; the environment's PUMICE_PLUGIN_PATH (separated
 * by
 * ':'); the directories plugins, ../plugins and ../lib/pumice/plugins beside the running program; the directory of
 * the installation. Errors of all three: PM_ERR_NOT_FOUND (no such plugin: the message lists where it was looked
 * for), PM_ERR_FORMAT (not a shared object, not a plugin, a malformed vocabulary), PM_ERR_UNSUPPORTED (a plugin of
 * another ABI version or kind, a vocabulary that the plugin cannot use), PM_ERR_MEMORY. `options` may be NULL. */

/* A tokenizer with the vocabulary of a model file. The file may be closed afterwards. */
pm_status pm_tokenizer_open_gguf(const pm_gguf *file, const pm_tokenizer_options *options, pm_tokenizer **out,
                                 pm_error *err);

/* A tokenizer from a file of any kind: GGUF, tokenizer.json, a SentencePiece model, a tiktoken rank file (its
 * encoding is its name, such as o200k_base.tiktoken, or the setting "encoding"), BERT's vocab.txt. What it is
 * shows in its content. Settings of released models are read from the files beside it (tokenizer_config.json,
 * generation_config.json and the like). A directory stands for the best such file in it. PM_ERR_NOT_FOUND where there is none. */
pm_status pm_tokenizer_open_file(const char *path, const pm_tokenizer_options *options, pm_tokenizer **out,
                                 pm_error *err);

/* A tokenizer from a description that the caller made; borrowed for the call. The default plugin is spec->model.
 */
pm_status pm_tokenizer_open_spec(const pm_tokenizer_spec *spec, const pm_tokenizer_options *options,
                                 pm_tokenizer **out, pm_error *err);

/* A tokenizer that needs no vocabulary from a model: everything comes from options->settings. */
pm_status pm_tokenizer_open_plugin(const pm_tokenizer_options *options, pm_tokenizer **out, pm_error *err);

/* One more owner of the tokenizer; each owner closes it once, and the last close frees it and its plugin. */
pm_tokenizer *pm_tokenizer_retain(pm_tokenizer *tokenizer);
void pm_tokenizer_close(pm_tokenizer *tokenizer); /* NULL is fine */

/* ---- Encoding and decoding; flags are PM_ENCODE_* and PM_DECODE_* of pumice/plugin.h ---- */

/* Ids, one after the other, and what is known of each. Freed with pm_tokens_free; all zero is empty. */
typedef struct pm_tokens {
    int32_t *ids;
    pm_text_span *spans; /* what text each stands for; NULL unless they were asked for */
    uint8_t *type_ids;   /* the segment that each belongs to; NULL unless with_types */
    uint8_t *sequences;  /* a pm_sequence each; NULL unless with_types */
    size_t n;
    size_t n_unknown_bytes; /* bytes of the text that no token stands for: they became unk or were left out */
    size_t n_truncated;     /* tokens that max_tokens cut off */
} pm_tokens;

void pm_tokens_free(pm_tokens *tokens); /* also makes it empty; NULL is fine */

/* Any bytes are fine as text. Special tokens written out in the text are honoured only with
 * PM_ENCODE_PARSE_SPECIAL, which is not for text from users. */
pm_status pm_tokenizer_encode(const pm_tokenizer *tokenizer, const char *text, size_t size, uint32_t flags,
                              pm_tokens *out, pm_error *err);

/* The whole choice: spans of the ids (with_spans), types and sequences (with_types), special tokens honoured in
 * parts of the text only (ascending, not overlapping; so a chat template's own tokens count and a user's
 * look-alikes do not), a pair of sequences, truncation to max_tokens with the special tokens around the text
 * counted. PM_ERR_ARGUMENT where the special tokens alone are more than that, or the one sequence that may be cut
 * is too short. */
typedef struct pm_encode_request {
    const char *text;
    size_t size;
    uint32_t flags;
    int with_spans;
    const pm_text_span *special_spans; /* of text; a pair's second sequence has none */
    size_t n_special_spans;
    const char *pair; /* the second sequence; its spans lie in it. NULL: there is none */
    size_t pair_size;
    int with_types;
    size_t max_tokens; /* 0: no limit */
    pm_truncation truncation;
    int truncate_left; /* tokens go from the beginning of a sequence, not from its end */
} pm_encode_request;

pm_status pm_tokenizer_encode_request(const pm_tokenizer *tokenizer, const pm_encode_request *request,
                                      pm_tokens *out, pm_error *err);

/* ---- Batches ---- */

/* A text, or a pair of texts. */
typedef struct pm_batch_text {
    const char *text;
    size_t size;
    const char *pair; /* NULL: there is none */
    size_t pair_size;
} pm_batch_text;

typedef enum pm_padding {
    PM_PAD_NONE = 0,
    PM_PAD_LONGEST, /* all rows as long as the longest */
    PM_PAD_FIXED    /* at least pad_to tokens */
} pm_padding;

/* All zero: no truncation, no padding, a thread a core. */
typedef struct pm_batch_options {
    uint32_t flags; /* PM_ENCODE_* */
    int n_threads;  /* at most; 0: as many as there are cores. Small batches take fewer; where there are fewer texts
                     * than threads, long ones are cut among them, if the pre-tokenizer is one that allows it */
    int with_spans;
    int with_types;    /* type_ids and sequences */
    size_t max_tokens; /* as in pm_encode_request */
    pm_truncation truncation;
    int truncate_left;
    pm_padding padding;
    size_t pad_to;       /* of PM_PAD_FIXED */
    size_t pad_multiple; /* padded rows are a multiple of this long; 0: any length */
    int pad_left;        /* padding goes in front */
    int sets_pad_id;
    int32_t pad_id; /* with sets_pad_id; otherwise the tokenizer's pad token, or 0 where it has none */
    uint8_t pad_type_id;
} pm_batch_options;

/* What the tokenizer's file says of truncation and padding ("truncation" and "padding" of a tokenizer.json),
 * everything else zero: for callers that want to follow the file. Nothing else looks at these settings. */
void pm_tokenizer_batch_options(const pm_tokenizer *tokenizer, pm_batch_options *options);

/* The tokens of many texts: row i is elements starts[i] to starts[i + 1] - 1 of the arrays. */
typedef struct pm_token_batch {
    size_t n;       /* rows */
    size_t *starts; /* n + 1 */
    int32_t *ids;
    uint8_t *attention_mask; /* 1 for tokens, 0 for padding */
    pm_text_span *spans;     /* NULL unless with_spans; empty for what was added */
    uint8_t *type_ids;       /* NULL unless with_types */
    uint8_t *sequences;      /* NULL unless with_types; a pm_sequence each */
    size_t *n_unknown_bytes; /* of each row */
    size_t *n_truncated;     /* of each row */
    struct pm_batch_memory *memory; /* all of the above, and what the next call works with */
} pm_token_batch;

void pm_token_batch_free(pm_token_batch *batch); /* also makes it empty; NULL is fine */

/* Encodes n texts, each as pm_tokenizer_encode_request would; the result does not depend on the number of threads.
 * Where a text fails the whole call does, and the message says which text. `options` may be NULL. `out` is empty
 * (all zero), or what an earlier call made, with this tokenizer or another: its memory is used again, which is a
 * tenth faster than new memory for each batch. After a failure it is empty. */
pm_status pm_tokenizer_encode_batch(const pm_tokenizer *tokenizer, const pm_batch_text *texts, size_t n,
                                    const pm_batch_options *options, pm_token_batch *out, pm_error *err);

/* *text has *size bytes and a NUL after them; free it with pm_text_free. The bytes need not be UTF-8. An id
 * outside the vocabulary is PM_ERR_ARGUMENT. */
pm_status pm_tokenizer_decode(const pm_tokenizer *tokenizer, const int32_t *ids, size_t n, uint32_t flags,
                              char **text, size_t *size, pm_error *err);
void pm_text_free(char *text); /* NULL is fine */

/* ---- What a tokenizer knows ---- */

size_t pm_tokenizer_n_tokens(const pm_tokenizer *tokenizer);
const char *pm_tokenizer_plugin_name(const pm_tokenizer *tokenizer); /* "bpe" */
const char *pm_tokenizer_plugin_path(const pm_tokenizer *tokenizer); /* the file that was loaded */

/* Ids, or PM_NO_TOKEN. eot ends a turn of a chat where the model has a token for that beside eos (<|eot_id|>). */
int32_t pm_tokenizer_bos(const pm_tokenizer *tokenizer);
int32_t pm_tokenizer_eos(const pm_tokenizer *tokenizer);
int32_t pm_tokenizer_eot(const pm_tokenizer *tokenizer);
int32_t pm_tokenizer_unk(const pm_tokenizer *tokenizer);
int32_t pm_tokenizer_pad(const pm_tokenizer *tokenizer);
int pm_tokenizer_adds_bos(const pm_tokenizer *tokenizer); /* what PM_ENCODE_ADD_SPECIAL does */
int pm_tokenizer_adds_eos(const pm_tokenizer *tokenizer);

/* 1 for control and unknown tokens. 0 for ids outside the vocabulary, here and below. */
int pm_tokenizer_is_special(const pm_tokenizer *tokenizer, int32_t id);

/* 1 where a model says with this token that its answer ends: eos, eot, all that generation_config.json and
 * config.json beside a vocabulary name as eos_token_id, and control tokens known by their names (<|im_end|>,
 * <|eot_id|>, </s>, <|endoftext|>, ...). */
int pm_tokenizer_is_end_of_generation(const pm_tokenizer *tokenizer, int32_t id);

/* The bytes that the token stands for inside a text (special tokens: as they are written); not NUL-terminated,
 * valid as long as the tokenizer. NULL for ids outside the vocabulary. */
const char *pm_tokenizer_token_bytes(const pm_tokenizer *tokenizer, int32_t id, size_t *size);

/* The control or user-defined token that is written exactly like this, or PM_NO_TOKEN. */
int32_t pm_tokenizer_find_special(const pm_tokenizer *tokenizer, const char *text);

/* The chat template (Jinja) of the file that the tokenizer was read from, NUL-terminated; NULL where it has none.
 * Lives as long as the tokenizer. */
const char *pm_tokenizer_chat_template(const pm_tokenizer *tokenizer);

/* ---- Streaming: ids come one at a time, text leaves as soon as it is whole ---- */

typedef struct pm_decode_stream pm_decode_stream; /* one thread at a time; keeps the tokenizer alive */

/* With PM_DECODE_CONTINUATION the ids follow text that has been shown already (a prompt). */
pm_status pm_decode_stream_create(const pm_tokenizer *tokenizer, uint32_t flags, pm_decode_stream **out,
                                  pm_error *err);
void pm_decode_stream_destroy(pm_decode_stream *stream); /* NULL is fine */

/* Takes one id and gives the text that is complete by now: always whole characters of valid UTF-8, perhaps none.
 * Bytes that cannot become a character turn into U+FFFD. *text is NUL-terminated and valid until the next call. */
pm_status pm_decode_stream_push(pm_decode_stream *stream, int32_t id, const char **text, size_t *size,
                                pm_error *err);

/* The rest at the end: a character that never became whole is U+FFFD. The stream then starts anew. */
pm_status pm_decode_stream_flush(pm_decode_stream *stream, const char **text, size_t *size, pm_error *err);

/* ---- Stop strings ---- */

/* Looks for strings that end an answer in text that comes in pieces, holding back what may be the beginning of
 * one. */
typedef struct pm_stop_filter pm_stop_filter;

/* Copies n non-empty NUL-terminated strings. n may be 0: then everything passes. */
pm_status pm_stop_filter_create(const char *const *stops, size_t n, pm_stop_filter **out, pm_error *err);
void pm_stop_filter_destroy(pm_stop_filter *filter); /* NULL is fine */

/* Takes a piece of text and gives what can be shown for certain. *stopped is 1 once a stop string has been seen:
 * the text before it has then been given, and later pieces give nothing. *out is NUL-terminated, valid until the
 * next call. */
pm_status pm_stop_filter_push(pm_stop_filter *filter, const char *text, size_t size, const char **out,
                              size_t *out_size, int *stopped, pm_error *err);

/* What was held back, at the end of the text. */
pm_status pm_stop_filter_flush(pm_stop_filter *filter, const char **out, size_t *out_size, pm_error *err);

#ifdef __cplusplus
}
#endif
#endif
