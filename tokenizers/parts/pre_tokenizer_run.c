/* The walk of a text through the stages of a pre-tokenizer, depth first: see pre_tokenizer.h.
 *
 * Each piece goes through all later stages before the next one is looked for, so that pieces arrive in order and
 * only stages that rewrite text hold any.
 */
#include <stdlib.h>
#include <string.h>

#include "parts/pre_tokenizer_stages.h"
#include "parts/utf8_read.h"

pm_plugin_code pm_pre_tokenizer_run_create(const pm_pre_tokenizer *pre_tokenizer, pm_pre_tokenizer_run **out,
                                           const pm_plugin_message *message)
{
    pm_pre_tokenizer_run *run = calloc(1, sizeof *run);
    *out = NULL;
    if (!run)
        return pm_plugin_fail_memory(message, "a pre-tokenizer");
    run->n = pre_tokenizer ? pre_tokenizer->n : 0;
    UErrorCode status = U_ZERO_ERROR;
    for (size_t i = 0; i < run->n; i++) {
        run->texts[i] = (UText)UTEXT_INITIALIZER;
        if (pre_tokenizer->stages[i].regex)
            run->regexes[i] = uregex_clone(pre_tokenizer->stages[i].regex, &status);
    }
    if (U_FAILURE(status)) {
        pm_pre_tokenizer_run_destroy(run);
        return pm_plugin_fail_memory(message, "a pre-tokenizer");
    }
    *out = run;
    return PM_PLUGIN_OK;
}

void pm_pre_tokenizer_run_destroy(pm_pre_tokenizer_run *run)
{
    if (!run)
        return;
    for (size_t i = 0; i < run->n; i++) {
        if (run->regexes[i]) {
            uregex_close(run->regexes[i]);
            utext_close(&run->texts[i]);
        }
        pm_text_buffer_destroy(&run->buffers[i]);
    }
    free(run);
}

typedef struct walk {
    const pm_pre_tokenizer *pre_tokenizer;
    pm_pre_tokenizer_run *run;
    int with_origins;
    const pm_piece_sink *sink;
    const pm_plugin_message *message;
} walk;

static pm_plugin_code feed(const walk *w, size_t i, const pm_piece *piece);

static pm_plugin_code feed_part(const walk *w, size_t i, const pm_piece *piece, size_t begin, size_t end)
{
    if (begin >= end)
        return PM_PLUGIN_OK;
    pm_piece part = pm_piece_part(piece, begin, end);
    return feed(w, i, &part);
}

/* ---- Splitting ---- */

/* What split_one has found so far and not yet passed on: the pieces of MergedWith... and Contiguous. */
typedef struct open_piece {
    size_t begin, end;
    int is_open, is_match;
} open_piece;

static pm_plugin_code close_piece(const walk *w, size_t i, const pm_piece *piece, open_piece *open)
{
    if (!open->is_open)
        return PM_PLUGIN_OK;
    open->is_open = 0;
    return feed_part(w, i + 1, piece, open->begin, open->end);
}

/* The next segment of the text, a match or what is between two. */
static pm_plugin_code take_segment(const walk *w, size_t i, const pm_piece *piece, open_piece *open, size_t begin,
                                   size_t end, int is_match)
{
    const stage *s = &w->pre_tokenizer->stages[i];
    if (begin >= end)
        return PM_PLUGIN_OK;
    int joins = 0;
    switch (s->behavior) {
    case SPLIT_ISOLATED:
        return feed_part(w, i + 1, piece, begin, end);
    case SPLIT_REMOVED:
        return is_match ? PM_PLUGIN_OK : feed_part(w, i + 1, piece, begin, end);
    case SPLIT_MERGED_WITH_PREVIOUS: /* a match joins what is before it, unless that ends with a match */
        joins = is_match && !open->is_match;
        break;
    case SPLIT_MERGED_WITH_NEXT: /* what is no match joins the match before it */
        joins = !is_match && open->is_match;
        break;
    case SPLIT_CONTIGUOUS:
        joins = is_match == open->is_match;
        break;
    }
    if (!open->is_open || !joins) {
        PM_PLUGIN_TRY(close_piece(w, i, piece, open));
        open->begin = begin;
    }
    *open = (open_piece){open->begin, end, 1, is_match};
    return PM_PLUGIN_OK;
}

static pm_plugin_code split_by_scanner(const walk *w, size_t i, const pm_piece *piece)
{
    const stage *s = &w->pre_tokenizer->stages[i];
    uint32_t ends[PM_SPLIT_BLOCK];
    open_piece open = {0};
    size_t at = 0, begin = 0, k;
    while ((k = pm_split_scan(s->scanner, piece->bytes, piece->n, &at, ends, PM_SPLIT_BLOCK)) > 0)
        for (size_t p = 0; p < k; p++) {
            size_t end = ends[p] & ~PM_SPLIT_GAP;
            int is_match = !(ends[p] & PM_SPLIT_GAP);
            PM_PLUGIN_TRY(take_segment(w, i, piece, &open, begin, end, is_match != s->invert));
            begin = end;
        }
    return close_piece(w, i, piece, &open);
}

static pm_plugin_code split_by_matches(const walk *w, size_t i, const pm_piece *piece)
{
    const stage *s = &w->pre_tokenizer->stages[i];
    URegularExpression *regex = w->run->regexes[i];
    open_piece open = {0};
    if (regex) {
        UErrorCode status = U_ZERO_ERROR;
        utext_openUTF8(&w->run->texts[i], piece->bytes, (int64_t)piece->n, &status);
        uregex_setUText(regex, &w->run->texts[i], &status);
        if (U_FAILURE(status))
            return pm_plugin_fail(w->message, PM_PLUGIN_INTERNAL, "ICU: %s", u_errorName(status));
    }
    for (size_t at = 0; at < piece->n;) {
        size_t begin, end;
        PM_PLUGIN_TRY(stage_next_match(s, regex, piece, at, &begin, &end, w->message));
        PM_PLUGIN_TRY(take_segment(w, i, piece, &open, at, begin, s->invert));
        PM_PLUGIN_TRY(take_segment(w, i, piece, &open, begin, end, !s->invert));
        at = end;
    }
    return close_piece(w, i, piece, &open);
}

static pm_plugin_code split_by_script(const walk *w, size_t i, const pm_piece *piece)
{
    for (size_t at = 0; at < piece->n;) {
        size_t end = stage_script_end(piece, at);
        PM_PLUGIN_TRY(feed_part(w, i + 1, piece, at, end));
        at = end;
    }
    return PM_PLUGIN_OK;
}

static pm_plugin_code split_by_length(const walk *w, size_t i, const pm_piece *piece)
{
    for (size_t at = 0; at < piece->n;) {
        size_t end = at;
        for (size_t n = 0; n < w->pre_tokenizer->stages[i].length && end < piece->n; n++)
            end += pm_read_character(piece->bytes, end, piece->n).length;
        PM_PLUGIN_TRY(feed_part(w, i + 1, piece, at, end));
        at = end;
    }
    return PM_PLUGIN_OK;
}

/* ---- Rewriting ---- */

static pm_plugin_code rewrite(const walk *w, size_t i, const pm_piece *piece)
{
    const stage *s = &w->pre_tokenizer->stages[i];
    pm_text_buffer *buffer = &w->run->buffers[i];
    int same = 0, good;
    if (s->kind == STAGE_METASPACE)
        good = stage_metaspace(s, piece, buffer, w->with_origins);
    else if (s->kind == STAGE_PREFIX)
        good = stage_prefix(piece, buffer, w->with_origins, &same);
    else if (s->kind == STAGE_SPELL)
        good = stage_spell(piece, buffer, w->with_origins);
    else
        good = stage_unspell(piece, buffer, w->with_origins);
    if (!good)
        return pm_plugin_fail_memory(w->message, "a piece of text");
    if (same)
        return feed(w, i + 1, piece);
    pm_piece written = pm_text_buffer_piece(buffer, piece);
    return feed(w, i + 1, &written);
}

static pm_plugin_code feed(const walk *w, size_t i, const pm_piece *piece)
{
    if (piece->n == 0)
        return PM_PLUGIN_OK;
    if (i == w->run->n)
        return w->sink->take(w->sink->context, piece);
    const stage *s = &w->pre_tokenizer->stages[i];
    switch (s->kind) {
    case STAGE_SPLIT:
        return s->matcher == MATCH_SCANNER ? split_by_scanner(w, i, piece) : split_by_matches(w, i, piece);
    case STAGE_SCRIPTS:
        return split_by_script(w, i, piece);
    case STAGE_LENGTH:
        return split_by_length(w, i, piece);
    default:
        return rewrite(w, i, piece);
    }
}

const pm_split_scanner *pm_pre_tokenizer_scanner(const pm_pre_tokenizer *pre_tokenizer)
{
    const stage *s = &pre_tokenizer->stages[0];
    if (pre_tokenizer->n != 1 || s->kind != STAGE_SPLIT || s->matcher != MATCH_SCANNER)
        return NULL;
    int gives_all = s->behavior == SPLIT_ISOLATED ||
                    (s->behavior == SPLIT_REMOVED && s->invert && pm_split_scanner_is_complete(s->scanner));
    return gives_all ? s->scanner : NULL;
}

/* The usual case without the walk: one scanner, each of whose matches is a piece. */
static pm_plugin_code scan(const pm_split_scanner *scanner, const pm_piece *piece, const pm_piece_sink *sink)
{
    uint32_t ends[PM_SPLIT_BLOCK];
    size_t at = 0, begin = 0, k;
    while ((k = pm_split_scan(scanner, piece->bytes, piece->n, &at, ends, PM_SPLIT_BLOCK)) > 0) {
        for (size_t p = 0; p < k; p++)
            ends[p] &= ~PM_SPLIT_GAP;
        if (sink->take_many)
            PM_PLUGIN_TRY(sink->take_many(sink->context, &(pm_pieces){piece, begin, ends, k}));
        for (size_t p = 0; p < k && !sink->take_many; p++) {
            pm_piece part = pm_piece_part(piece, p ? ends[p - 1] : begin, ends[p]);
            PM_PLUGIN_TRY(sink->take(sink->context, &part));
        }
        begin = ends[k - 1];
    }
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_pre_tokenize(const pm_pre_tokenizer *pre_tokenizer, pm_pre_tokenizer_run *run,
                               const pm_piece *piece, int with_origins, const pm_piece_sink *sink,
                               const pm_plugin_message *message)
{
    walk w = {pre_tokenizer, run, with_origins, sink, message};
    const pm_split_scanner *scanner = pm_pre_tokenizer_scanner(pre_tokenizer);
    return scanner ? scan(scanner, piece, sink) : feed(&w, 0, piece);
}
