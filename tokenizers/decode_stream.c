/* Streaming decode: ids one at a time in, whole characters out. See pumice/tokenizer.h.
 *
 * Each id is decoded together with the one before it, as a continuation of earlier text, and what the two give
 * beyond what the first gives alone is new: decoders join words, drop what comes twice, or treat the last token in
 * a way of its own. Bytes that are the beginning of a character wait for the rest. What can no longer become a
 * character is replaced by U+FFFD, one for each maximal beginning of a sequence (Unicode 15, section 3.9,
 * "substitution of maximal subparts").
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "pumice/tokenizer.h"

struct pm_decode_stream {
    pm_tokenizer *tokenizer;
    uint32_t flags;         /* as given */
    int started;            /* some text has come: from now on ids are continuations */
    int32_t previous;       /* the id before, or PM_NO_TOKEN */
    int previous_continued; /* it came after some text */
    char waiting[4];        /* the beginning of a character */
    size_t n_waiting;
    char *out;
    size_t capacity;
};

pm_status pm_decode_stream_create(const pm_tokenizer *tokenizer, uint32_t flags, pm_decode_stream **out,
                                  pm_error *err)
{
    pm_decode_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return pm_fail_memory(err, sizeof *stream, "a decoder");
    stream->tokenizer = pm_tokenizer_retain((pm_tokenizer *)tokenizer); /* only its count of owners changes */
    stream->flags = flags;
    stream->previous = PM_NO_TOKEN;
    *out = stream;
    return PM_OK;
}

void pm_decode_stream_destroy(pm_decode_stream *stream)
{
    if (!stream)
        return;
    pm_tokenizer_close(stream->tokenizer);
    free(stream->out);
    free(stream);
}

/* How many of the n bytes, which do not start with a whole character, are the beginning of one: 1 to 3. */
static size_t beginning_length(const char *text, size_t n)
{
    static const char *const rests[] = {"\x80\x80\x80", "\x90\x80\x80", "\xA0\x80\x80"};
    size_t best = 1;
    for (size_t length = 1; length < 4 && length <= n; length++)
        for (size_t r = 0; r < 3; r++)
            for (size_t rest = 1; length + rest <= 4; rest++) {
                char whole[4];
                memcpy(whole, text, length);
                memcpy(whole + length, rests[r], rest);
                if (pm_utf8_sequence(whole, length + rest) == length + rest)
                    best = length;
            }
    return best;
}

/* May the n bytes, which are no whole character, become one? */
static int may_become_character(const char *text, size_t n)
{
    unsigned char lead = (unsigned char)text[0];
    return n < 4 && lead >= 0xC2 && lead <= 0xF4 && beginning_length(text, n) == n;
}

static pm_status reserve_out(pm_decode_stream *stream, size_t size, pm_error *err)
{
    if (size <= stream->capacity)
        return PM_OK;
    char *grown = realloc(stream->out, size * 2);
    if (!grown)
        return pm_fail_memory(err, size * 2, "decoded text");
    stream->out = grown;
    stream->capacity = size * 2;
    return PM_OK;
}

/* Writes the n bytes at text as whole characters; the beginning of one at the end waits, unless this is the end.
 */
static pm_status write_characters(pm_decode_stream *stream, const char *text, size_t n, int at_end, size_t *size,
                                  pm_error *err)
{
    PM_TRY(reserve_out(stream, n * 3 + 1, err));
    size_t used = 0;
    stream->n_waiting = 0;
    for (size_t at = 0; at < n;) {
        size_t length = pm_utf8_sequence(text + at, n - at);
        if (length > 0) {
            memcpy(stream->out + used, text + at, length);
            used += length;
            at += length;
        } else if (!at_end && may_become_character(text + at, n - at)) {
            stream->n_waiting = n - at;
            memcpy(stream->waiting, text + at, n - at);
            break;
        } else {
            memcpy(stream->out + used, "\xEF\xBF\xBD", 3);
            used += 3;
            at += beginning_length(text + at, n - at);
        }
    }
    stream->out[used] = '\0';
    *size = used;
    return PM_OK;
}

/* The bytes that the id adds to those of the one before it: *begin is where they begin in *piece, of *size bytes.
 */
static pm_status decode_next(const pm_decode_stream *stream, int32_t id, char **piece, size_t *begin, size_t *size,
                             pm_error *err)
{
    const int32_t both[] = {stream->previous, id};
    uint32_t flags = stream->flags | (stream->previous_continued ? PM_DECODE_CONTINUATION : 0);
    char *before = NULL;
    *begin = 0;
    if (stream->previous != PM_NO_TOKEN) {
        PM_TRY(pm_tokenizer_decode(stream->tokenizer, both, 1, flags, &before, begin, err));
        pm_status status = pm_tokenizer_decode(stream->tokenizer, both, 2, flags, piece, size, err);
        int is_longer = status == PM_OK && *size >= *begin && memcmp(*piece, before, *begin) == 0;
        pm_text_free(before);
        if (status != PM_OK || is_longer)
            return status;
        pm_text_free(*piece); /* the two become something else together, but the first has been given already */
        *begin = 0;
    }
    flags = stream->flags | (stream->started ? PM_DECODE_CONTINUATION : 0);
    return pm_tokenizer_decode(stream->tokenizer, &id, 1, flags, piece, size, err);
}

static void remember(pm_decode_stream *stream, int32_t id)
{
    int is_hidden = stream->flags & PM_DECODE_SKIP_SPECIAL && pm_tokenizer_is_special(stream->tokenizer, id);
    size_t n_token = 0;
    if (is_hidden)
        return;
    pm_tokenizer_token_bytes(stream->tokenizer, id, &n_token);
    stream->previous = id;
    stream->previous_continued = stream->started;
    stream->started |= n_token > 0;
}

pm_status pm_decode_stream_push(pm_decode_stream *stream, int32_t id, const char **text, size_t *size,
                                pm_error *err)
{
    char *piece = NULL;
    size_t begin, n_piece = 0;
    PM_TRY(decode_next(stream, id, &piece, &begin, &n_piece, err));
    remember(stream, id);
    size_t n = stream->n_waiting + n_piece - begin;
    char *bytes = malloc(n + 1);
    pm_status status = bytes ? PM_OK : pm_fail_memory(err, n + 1, "decoded text");
    if (status == PM_OK) {
        memcpy(bytes, stream->waiting, stream->n_waiting);
        memcpy(bytes + stream->n_waiting, piece + begin, n_piece - begin);
        status = write_characters(stream, bytes, n, 0, size, err);
        *text = stream->out;
    }
    free(bytes);
    pm_text_free(piece);
    return status;
}

pm_status pm_decode_stream_flush(pm_decode_stream *stream, const char **text, size_t *size, pm_error *err)
{
    char rest[4];
    size_t n = stream->n_waiting;
    memcpy(rest, stream->waiting, sizeof rest);
    PM_TRY(write_characters(stream, rest, n, 1, size, err));
    stream->started = stream->previous_continued = 0;
    stream->previous = PM_NO_TOKEN;
    *text = stream->out;
    return PM_OK;
}
