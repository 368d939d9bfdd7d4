/* What SentencePiece does to text before it looks for pieces, as normalizer.h describes it.
 *
 * Source: Kudo and Richardson 2018, and the behaviour of the library: every step takes a symbol, a mapped prefix
 * or one character; spaces at the ends and repeated ones go as they come up.
 */
#include <stdlib.h>
#include <string.h>

#include "parts/normalizer_steps.h"

static const char visible_space[] = "\xE2\x96\x81";
enum { N_VISIBLE_SPACE = 3 };

typedef struct sp_symbol {
    char *bytes;
    size_t n;
} sp_symbol;

struct pm_sp_settings {
    int dummy_prefix, remove_extra, escape, suffix;
    sp_symbol *symbols; /* the longest first */
    size_t n_symbols;
    uint8_t starts_symbol[256];
    uint8_t is_plain[256]; /* ASCII that stays what it is, if only ASCII follows */
    uint32_t becomes[256]; /* what a byte that stays becomes, in memory order: itself, or a visible space */
    uint8_t n_becomes[256];
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

static void fill_byte_tables(struct pm_sp_settings *s, const pm_charsmap *map)
{
    for (size_t i = 0; i < s->n_symbols; i++)
        s->starts_symbol[(unsigned char)*s->symbols[i].bytes] = 1;
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned char text[4] = {(unsigned char)byte};
        s->n_becomes[byte] = 1;
        if (byte == ' ' && s->escape) {
            memcpy(text, visible_space, N_VISIBLE_SPACE);
            s->n_becomes[byte] = N_VISIBLE_SPACE;
        }
        memcpy(&s->becomes[byte], text, sizeof text);
        s->is_plain[byte] =
            byte < 0x80 && !s->starts_symbol[byte] && pm_charsmap_leaves_before_ascii(map, (unsigned char)byte);
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
    step->sentencepiece->escape = pm_json_flag(json, "escape_whitespaces", 1);
    step->sentencepiece->suffix = pm_json_flag(json, "treat_whitespace_as_suffix", 0);
    if (blob && blob->type != PM_JSON_STRING)
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the precompiled charsmap is no text");
    PM_PLUGIN_TRY(
        pm_charsmap_create(blob ? blob->string : "", blob ? blob->n_string : 0, &step->charsmap, message));
    PM_PLUGIN_TRY(read_symbols(pm_json_member(json, "user_defined_symbols"), step->sentencepiece, message));
    fill_byte_tables(step->sentencepiece, step->charsmap);
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
    size_t n = pm_charsmap_leaves(step->charsmap, (unsigned char)*text)
                   ? 0
                   : pm_charsmap_longest(step->charsmap, text, in->n - at, &to);
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
    return w->settings->escape ? pm_text_buffer_append(w->out, visible_space, N_VISIBLE_SPACE, origin)
                               : pm_text_buffer_append(w->out, " ", 1, origin);
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

/* The end of the text from `at` on in which each character stays what it is, but for how spaces are written:
 * nearly all text. */
static size_t find_kept_end(const normalizer_step *step, const pm_piece *in, size_t at, int after_space)
{
    const struct pm_sp_settings *s = step->sentencepiece;
    const unsigned char *text = (const unsigned char *)in->bytes;
    after_space &= s->remove_extra;
    for (size_t length; at < in->n; at += length) {
        const unsigned char c = text[at];
        const char *to;
        length = 1;
        if (!s->is_plain[c] || at + 1 == in->n || text[at + 1] >= 0x80) {
            if (s->starts_symbol[c] || (!pm_charsmap_leaves(step->charsmap, c) &&
                                        pm_charsmap_longest(step->charsmap, in->bytes + at, in->n - at, &to) > 0))
                break;
            length = pm_read_character(in->bytes, at, in->n).length;
        }
        if (c == ' ' && after_space)
            break;
        after_space = c == ' ' && s->remove_extra;
    }
    return at;
}

static int put_kept(sp_writer *w, const pm_piece *in, size_t begin, size_t end)
{
    pm_text_buffer *out = w->out;
    if (!pm_text_buffer_reserve(out, (end - begin) * N_VISIBLE_SPACE + sizeof *w->settings->becomes))
        return 0;
    char *to = out->bytes + out->n;
    for (size_t i = begin; i < end; i++) {
        const unsigned char c = (unsigned char)in->bytes[i];
        memcpy(to, &w->settings->becomes[c], sizeof *w->settings->becomes);
        to += w->settings->n_becomes[c];
    }
    pm_origin *origins = out->origins + out->n;
    for (size_t at = begin, length; out->with_origins && at < end; at += length) {
        length = pm_read_character(in->bytes, at, in->n).length;
        pm_origin origin = pm_piece_origin(in, at, at + length);
        for (size_t i = 0, n = length > 1 ? length : w->settings->n_becomes[(unsigned char)in->bytes[at]]; i < n;
             i++)
            *origins++ = origin;
    }
    out->n = (size_t)(to - out->bytes);
    w->after_space = in->bytes[end - 1] == ' ';
    return 1;
}

static void drop_spaces_at_end(const struct pm_sp_settings *s, pm_text_buffer *out)
{
    const char *space = s->escape ? visible_space : " ";
    size_t n = s->escape ? N_VISIBLE_SPACE : 1;
    while (out->n >= n && memcmp(out->bytes + out->n - n, space, n) == 0)
        out->n -= n;
}

int step_sentencepiece(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                       int *same)
{
    const struct pm_sp_settings *s = step->sentencepiece;
    (void)same;
    pm_text_buffer_clear(out, with_origins);
    if (!pm_text_buffer_reserve(out, in->n + N_VISIBLE_SPACE))
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
        size_t end = find_kept_end(step, in, at, writer.after_space);
        if (end > at && !put_kept(&writer, in, at, end))
            return 0;
        if (end == in->n)
            break;
        at = end;
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
