/* The plugin ABI: all that a tokenizer plugin and its host need to know of each other.
 *
 * A plugin is a shared object that exports one function, pumice_plugin(), and nothing else. It returns a constant
 * description with a table of functions for the kind of plugin that it is. This header needs only <stddef.h> and
 * <stdint.h>, is C and C++, and is all that a third party compiles against; plugins/whitespace is the worked
 * example.
 *
 * Rules for both sides:
 *  - A struct that can grow starts with its own size. A reader uses only fields that lie within that size, and
 * takes the others as zero; so hosts and plugins of the same PM_PLUGIN_ABI but different age work together.
 *  - Everything behind a `const` pointer in an argument is borrowed for the duration of that call only.
 *  - A plugin never aborts, exits, prints, or throws through this boundary: it returns a code and fills in a
 * message.
 *  - Text is bytes. It is usually UTF-8, but a plugin must accept any bytes, NUL included.
 */
#ifndef PUMICE_PLUGIN_H
#define PUMICE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PM_PLUGIN_ABI    1u              /* changes when old plugins can no longer be used */
#define PM_PLUGIN_SYMBOL "pumice_plugin" /* the one exported function; its type is pm_plugin_entry */

#if defined(_WIN32)
#define PM_PLUGIN_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define PM_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define PM_PLUGIN_EXPORT
#endif

/* What the functions of a plugin return. */
typedef enum pm_plugin_code {
    PM_PLUGIN_OK = 0,
    PM_PLUGIN_TOO_SMALL = 1,   /* the caller's buffer: the size that is needed has been written; not a failure */
    PM_PLUGIN_ARGUMENT = 2,    /* the caller broke a rule of this header, or an id is out of range */
    PM_PLUGIN_FORMAT = 3,      /* the vocabulary or a setting is malformed */
    PM_PLUGIN_UNSUPPORTED = 4, /* well-formed, but this plugin cannot do it */
    PM_PLUGIN_MEMORY = 5,
    PM_PLUGIN_IO = 6,
    PM_PLUGIN_INTERNAL = 7
} pm_plugin_code;

/* Where a failing function writes one sentence (UTF-8, NUL-terminated, cut where it does not fit) that says what
 * is wrong and where. May be NULL, and capacity may be 0. */
typedef struct pm_plugin_message {
    char *text;
    size_t capacity;
} pm_plugin_message;

/* Kinds of plugin. Values of 1000 and above are free for private use. */
typedef enum pm_plugin_kind {
    PM_PLUGIN_TOKENIZER = 1 /* api is a pm_tokenizer_api */
} pm_plugin_kind;

/* What pumice_plugin() returns: constant, valid as long as the shared object is loaded. */
typedef struct pm_plugin {
    uint32_t
        abi_version;  /* PM_PLUGIN_ABI as the plugin was compiled; first for ever, so that any host can read it */
    uint32_t kind;    /* pm_plugin_kind */
    size_t size;      /* sizeof(pm_plugin) */
    const char *name; /* "bpe" */
    const char *version; /* "0.1.0"; for people */
    const char *summary; /* one line for people: what it does */
    const void *api;     /* by kind */
} pm_plugin;

typedef const pm_plugin *(*pm_plugin_entry)(void);

/* ---- Tokenizers: what one is made from ---- */

/* What a vocabulary entry is for. The numbers are those of GGUF's token_type. */
typedef enum pm_token_kind {
    PM_TOKEN_NORMAL = 1,
    PM_TOKEN_UNKNOWN = 2, /* stands for what the vocabulary does not have */
    PM_TOKEN_CONTROL = 3, /* special: matched in text only where the caller allows it, hidden by SKIP_SPECIAL */
    PM_TOKEN_USER_DEFINED = 4, /* added: matched in text whole, before anything else looks at it */
    PM_TOKEN_UNUSED = 5,       /* has an id and bytes, but text never becomes it */
    PM_TOKEN_BYTE = 6          /* stands for the byte `byte` where no other token does */
} pm_token_kind;

/* How a CONTROL or USER_DEFINED entry is matched in text (the flags of Hugging Face's added tokens). */
#define PM_TOKEN_LSTRIP      1u  /* takes the white space before it along */
#define PM_TOKEN_RSTRIP      2u  /* takes the white space after it along */
#define PM_TOKEN_SINGLE_WORD 4u  /* only where no letter, digit or underscore touches it */
#define PM_TOKEN_NORMALIZED  8u  /* looked for in the normalised text, not in the text as given */
#define PM_TOKEN_IN_MODEL    16u /* of USER_DEFINED: the model has it too, so merges may make it */
#define PM_TOKEN_VERBATIM                                                                                         \
    32u /* with NORMALIZED: looked for as it is; without, its own normalised form is what is                      \
         * looked for */

/* One entry; its id is its index. */
typedef struct pm_vocab_entry {
    const char *bytes; /* not NUL-terminated. What the entry stands for in the text that the model sees: with
                        * PM_ALPHABET_BYTES the real bytes (any spelling of a file already undone), otherwise UTF-8
                        * in which space_symbol stands for a space */
    double score; /* log-probability or merge priority, higher is better; 0 where the file has none; never NaN. As
                   * exact as the file gives it: near ties are decided by the last bit */
    uint32_t n_bytes;
    uint8_t kind;  /* pm_token_kind */
    uint8_t flags; /* PM_TOKEN_* flags */
    uint8_t byte;  /* of a BYTE entry */
    uint8_t reserved;
} pm_vocab_entry;

/* A BPE merge; its rank is its index, the lowest is applied first. The pair becomes the entry that is their
 * concatenation. */
typedef struct pm_vocab_merge {
    int32_t left;
    int32_t right;
    int32_t result;
} pm_vocab_merge;

/* The smallest units of the model. */
typedef enum pm_alphabet {
    PM_ALPHABET_CHARACTERS = 0, /* Unicode characters */
    PM_ALPHABET_BYTES = 1       /* bytes */
} pm_alphabet;

/* A setting by name, for what this version of the header has no field for. Values are bytes. Plugins ignore keys
 * that they do not know. Keys in use: "word_list", path of a text file with one word a line (whitespace); and
 * whatever else the user passes on to a plugin. */
typedef struct pm_plugin_setting {
    const char *key; /* NUL-terminated */
    const char *value;
    size_t n_value;
} pm_plugin_setting;

#define PM_NO_TOKEN (-1)

#define PM_SPEC_ADD_BOS 1u /* PM_ENCODE_ADD_SPECIAL puts the bos token first */
#define PM_SPEC_ADD_EOS 2u /* ... and the eos token last */

/* Everything that a tokenizer is made from. The host fills it in from a model file, and has checked that kinds,
 * ids and merges are in range; a plugin checks again what it relies on. */
typedef struct pm_tokenizer_spec {
    size_t size;        /* sizeof(pm_tokenizer_spec) */
    const char *source; /* where the vocabulary is from, for messages */
    const char *model; /* the plugin that it is for: "bpe", "unigram", "wordpiece"; NULL: there is no vocabulary */
    const pm_vocab_entry *entries;
    size_t n_entries;
    const pm_vocab_merge *merges; /* none: neighbours merge by the score of what they become */
    size_t n_merges;
    /* How text becomes what the model sees, and back: JSON (UTF-8, n_pipeline bytes) in the language of Hugging
     * Face's tokenizer.json, without what the fields above say already: an object with the members normalizer,
     * pre_tokenizer, model (type and settings, no vocab and no merges), post_processor, decoder, truncation,
     * padding, each of which may be absent or null. Whatever the vocabulary was read from, this describes it. */
    const char *pipeline;
    size_t n_pipeline;
    const char *space_symbol; /* for plugins that do not read the pipeline: what stands for a space in entries,
                               * such as U+2581; NULL or "": the space itself */
    uint32_t alphabet;        /* pm_alphabet */
    uint32_t flags;           /* PM_SPEC_*, for plugins that do not read the pipeline */
    int32_t bos, eos, unk, pad, sep, cls, mask; /* ids or PM_NO_TOKEN */
    uint32_t reserved;
    const pm_plugin_setting *settings;
    size_t n_settings;
} pm_tokenizer_spec;

/* ---- Tokenizers: use ---- */

/* A stretch of the input text, in bytes: begin <= end. */
typedef struct pm_text_span {
    size_t begin;
    size_t end;
} pm_text_span;

#define PM_ENCODE_PARSE_SPECIAL 1u /* control tokens written out in the text are honoured; not for users' text */
#define PM_ENCODE_ADD_SPECIAL   2u /* bos, eos and the like are added as the vocabulary says */
#define PM_ENCODE_CONTINUATION  4u /* the text continues earlier text: no space prefix at its start */

/* Which sequence a token comes from. */
typedef enum pm_sequence {
    PM_SEQUENCE_NONE = 0, /* added around the text */
    PM_SEQUENCE_FIRST = 1,
    PM_SEQUENCE_SECOND = 2
} pm_sequence;

/* Of a pair that is too long, which is cut. The names are those of Hugging Face's tokenizers. */
typedef enum pm_truncation {
    PM_TRUNCATE_LONGEST_FIRST = 0,
    PM_TRUNCATE_ONLY_FIRST = 1,
    PM_TRUNCATE_ONLY_SECOND = 2
} pm_truncation;

/* One call of encode: arguments, then results. */
typedef struct pm_encode_call {
    size_t size;      /* sizeof(pm_encode_call) */
    const char *text; /* may be NULL where n_text is 0 */
    size_t n_text;
    uint32_t flags;     /* PM_ENCODE_* */
    uint32_t n_threads; /* so many threads may work on this text: 0 and 1 mean the caller's alone. A hint; the result
                         * does not depend on it */
    const pm_text_span
        *special_spans;     /* without PARSE_SPECIAL: control tokens are honoured where they lie wholly */
    size_t n_special_spans; /* within one of these; ascending, not overlapping, within the text */
    int32_t *ids;           /* room for `capacity` ids; may be NULL where capacity is 0 */
    pm_text_span *spans;    /* NULL, or room for `capacity` spans: what each id stands for; empty for added
                             * ones */
    size_t capacity;
    size_t n_ids; /* out: ids of the whole text, also where they did not fit (then TOO_SMALL is returned) */
    size_t n_unknown_bytes; /* out: bytes of text that no token stands for; they became `unk` or were left out */

    /* A pair of sequences, and truncation. All zero: neither. A plugin that does not know the one or the other
     * refuses such calls with PM_PLUGIN_UNSUPPORTED; type_ids and sequences are filled in by all. */
    const char *pair; /* the second sequence; spans of its tokens lie in it. NULL: there is none */
    size_t n_pair;
    uint8_t *type_ids;      /* NULL, or room for `capacity`: 0 or 1, the segment that a token belongs to */
    uint8_t *sequences;     /* NULL, or room for `capacity`: a pm_sequence */
    size_t max_tokens;      /* 0: no limit; otherwise at most so many ids come out, added ones counted */
    uint32_t truncation;    /* pm_truncation */
    uint32_t truncate_left; /* tokens go from the beginning of a sequence, not from its end */
    size_t n_truncated;     /* out: tokens that were dropped */
} pm_encode_call;

#define PM_DECODE_SKIP_SPECIAL 1u /* control and unknown tokens give no bytes */
#define PM_DECODE_CONTINUATION 2u /* the ids continue earlier text: the space of the prefix is kept */

/* One call of decode. */
typedef struct pm_decode_call {
    size_t size; /* sizeof(pm_decode_call) */
    const int32_t *ids;
    size_t n_ids;
    uint32_t flags; /* PM_DECODE_* */
    uint32_t reserved;
    char *text; /* room for `capacity` bytes; may be NULL where capacity is 0; not NUL-terminated */
    size_t capacity;
    size_t n_text; /* out: bytes of the whole text, also where they did not fit (then TOO_SMALL is returned) */
} pm_decode_call;

/* What a tokenizer says of one of its tokens. */
typedef struct pm_token_info {
    size_t size;       /* sizeof(pm_token_info), set by the caller */
    const char *bytes; /* what decoding the token in the middle of a text gives; valid as long as the instance */
    size_t n_bytes;
    float score;
    uint32_t kind; /* pm_token_kind */
} pm_token_info;

/* What a tokenizer says of itself. The ids are PM_NO_TOKEN where there is none. */
typedef struct pm_tokenizer_info {
    size_t size;     /* sizeof(pm_tokenizer_info), set by the caller */
    size_t n_tokens; /* ids are 0 to n_tokens - 1 */
    int32_t bos, eos, unk, pad;
    uint32_t flags; /* PM_SPEC_ADD_BOS, PM_SPEC_ADD_EOS as they are in effect */
    uint32_t reserved;
} pm_tokenizer_info;

/* The functions of a tokenizer plugin. An instance never changes once created: all functions but destroy may be
 * called on it by any number of threads at once. */
typedef struct pm_tokenizer_api {
    size_t size; /* sizeof(pm_tokenizer_api) */

    /* Makes an instance. On failure *instance is left alone. */
    pm_plugin_code (*create)(const pm_tokenizer_spec *spec, void **instance, const pm_plugin_message *message);
    void (*destroy)(void *instance); /* NULL is fine */

    pm_plugin_code (*info)(const void *instance, pm_tokenizer_info *info);
    pm_plugin_code (*token_info)(const void *instance, int32_t id, pm_token_info *info);

    pm_plugin_code (*encode)(const void *instance, pm_encode_call *call, const pm_plugin_message *message);
    pm_plugin_code (*decode)(const void *instance, pm_decode_call *call, const pm_plugin_message *message);
} pm_tokenizer_api;

#ifdef __cplusplus
}
#endif
#endif
