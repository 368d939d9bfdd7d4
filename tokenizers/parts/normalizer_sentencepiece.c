/* What SentencePiece does to text before it looks for pieces, as normalizer.h describes it.
 *
 * Source: Kudo and Richardson 2018, and the behaviour of the library: every step takes a symbol, a mapped prefix
 * or one character; spaces at the ends and repeated ones go as they come up.
 */
#include <stdlib.h>
#include <string.h>

#include "parts/normalizer_steps.h"

static const char visible_space[4] = "\xE2\x96\x81";

typedef struct sp_symbol {
    char *bytes;
    size_t n;
} sp_symbol;

struct pm_sp_settings {
    int dummy_prefix, remove_extra, suffix;
    char space[4]; /* what is written for a space */
    size_t n_space;
    sp_symbol *symbols; /* the longest first */
    size_t n_symbols;
    uint8_t starts_symbol[256];
    int signs_stay; /* ASCII from '!' to '~' stays what it is, if ASCII follows */
};

static int compare_symbols(const void *a, const void *b)
{
    const sp_symbol *x = a, *y = b;
    return (x->n < y->n) - (x->n > y->n);
}

static pm_plugin_code read_symbols(const pm_json *list, struct pm_sp_settings *settings,
                                   const pm_plugin_message *message)
{
    size_t n = pm_json_count(list);
    settings->symbols = calloc(n + 1, sizeof *settings->symbols);
    if (!settings->symbols)
        return pm_plugin_fail_memory(message, "the user-defined symbols");
    for (const pm_json *item = n ? list->first : NULL; item; item = item->next) {
        if (item->type != PM_JSON_STRING || item->n_string == 0)
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "a user-defined symbol is no text");
        sp_symbol *symbol = &settings->symbols[settings->n_symbols];
        symbol->bytes = malloc(item->n_string);
        if (!symbol->bytes)
            return pm_plugin_fail_memory(message, "the user-defined symbols");
        memcpy(symbol->bytes, item->string, item->n_string);
        symbol->n = item->n_string;
        settings->n_symbols++;
    }
    qsort(settings->symbols, settings->n_symbols, sizeof *settings->symbols, compare_symbols);
    return PM_PLUGIN_OK;
}

static void look_at_bytes(struct pm_sp_settings *s, const pm_charsmap_guide *guide)
{
    for (size_t i = 0; i < s->n_symbols; i++)
        s->starts_symbol[(unsigned char)*s->symbols[i].bytes] = 1;
    s->signs_stay = 1;
    for (unsigned byte = 0; byte < 0x80; byte++) {
        int is_sign = byte >= '!' && byte <= '~';
        s->signs_stay &= !guide->goes_on[byte] &&
                         !(is_sign && (s->starts_symbol[byte] || guide->kinds[byte] == PM_CHARSMAP_MAPS));
    }
}

pm_plugin_code step_sentencepiece_create(const pm_json *json, normalizer_step *step,
                                         const pm_plugin_message *message)
{
    const pm_json *blob = pm_json_member(json, "precompiled_charsmap");
    step->run = step_sentencepiece;
    step->sentencepiece = calloc(1, sizeof *step->sentencepiece);
    if (!step->sentencepiece)
        return pm_plugin_fail_memory(message, "a normaliser");
    step->sentencepiece->dummy_prefix = pm_json_flag(json, "add_dummy_prefix", 1);
    step->sentencepiece->remove_extra = pm_json_flag(json, "remove_extra_whitespaces", 1);
    int escape = pm_json_flag(json, "escape_whitespaces", 1);
    memcpy(step->sentencepiece->space, escape ? visible_space : " \0\0", sizeof visible_space);
    step->sentencepiece->n_space = escape ? 3 : 1;
    step->sentencepiece->suffix = pm_json_flag(json, "treat_whitespace_as_suffix", 0);
    if (blob && blob->type != PM_JSON_STRING)
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the precompiled charsmap is no text");
    PM_PLUGIN_TRY(
        pm_charsmap_create(blob ? blob->string : "", blob ? blob->n_string : 0, &step->charsmap, message));
    PM_PLUGIN_TRY(read_symbols(pm_json_member(json, "user_defined_symbols"), step->sentencepiece, message));
    look_at_bytes(step->sentencepiece, pm_charsmap_guide_of(step->charsmap));
    return PM_PLUGIN_OK;
}

void step_sentencepiece_destroy(normalizer_step *step)
{
    if (!step->sentencepiece)
        return;
    for (size_t i = 0; i < step->sentencepiece->n_symbols; i++)
        free(step->sentencepiece->symbols[i].bytes);
    free(step->sentencepiece->symbols);
    free(step->sentencepiece);
}

/* What the next step takes of the text, and what it becomes. */
typedef struct sp_chunk {
    size_t length;
    const char *to;
    size_t n_to;
    int is_symbol;
} sp_chunk;

static sp_chunk next_chunk(const normalizer_step *step, const pm_piece *in, size_t at)
{
    const struct pm_sp_settings *s = step->sentencepiece;
    const char *text = in->bytes + at;
    for (size_t i = 0; i < s->n_symbols && s->starts_symbol[(unsigned char)*text]; i++)
        if (s->symbols[i].n <= in->n - at && memcmp(text, s->symbols[i].bytes, s->symbols[i].n) == 0)
            return (sp_chunk){s->symbols[i].n, text, s->symbols[i].n, 1};
    const char *to = NULL;
    size_t n = pm_charsmap_longest(step->charsmap, text, in->n - at, &to);
    if (n > 0)
        return (sp_chunk){n, to, strlen(to), 0};
    n = pm_read_character(in->bytes, at, in->n).length;
    return (sp_chunk){n, text, n, 0};
}

typedef struct sp_writer {
    const struct pm_sp_settings *settings;
    pm_text_buffer *out;
    int after_space; /* the last chunk that was not dropped ends in a space, or there was none */
} sp_writer;

static int put_space(sp_writer *w, pm_origin origin)
{
    return pm_text_buffer_append(w->out, w->settings->space, w->settings->n_space, origin);
}

/* Behind a space the chunk loses those it starts with; spaces within it stay. */
static int put_chunk(sp_writer *w, const sp_chunk *chunk, pm_origin origin)
{
    size_t plain = 0;
    if (w->settings->remove_extra && w->after_space)
        while (plain < chunk->n_to && chunk->to[plain] == ' ')
            plain++;
    if (plain == chunk->n_to)
        return 1;
    for (size_t i = plain; i < chunk->n_to; i++) {
        if (chunk->to[i] != ' ')
            continue;
        if ((i > plain && !pm_text_buffer_append(w->out, chunk->to + plain, i - plain, origin)) ||
            !put_space(w, origin))
            return 0;
        plain = i + 1;
    }
    w->after_space = chunk->to[chunk->n_to - 1] == ' ';
    return chunk->n_to == plain || pm_text_buffer_append(w->out, chunk->to + plain, chunk->n_to - plain, origin);
}

/* How many of 8 bytes, from the first one on, are ASCII from '!' to '~'. */
static inline size_t count_signs(const unsigned char *p)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    /* In the first byte for which it is not so, the highest bit is set; those before have it clear. */
    uint64_t others = ((bytes - '!' * ones) | bytes | (bytes + ones)) & 0x80 * ones;
    return others ? (size_t)__builtin_ctzll(others) / 8 : sizeof bytes;
}

/* Whether the character at `at` stays what it is for sure. */
static inline int stays(const normalizer_step *step, const pm_charsmap_guide *guide, const pm_piece *in, size_t at,
                        pm_character c)
{
    size_t next = at + c.length;
    if (c.malformed || c.code >= sizeof guide->kinds ||
        step->sentencepiece->starts_symbol[(unsigned char)in->bytes[at]])
        return 0;
    unsigned kind = guide->kinds[c.code];
    return kind == PM_CHARSMAP_KEEPS || (kind == PM_CHARSMAP_KEEPS_MOSTLY &&
                                         (next == in->n || !guide->goes_on[(unsigned char)in->bytes[next]]));
}

/* The same, of the characters of which more must be seen. */
static int stays_here(const normalizer_step *step, const pm_piece *in, size_t at)
{
    const char *to;
    return !step->sentencepiece->starts_symbol[(unsigned char)in->bytes[at]] &&
           pm_charsmap_longest(step->charsmap, in->bytes + at, in->n - at, &to) == 0;
}

/* Takes the text from *place on as long as each character stays what it is, but for how spaces are written: nearly
 * all text. 0 when out of memory. */
static int put_kept(sp_writer *w, const normalizer_step *step, const pm_piece *in, size_t *place)
{
    enum { AT_ONCE = sizeof(uint64_t) };
    const struct pm_sp_settings *s = w->settings;
    const pm_charsmap_guide *guide = pm_charsmap_guide_of(step->charsmap);
    const unsigned char *text = (const unsigned char *)in->bytes;
    pm_text_buffer *out = w->out;
    const int skips = s->signs_stay && !out->with_origins;
    size_t at = *place;
    if (!pm_text_buffer_reserve(out, (in->n - at) * s->n_space + AT_ONCE))
        return 0;
    char *to = out->bytes + out->n;
    while (at < in->n) {
        if (skips && text[at] < 0x80 && in->n - at > AT_ONCE) {
            size_t n = count_signs(text + at);
            n -= n > 0 && guide->goes_on[text[at + n]];
            memcpy(to, text + at, AT_ONCE);
            at += n;
            to += n;
            w->after_space &= n == 0;
            if (n == AT_ONCE)
                continue;
        }
        pm_character c = pm_read_character(in->bytes, at, in->n);
        while (c.code >= 0x80 && !out->with_origins && in->n - at > 4 && stays(step, guide, in, at, c)) {
            memcpy(to, text + at, 4); /* faster than just the character */
            at += c.length;
            to += c.length;
            w->after_space = 0;
            c = pm_read_character(in->bytes, at, in->n);
        }
        if (!stays(step, guide, in, at, c) && !stays_here(step, in, at))
            break;
        size_t n = c.length;
        if (c.code == ' ') {
            n = w->after_space && s->remove_extra ? 0 : s->n_space;
            memcpy(to, s->space, sizeof s->space);
        } else if (in->n - at >= 4) {
            memcpy(to, text + at, 4); /* faster than just n */
        } else {
            memcpy(to, text + at, n);
        }
        for (size_t i = 0; i < n && out->with_origins; i++)
            out->origins[to - out->bytes + i] = pm_piece_origin(in, at, at + c.length);
        w->after_space = c.code == ' ';
        at += c.length;
        to += n;
    }
    out->n = (size_t)(to - out->bytes);
    *place = at;
    return 1;
}

static void drop_spaces_at_end(const struct pm_sp_settings *s, pm_text_buffer *out)
{
    while (out->n >= s->n_space && memcmp(out->bytes + out->n - s->n_space, s->space, s->n_space) == 0)
        out->n -= s->n_space;
}

int step_sentencepiece(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                       int *same)
{
    const struct pm_sp_settings *s = step->sentencepiece;
    (void)same;
    pm_text_buffer_clear(out, with_origins);
    if (!pm_text_buffer_reserve(out, in->n + s->n_space))
        return 0;
    sp_writer writer = {s, out, 1};
    size_t at = 0;
    /* Leading spaces, so that the prefix knows whether there is anything. */
    while (at < in->n && s->remove_extra) {
        sp_chunk chunk = next_chunk(step, in, at);
        if (chunk.is_symbol || chunk.n_to != 1 || *chunk.to != ' ')
            break;
        at += chunk.length;
    }
    pm_origin origin = {0, 0};
    if (at == in->n)
        return 1;
    if (with_origins)
        origin = pm_piece_origin(in, at, at + pm_read_character(in->bytes, at, in->n).length);
    if (s->dummy_prefix && !s->suffix && !in->continues) {
        if (!put_space(&writer, origin))
            return 0;
    } else if (!s->remove_extra) {
        writer.after_space = 0;
    }
    while (at < in->n) {
        if (!put_kept(&writer, step, in, &at))
            return 0;
        if (at == in->n)
            break;
        sp_chunk chunk = next_chunk(step, in, at);
        if (with_origins)
            origin = pm_piece_origin(in, at, at + chunk.length);
        if (!put_chunk(&writer, &chunk, origin))
            return 0;
        at += chunk.length;
    }
    if (s->remove_extra)
        drop_spaces_at_end(s, out);
    return !(s->dummy_prefix && s->suffix) || put_space(&writer, origin);
}
