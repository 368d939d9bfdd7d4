/* Spans without white space, as byte-level post-processors want them: see post_processor.h.
 *
 * As Hugging Face does it, and in characters as it counts them: the white space at the ends of the token's
 * spelling says how many characters of the text the span loses, whatever they are.
 */
#include <unicode/uchar.h>

#include "parts/pipeline_parts.h"
#include "parts/utf8_read.h"

/* The first byte of the character that ends before `at`, not before `from`. */
static size_t previous_character(const char *text, size_t from, size_t at)
{
    size_t back = at - 1;
    while (back > from && at - back < 4 && pm_is_continuation((unsigned char)text[back]))
        back--;
    return back + pm_read_character(text, back, at).length == at ? back : at - 1;
}

/* The characters of white space at one end of a text; of a byte-level spelling only spaces are. */
static size_t count_spaces(const char *text, size_t n, int backwards, int is_spelled)
{
    size_t count = 0, begin = 0, end = n;
    while (begin < end) {
        size_t at = backwards ? previous_character(text, begin, end) : begin;
        pm_character c = pm_read_character(text, at, end);
        if (is_spelled ? c.code != ' ' : c.malformed || !u_isUWhiteSpace((UChar32)c.code))
            break;
        if (backwards)
            end = at;
        else
            begin += c.length;
        count++;
    }
    return count;
}

static void trim_span(const pm_pipeline *p, const char *text, int32_t id, int is_first, pm_text_span *span)
{
    size_t n;
    const char *bytes = pm_token_bytes(&p->table, id, &n);
    int is_of_model = p->table.kinds[id] == PM_TOKEN_NORMAL;
    if (!is_of_model) { /* an added token is spelled as the text it was found as */
        bytes = text + span->begin;
        n = span->end - span->begin;
    }
    size_t leading = count_spaces(bytes, n, 0, is_of_model), trailing = count_spaces(bytes, n, 1, is_of_model);
    if (leading == 1 && p->post.adds_prefix_space && (is_first || span->begin == 0))
        leading = 0; /* it may be the one that was added */
    while (leading-- > 0 && span->begin < span->end)
        span->begin += pm_read_character(text, span->begin, span->end).length;
    while (trailing-- > 0 && span->begin < span->end)
        span->end = previous_character(text, span->begin, span->end);
}

void pipeline_trim_spans(const pm_pipeline *p, const char *text, const int32_t *ids, pm_text_span *spans, size_t n)
{
    for (size_t i = 0; i < n; i++)
        trim_span(p, text, ids[i], i == 0, &spans[i]);
}
