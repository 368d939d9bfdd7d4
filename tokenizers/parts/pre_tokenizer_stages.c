/* What single stages of pre-tokenizers do to one piece: see pre_tokenizer_stages.h. */
#include "parts/pre_tokenizer_stages.h"

#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include "parts/byte_alphabet.h"
#include "parts/utf8_read.h"

/* ---- Characters ---- */

int character_is_space(uint32_t code)
{
    return code < 128 ? code == ' ' || (code >= 9 && code <= 13) : u_isUWhiteSpace((UChar32)code);
}

/* The vocabularies in circulation were made with tables of Unicode 8.0: what is punctuation since is none for
 * them, and two characters that no longer are still count. */
static int is_of_unicode_8(uint32_t code)
{
    UVersionInfo age;
    u_charAge((UChar32)code, age);
    return age[0] <= 8;
}

int character_is_punctuation(uint32_t code)
{
    if (code < 128)
        return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
               (code >= 123 && code <= 126);
    if ((U_GET_GC_MASK((UChar32)code) & U_GC_P_MASK) != 0)
        return is_of_unicode_8(code);
    return code == 0x166D || code == 0x111C9;
}

/* ---- Matching ---- */

static pm_plugin_code next_by_regex(URegularExpression *regex, size_t n, size_t at, size_t *begin, size_t *end,
                                    const pm_plugin_message *message)
{
    UErrorCode status = U_ZERO_ERROR;
    UBool found = uregex_findNext(regex, &status);
    /* An empty match cuts nothing off; the search goes on behind it. */
    while (U_SUCCESS(status) && found && uregex_start64(regex, 0, &status) == uregex_end64(regex, 0, &status))
        found = uregex_findNext(regex, &status);
    *begin = *end = n;
    if (U_SUCCESS(status) && found) {
        *begin = (size_t)uregex_start64(regex, 0, &status);
        *end = (size_t)uregex_end64(regex, 0, &status);
    }
    if (U_FAILURE(status))
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED,
                              "the regular expression cannot be matched from byte %zu of a piece on: %s", at,
                              u_errorName(status));
    return PM_PLUGIN_OK;
}

pm_plugin_code stage_next_match(const stage *s, URegularExpression *regex, const pm_piece *piece, size_t at,
                                size_t *begin, size_t *end, const pm_plugin_message *message)
{
    *begin = *end = piece->n;
    if (s->matcher == MATCH_REGEX) {
        return next_by_regex(regex, piece->n, at, begin, end, message);
    } else if (s->matcher == MATCH_STRING) {
        const char *found = memmem(piece->bytes + at, piece->n - at, s->string, s->n_string);
        if (found) {
            *begin = (size_t)(found - piece->bytes);
            *end = *begin + s->n_string;
        }
    } else {
        while (at < piece->n) {
            pm_character c = pm_read_character(piece->bytes, at, piece->n);
            if (!c.malformed && s->is(c.code)) {
                *begin = at;
                *end = at + c.length;
                break;
            }
            at += c.length;
        }
    }
    return PM_PLUGIN_OK;
}

/* ---- UnicodeScripts ---- */

enum { ANY_SCRIPT = -1 };

/* A space goes with any script, the long vowel mark with Han, and the kana count as Han too. */
static int script_of(pm_character c)
{
    UErrorCode status = U_ZERO_ERROR;
    if (c.code == 0x30FC)
        return USCRIPT_HAN;
    if (c.code == ' ')
        return ANY_SCRIPT;
    int script = uscript_getScript((UChar32)c.code, &status);
    return script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA ? USCRIPT_HAN : script;
}

size_t stage_script_end(const pm_piece *piece, size_t at)
{
    int last = ANY_SCRIPT, first = 1;
    while (at < piece->n) {
        pm_character c = pm_read_character(piece->bytes, at, piece->n);
        int script = script_of(c);
        if (!first && script != ANY_SCRIPT && last != ANY_SCRIPT && script != last)
            return at;
        if (script != ANY_SCRIPT)
            last = script;
        first = 0;
        at += c.length;
    }
    return at;
}

/* ---- Rewriting ---- */

static pm_origin first_origin(const pm_piece *in, int with_origins)
{
    if (!with_origins || in->n == 0)
        return (pm_origin){0, 0};
    return pm_piece_origin(in, 0, pm_read_character(in->bytes, 0, in->n).length);
}

int stage_metaspace(const stage *s, const pm_piece *in, pm_text_buffer *out, int with_origins)
{
    pm_text_buffer_clear(out, with_origins);
    int has = in->n > 0 &&
              (*in->bytes == ' ' || (in->n >= s->n_string && memcmp(in->bytes, s->string, s->n_string) == 0));
    int prepends = s->prepends == 2 || (s->prepends == 1 && in->starts_text);
    if (!pm_text_buffer_reserve(out, in->n + s->n_string))
        return 0;
    if (in->n > 0 && prepends && !has && !in->continues &&
        !pm_text_buffer_append(out, s->string, s->n_string, first_origin(in, with_origins)))
        return 0;
    for (size_t at = 0; at < in->n;) {
        const char *space = memchr(in->bytes + at, ' ', in->n - at);
        size_t stop = space ? (size_t)(space - in->bytes) : in->n;
        if (!pm_text_buffer_append_part(out, in, at, stop))
            return 0;
        if (space) {
            pm_origin origin = with_origins ? pm_piece_origin(in, stop, stop + 1) : (pm_origin){0, 0};
            if (!pm_text_buffer_append(out, s->string, s->n_string, origin))
                return 0;
            stop++;
        }
        at = stop;
    }
    return 1;
}

int stage_prefix(const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
{
    *same = in->n == 0 || in->continues || *in->bytes == ' ';
    if (*same)
        return 1;
    pm_text_buffer_clear(out, with_origins);
    return pm_text_buffer_append(out, " ", 1, first_origin(in, with_origins)) &&
           pm_text_buffer_append_part(out, in, 0, in->n);
}

int stage_spell(const pm_piece *in, pm_text_buffer *out, int with_origins)
{
    pm_text_buffer_clear(out, with_origins);
    for (size_t at = 0; at < in->n; at++) {
        char spelled[4];
        size_t n = pm_byte_alphabet_encode(in->bytes + at, 1, spelled);
        pm_origin origin = with_origins ? pm_piece_origin(in, at, at + 1) : (pm_origin){0, 0};
        if (!pm_text_buffer_append(out, spelled, n, origin))
            return 0;
    }
    return 1;
}

int stage_unspell(const pm_piece *in, pm_text_buffer *out, int with_origins)
{
    pm_text_buffer_clear(out, with_origins);
    for (size_t at = 0; at < in->n;) {
        size_t length = pm_read_character(in->bytes, at, in->n).length;
        char byte;
        if (pm_byte_alphabet_decode(in->bytes + at, length, &byte) != 1)
            byte = in->bytes[at]; /* cannot be: the text has been spelled */
        pm_origin origin = with_origins ? pm_piece_origin(in, at, at + length) : (pm_origin){0, 0};
        if (!pm_text_buffer_append(out, &byte, 1, origin))
            return 0;
        at += length;
    }
    return 1;
}
