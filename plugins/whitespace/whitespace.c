/* The whitespace tokenizer: words and punctuation marks to the ids of a word list. Copy this file to write your
 * own.
 *
 * It needs one header, pumice/plugin.h, and is built into one shared object that exports one function:
 *     cc -shared -fPIC -fvisibility=hidden -I<include directory> whitespace.c -o whitespace.so
 *     pumice tokenize --tokenizer ./whitespace.so ...
 * The steps, each marked below: (1) decide what an instance holds, (2) make it from the spec, (3) free it, (4)
 * turn text into ids, (5) turn ids into text, (6) say what you know, (7) list your functions, (8) export them.
 *
 * What it does: a word is a run of letters, digits, underscores and bytes beyond ASCII; every other visible
 * character is a token of its own; white space only separates. The words come from the setting "word_list" (a text
 * file, one word a line, whose line numbers from 0 are the ids; "<unk>" among them or added at the end is the
 * unknown token), or are those of a text (the setting "text", a file; the most frequent word has id 0; "words"
 * says how many at most), or else those of the model's vocabulary, where a word is found with or without the space
 * before it. Decoding puts one space between tokens, so a text comes back with its spacing made regular.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/plugin.h"

/* Step 1. What an instance holds. It never changes after step 2, so that any number of threads can use it. */
typedef struct word {
    const char *bytes; /* within whitespace.text, without the space before it */
    size_t size;
    int32_t id;
    uint8_t kind;
    uint8_t after_space; /* the vocabulary has it with a space before it */
} word;

typedef struct whitespace {
    char *text; /* the bytes of all words */
    size_t n;
    word *by_id;
    word *sorted; /* words that text can become, by bytes and then after_space */
    size_t n_sorted;
    int32_t bos, eos, unk, pad;
    uint32_t flags;
} whitespace;

/* Every failure is a code and one sentence. */
static pm_plugin_code fail(const pm_plugin_message *message, pm_plugin_code code, const char *format, ...)
{
    if (message && message->text && message->capacity > 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(message->text, message->capacity, format, args);
        va_end(args);
    }
    return code;
}

/* ---- What a word is ---- */

static int is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int is_word_byte(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Where the word or sign that begins at `at` ends. */
static size_t word_end(const char *text, size_t n, size_t at)
{
    size_t end = at + 1;
    if (is_word_byte((unsigned char)text[at]))
        while (end < n && is_word_byte((unsigned char)text[end]))
            end++;
    return end;
}

/* ---- Step 2. Making an instance. Everything in the spec is borrowed: copy what you keep, and check what you use.
 * ---- */

static int compare_bytes(const char *a, size_t n_a, const char *b, size_t n_b)
{
    int order = memcmp(a, b, n_a < n_b ? n_a : n_b);
    return order != 0 ? order : (n_a > n_b) - (n_a < n_b);
}

static int compare_words(const void *a, const void *b)
{
    const word *x = a;
    const word *y = b;
    int order = compare_bytes(x->bytes, x->size, y->bytes, y->size);
    return order != 0 ? order : x->after_space - y->after_space;
}

/* Sorts the words that text can become. The same word twice would make ids ambiguous. */
static pm_plugin_code index_words(whitespace *w, const pm_plugin_message *message)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->by_id[i].kind == PM_TOKEN_NORMAL && w->by_id[i].size > 0)
            w->sorted[w->n_sorted++] = w->by_id[i];
    qsort(w->sorted, w->n_sorted, sizeof *w->sorted, compare_words);
    for (size_t i = 1; i < w->n_sorted; i++)
        if (compare_words(&w->sorted[i - 1], &w->sorted[i]) == 0)
            return fail(message, PM_PLUGIN_FORMAT, "words %d and %d are the same", (int)w->sorted[i - 1].id,
                        (int)w->sorted[i].id);
    return PM_PLUGIN_OK;
}

static pm_plugin_code allocate_words(whitespace *w, size_t n_bytes, size_t n, const pm_plugin_message *message)
{
    w->text = malloc(n_bytes + 1);
    w->by_id = calloc(n + 1, sizeof *w->by_id);
    w->sorted = calloc(n + 1, sizeof *w->sorted);
    if (!w->text || !w->by_id || !w->sorted)
        return fail(message, PM_PLUGIN_MEMORY, "out of memory for %zu words", n);
    return PM_PLUGIN_OK;
}

/* The words of a model's vocabulary. Its spaces are real ones, or the vocabulary's own symbol for them. */
static pm_plugin_code words_of_model(whitespace *w, const pm_tokenizer_spec *spec,
                                     const pm_plugin_message *message)
{
    const char *space = spec->space_symbol && spec->space_symbol[0] ? spec->space_symbol : " ";
    size_t n_space = strlen(space);
    size_t total = 0;
    for (size_t i = 0; i < spec->n_entries; i++)
        total += spec->entries[i].n_bytes;
    if (spec->n_entries > INT32_MAX)
        return fail(message, PM_PLUGIN_FORMAT, "the vocabulary has %zu tokens", spec->n_entries);
    pm_plugin_code code = allocate_words(w, total, spec->n_entries, message);
    if (code != PM_PLUGIN_OK)
        return code;
    char *to = w->text;
    for (size_t i = 0; i < spec->n_entries; i++) {
        const pm_vocab_entry *entry = &spec->entries[i];
        size_t size = entry->n_bytes;
        int after_space =
            entry->kind == PM_TOKEN_NORMAL && size > n_space && memcmp(entry->bytes, space, n_space) == 0;
        size_t skip = after_space ? n_space : 0;
        if (size > skip)
            memcpy(to, entry->bytes + skip, size - skip);
        w->by_id[i] = (word){to, size - skip, (int32_t)i, entry->kind, (uint8_t)after_space};
        to += size - skip;
    }
    w->n = spec->n_entries;
    return PM_PLUGIN_OK;
}

/* Reads a whole file into w->text and returns its size, or fails. */
static pm_plugin_code read_file(whitespace *w, const char *path, size_t *size, const pm_plugin_message *message)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail(message, PM_PLUGIN_IO, "'%s' cannot be opened", path);
    long end = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    int good = end >= 0 && end < (1L << 30) && fseek(file, 0, SEEK_SET) == 0;
    *size = good ? (size_t)end : 0;
    w->text = malloc(*size + 1);
    good = good && w->text && fread(w->text, 1, *size, file) == *size;
    fclose(file);
    return good ? PM_PLUGIN_OK : fail(message, PM_PLUGIN_IO, "'%s' cannot be read", path);
}

static void add_unknown(whitespace *w)
{
    w->unk = (int32_t)w->n;
    w->by_id[w->n] = (word){"<unk>", 5, w->unk, PM_TOKEN_UNKNOWN, 0};
    w->n++;
}

static pm_plugin_code words_of_file(whitespace *w, const char *path, const pm_plugin_message *message)
{
    size_t size = 0;
    pm_plugin_code code = read_file(w, path, &size, message);
    if (code != PM_PLUGIN_OK)
        return code;
    size_t n_lines = 2; /* the last may lack its line break, and the unknown token may be missing */
    for (size_t i = 0; i < size; i++)
        n_lines += w->text[i] == '\n';
    w->by_id = calloc(n_lines, sizeof *w->by_id);
    w->sorted = calloc(n_lines, sizeof *w->sorted);
    if (!w->by_id || !w->sorted)
        return fail(message, PM_PLUGIN_MEMORY, "out of memory for %zu words", n_lines);
    for (size_t at = 0; at < size;) {
        const char *line = w->text + at;
        const char *stop = memchr(line, '\n', size - at);
        size_t length = stop ? (size_t)(stop - line) : size - at;
        at += length + 1;
        if (length > 0 && line[length - 1] == '\r')
            length--;
        int is_unknown = length == 5 && memcmp(line, "<unk>", 5) == 0;
        uint8_t kind = is_unknown ? PM_TOKEN_UNKNOWN : PM_TOKEN_NORMAL;
        if (is_unknown)
            w->unk = (int32_t)w->n;
        w->by_id[w->n] = (word){line, length, (int32_t)w->n, kind, 0};
        w->n++;
    }
    if (w->unk == PM_NO_TOKEN)
        add_unknown(w);
    return PM_PLUGIN_OK;
}

/* A word of a text, and how often it occurs. */
typedef struct counted_word {
    const char *bytes;
    size_t size, count;
} counted_word;

static int compare_counted_bytes(const void *a, const void *b)
{
    const counted_word *x = a, *y = b;
    return compare_bytes(x->bytes, x->size, y->bytes, y->size);
}

static int compare_counts(const void *a, const void *b)
{
    const counted_word *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : compare_counted_bytes(a, b);
}

/* Finds the words of the text, in `words` if that is not NULL; returns how many there are. */
static size_t find_words(const char *text, size_t n, counted_word *words)
{
    size_t n_words = 0;
    for (size_t at = 0, end; at < n; at = end) {
        end = word_end(text, n, at);
        if (is_space((unsigned char)text[at]))
            continue;
        if (words)
            words[n_words] = (counted_word){text + at, end - at, 1};
        n_words++;
    }
    return n_words;
}

/* Counts the words and sorts them, the most frequent first; returns how many different ones there are. */
static size_t count_words(counted_word *words, size_t n)
{
    size_t n_different = 0;
    qsort(words, n, sizeof *words, compare_counted_bytes);
    for (size_t i = 0; i < n; i++)
        if (n_different > 0 && compare_counted_bytes(&words[n_different - 1], &words[i]) == 0)
            words[n_different - 1].count++;
        else
            words[n_different++] = words[i];
    qsort(words, n_different, sizeof *words, compare_counts);
    return n_different;
}

static pm_plugin_code words_of_text(whitespace *w, const char *path, size_t most, const pm_plugin_message *message)
{
    size_t size = 0;
    pm_plugin_code code = read_file(w, path, &size, message);
    if (code != PM_PLUGIN_OK)
        return code;
    size_t n = find_words(w->text, size, NULL);
    counted_word *words = calloc(n + 1, sizeof *words);
    w->by_id = calloc(n + 1, sizeof *w->by_id);
    w->sorted = calloc(n + 1, sizeof *w->sorted);
    if (words && w->by_id && w->sorted) {
        find_words(w->text, size, words);
        n = count_words(words, n);
        for (; w->n < n && w->n < most; w->n++)
            w->by_id[w->n] = (word){words[w->n].bytes, words[w->n].size, (int32_t)w->n, PM_TOKEN_NORMAL, 0};
        add_unknown(w);
    } else {
        code = fail(message, PM_PLUGIN_MEMORY, "out of memory for %zu words", n);
    }
    free(words);
    return code;
}

/* The value of a setting as a string of its own, or NULL; free() it. */
static char *copy_setting(const pm_tokenizer_spec *spec, const char *key)
{
    for (size_t i = 0; i < spec->n_settings; i++)
        if (strcmp(spec->settings[i].key, key) == 0) {
            char *value = calloc(spec->settings[i].n_value + 1, 1);
            if (value && spec->settings[i].n_value > 0)
                memcpy(value, spec->settings[i].value, spec->settings[i].n_value);
            return value;
        }
    return NULL;
}

static void whitespace_destroy(void *instance);

static int is_out_of_range(const whitespace *w, int32_t id)
{
    return id < PM_NO_TOKEN || (id >= 0 && (size_t)id >= w->n);
}

static pm_plugin_code whitespace_create(const pm_tokenizer_spec *spec, void **instance,
                                        const pm_plugin_message *message)
{
    if (!spec || spec->size < sizeof *spec || !instance)
        return fail(message, PM_PLUGIN_ARGUMENT, "create: the description of the tokenizer is too short");
    whitespace *w = calloc(1, sizeof *w);
    if (!w)
        return fail(message, PM_PLUGIN_MEMORY, "out of memory for the tokenizer");
    w->bos = w->eos = w->unk = w->pad = PM_NO_TOKEN;
    char *list = copy_setting(spec, "word_list"), *text = copy_setting(spec, "text");
    char *most = copy_setting(spec, "words");
    pm_plugin_code code = PM_PLUGIN_OK;
    if (list) {
        code = words_of_file(w, list, message);
    } else if (text) {
        code = words_of_text(w, text, most ? strtoul(most, NULL, 10) : INT32_MAX, message);
    } else if (spec->n_entries > 0) {
        w->bos = spec->bos;
        w->eos = spec->eos;
        w->unk = spec->unk;
        w->pad = spec->pad;
        w->flags = spec->flags & (PM_SPEC_ADD_BOS | PM_SPEC_ADD_EOS);
        code = words_of_model(w, spec, message);
    } else {
        code = fail(message, PM_PLUGIN_UNSUPPORTED,
                    "the whitespace tokenizer needs a model's vocabulary or the setting 'word_list' or 'text'");
    }
    free(list);
    free(text);
    free(most);
    if (code == PM_PLUGIN_OK && (is_out_of_range(w, w->bos) || is_out_of_range(w, w->eos) ||
                                 is_out_of_range(w, w->unk) || is_out_of_range(w, w->pad)))
        code =
            fail(message, PM_PLUGIN_FORMAT, "a special token's id is outside the vocabulary of %zu words", w->n);
    if (code == PM_PLUGIN_OK)
        code = index_words(w, message);
    if (code == PM_PLUGIN_OK)
        *instance = w;
    else
        whitespace_destroy(w);
    return code;
}

/* ---- Step 3. Freeing it. ---- */

static void whitespace_destroy(void *instance)
{
    whitespace *w = instance;
    if (!w)
        return;
    free(w->text);
    free(w->by_id);
    free(w->sorted);
    free(w);
}

/* ---- Step 4. Text to ids. Any bytes may come; ids that do not fit are counted, not written. ---- */

static void emit(pm_encode_call *call, int32_t id, size_t begin, size_t end, pm_sequence sequence)
{
    if (call->n_ids < call->capacity) {
        call->ids[call->n_ids] = id;
        if (call->spans)
            call->spans[call->n_ids] = (pm_text_span){begin, end};
        if (call->type_ids)
            call->type_ids[call->n_ids] = 0;
        if (call->sequences)
            call->sequences[call->n_ids] = (uint8_t)sequence;
    }
    call->n_ids++;
}

/* The word with these bytes and this spacing, else with the other spacing, else NULL. */
static const word *find_word(const whitespace *w, const char *bytes, size_t size, int after_space)
{
    word key = {bytes, size, 0, 0, (uint8_t)after_space};
    const word *found = bsearch(&key, w->sorted, w->n_sorted, sizeof *w->sorted, compare_words);
    key.after_space = !after_space;
    return found ? found : bsearch(&key, w->sorted, w->n_sorted, sizeof *w->sorted, compare_words);
}

static int is_honoured(const pm_encode_call *call, size_t begin, size_t end)
{
    if (call->flags & PM_ENCODE_PARSE_SPECIAL)
        return 1;
    for (size_t i = 0; i < call->n_special_spans; i++)
        if (call->special_spans[i].begin <= begin && end <= call->special_spans[i].end)
            return 1;
    return 0;
}

/* The longest special token that is written out at text[at] and honoured there, or NULL. */
static const word *special_at(const whitespace *w, const pm_encode_call *call, size_t at)
{
    const word *best = NULL;
    for (size_t i = 0; i < w->n; i++) {
        const word *s = &w->by_id[i];
        if (s->kind == PM_TOKEN_CONTROL && s->size > 0 && s->size <= call->n_text - at &&
            (!best || s->size > best->size) && memcmp(call->text + at, s->bytes, s->size) == 0 &&
            is_honoured(call, at, at + s->size))
            best = s;
    }
    return best;
}

static pm_plugin_code whitespace_encode(const void *instance, pm_encode_call *call,
                                        const pm_plugin_message *message)
{
    const whitespace *w = instance;
    if (call->size < sizeof *call || (!call->text && call->n_text > 0) || (!call->ids && call->capacity > 0))
        return fail(message, PM_PLUGIN_ARGUMENT, "encode: the call is incomplete");
    if (call->pair || call->max_tokens > 0) /* say what you cannot do */
        return fail(message, PM_PLUGIN_UNSUPPORTED, "encode: whitespace knows neither pairs nor limits");
    int special = (call->flags & PM_ENCODE_ADD_SPECIAL) != 0;
    int may_hold_specials = call->flags & PM_ENCODE_PARSE_SPECIAL || call->n_special_spans > 0;
    call->n_ids = 0;
    call->n_unknown_bytes = 0;
    call->n_truncated = 0;
    if (special && w->flags & PM_SPEC_ADD_BOS && w->bos != PM_NO_TOKEN)
        emit(call, w->bos, 0, 0, PM_SEQUENCE_NONE);
    for (size_t at = 0; at < call->n_text;) {
        unsigned char c = (unsigned char)call->text[at];
        const word *found = may_hold_specials && !is_space(c) && c < 0x80 ? special_at(w, call, at) : NULL;
        size_t end = found ? at + found->size : word_end(call->text, call->n_text, at);
        if (!found && !is_space(c))
            found = find_word(w, call->text + at, end - at, at > 0 && is_space((unsigned char)call->text[at - 1]));
        if (found) {
            emit(call, found->id, at, end, PM_SEQUENCE_FIRST);
        } else if (!is_space(c)) {
            call->n_unknown_bytes += end - at;
            if (w->unk != PM_NO_TOKEN)
                emit(call, w->unk, at, end, PM_SEQUENCE_FIRST);
        }
        at = end;
    }
    if (special && w->flags & PM_SPEC_ADD_EOS && w->eos != PM_NO_TOKEN)
        emit(call, w->eos, call->n_text, call->n_text, PM_SEQUENCE_NONE);
    return call->n_ids > call->capacity ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK;
}

/* ---- Step 5. Ids to text. ---- */

static void append(pm_decode_call *call, const char *bytes, size_t size)
{
    if (size > 0 && call->n_text < call->capacity) {
        size_t room = call->capacity - call->n_text;
        memcpy(call->text + call->n_text, bytes, size < room ? size : room);
    }
    call->n_text += size;
}

static pm_plugin_code whitespace_decode(const void *instance, pm_decode_call *call,
                                        const pm_plugin_message *message)
{
    const whitespace *w = instance;
    if (call->size < sizeof *call || (!call->ids && call->n_ids > 0) || (!call->text && call->capacity > 0))
        return fail(message, PM_PLUGIN_ARGUMENT, "decode: the call is incomplete");
    int space = (call->flags & PM_DECODE_CONTINUATION) != 0;
    call->n_text = 0;
    for (size_t i = 0; i < call->n_ids; i++) {
        int32_t id = call->ids[i];
        if (id < 0 || (size_t)id >= w->n)
            return fail(message, PM_PLUGIN_ARGUMENT, "decode: id %d at position %zu is not one of %zu words",
                        (int)id, i, w->n);
        const word *token = &w->by_id[id];
        int is_special = token->kind == PM_TOKEN_CONTROL || token->kind == PM_TOKEN_UNKNOWN;
        if (is_special && call->flags & PM_DECODE_SKIP_SPECIAL)
            continue;
        if (space)
            append(call, " ", 1);
        append(call, token->bytes, token->size);
        space = 1;
    }
    return call->n_text > call->capacity ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK;
}

/* ---- Step 6. Saying what you know. ---- */

static pm_plugin_code whitespace_info(const void *instance, pm_tokenizer_info *info)
{
    const whitespace *w = instance;
    if (info->size < sizeof *info)
        return PM_PLUGIN_ARGUMENT;
    *info = (pm_tokenizer_info){info->size, w->n, w->bos, w->eos, w->unk, w->pad, w->flags, 0};
    return PM_PLUGIN_OK;
}

static pm_plugin_code whitespace_token_info(const void *instance, int32_t id, pm_token_info *info)
{
    const whitespace *w = instance;
    if (info->size < sizeof *info || id < 0 || (size_t)id >= w->n)
        return PM_PLUGIN_ARGUMENT;
    *info = (pm_token_info){info->size, w->by_id[id].bytes, w->by_id[id].size, 0, w->by_id[id].kind};
    return PM_PLUGIN_OK;
}

/* Step 7. The table of your functions. */
static const pm_tokenizer_api api = {
    .size = sizeof(pm_tokenizer_api),
    .create = whitespace_create,
    .destroy = whitespace_destroy,
    .info = whitespace_info,
    .token_info = whitespace_token_info,
    .encode = whitespace_encode,
    .decode = whitespace_decode,
};

/* Step 8. The one function that leaves this file. */
PM_PLUGIN_EXPORT const pm_plugin *pumice_plugin(void);

const pm_plugin *pumice_plugin(void)
{
    static const pm_plugin plugin = {
        .abi_version = PM_PLUGIN_ABI,
        .kind = PM_PLUGIN_TOKENIZER,
        .size = sizeof(pm_plugin),
        .name = "whitespace",
        .version = "0.1.0",
        .summary = "words and punctuation marks to the ids of a word list",
        .api = &api,
    };
    return &plugin;
}
