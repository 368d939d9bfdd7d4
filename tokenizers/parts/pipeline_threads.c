/* One long text over threads.
 *
 * How a scanner goes on from the end of a piece depends on nothing but that place and the text (pm_split_scan
 * keeps nothing else between calls), and what a piece becomes on the piece alone. So each thread takes a part of
 * the text and scans from where its part begins, which is a guess: most likely the middle of a piece. Where a
 * piece of it ends at the same place as one that follows from the parts before, everything from there on is as if
 * the text had been scanned from its beginning; what was found before that place is dropped. The end of the part
 * before and that place are a few pieces apart in nearly all texts. In a text that has no such place the calling
 * thread does the work of the part again.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "parts/pipeline_parts.h"
#include "parts/utf8_read.h"

enum {
    LEAST_PART = 1 << 17, /* bytes that are worth a thread */
    MOST_THREADS = 64,
    FEW_PIECES = 16,   /* in a block at the beginning of a part, where the parts are to meet ... */
    N_FEW_BLOCKS = 256 /* ... and so many of them */
};

/* A place where a piece ends, and what had come by then. */
typedef struct part_cut {
    size_t at, n, n_unknown_bytes;
} part_cut;

typedef struct text_part {
    const pm_pipeline *p;
    const pm_split_scanner *scanner;
    const pm_piece *piece;
    pipeline_run *run;
    size_t from, to;
    size_t at; /* where the last piece so far ends */
    pm_token_sink sink;
    size_t spans_capacity;
    int wants_spans;
    int owns_sink; /* its memory grows; otherwise it is the caller's */
    part_cut *cuts;
    size_t n_cuts, cuts_capacity;
    pm_plugin_code code;
    char text[200];
    pthread_t thread;
} text_part;

/* ---- Pieces ---- */

static pm_plugin_code encode_block(const text_part *part, const pm_pieces *pieces, pm_token_sink *sink,
                                   const pm_plugin_message *message)
{
    const pm_model_kind *kind = part->p->kind;
    if (kind->encode_many)
        return kind->encode_many(part->p->model, part->run->model, pieces, sink, message);
    for (size_t i = 0; i < pieces->n; i++) {
        pm_piece one = pm_piece_part(pieces->whole, i ? pieces->ends[i - 1] : pieces->begin, pieces->ends[i]);
        sink->piece = &one;
        PM_PLUGIN_TRY(kind->encode(part->p->model, part->run->model, sink, message));
    }
    return PM_PLUGIN_OK;
}

static int grow_sink(text_part *part, size_t n)
{
    pm_token_sink *sink = &part->sink;
    if (part->wants_spans && !pm_grow((void **)&sink->spans, &part->spans_capacity, n, sizeof *sink->spans))
        return 0;
    return pm_grow((void **)&sink->ids, &sink->capacity, n, sizeof *sink->ids);
}

/* The same, with room for what comes where the memory is the part's own. */
static pm_plugin_code encode_pieces(text_part *part, const pm_pieces *pieces, const pm_plugin_message *message)
{
    pm_token_sink before = part->sink;
    pm_plugin_code code = encode_block(part, pieces, &part->sink, message);
    if (code != PM_PLUGIN_OK || !part->owns_sink || part->sink.n <= part->sink.capacity)
        return code;
    size_t n = part->sink.n;
    part->sink.n = before.n;
    part->sink.n_unknown_bytes = before.n_unknown_bytes;
    if (!grow_sink(part, n))
        return pm_plugin_fail_memory(message, "the tokens of a long text");
    return encode_block(part, pieces, &part->sink, message);
}

static size_t scan_block(const text_part *part, size_t *at, uint32_t *ends, size_t most)
{
    size_t n = pm_split_scan(part->scanner, part->piece->bytes, part->piece->n, at, ends, most);
    for (size_t i = 0; i < n; i++)
        ends[i] &= ~PM_SPLIT_GAP;
    return n;
}

/* ---- A part ---- */

static int remember_cut(text_part *part)
{
    if (!pm_grow((void **)&part->cuts, &part->cuts_capacity, part->n_cuts + 1, sizeof *part->cuts))
        return 0;
    part->cuts[part->n_cuts++] = (part_cut){part->at, part->sink.n, part->sink.n_unknown_bytes};
    return 1;
}

/* From the part's beginning to the first end of a piece that is not before its end. */
static pm_plugin_code encode_part(text_part *part, const pm_plugin_message *message)
{
    uint32_t ends[PM_SPLIT_BLOCK];
    part->at = part->from;
    if (part->owns_sink && (!remember_cut(part) || !grow_sink(part, (part->to - part->from) / 3 + 64)))
        return pm_plugin_fail_memory(message, "the tokens of a long text");
    for (size_t next = part->at; part->at < part->to;) {
        int is_few = part->owns_sink && part->n_cuts < N_FEW_BLOCKS;
        size_t n = scan_block(part, &next, ends, is_few ? FEW_PIECES : PM_SPLIT_BLOCK);
        while (n > 1 && ends[n - 2] >= part->to)
            n--;
        PM_PLUGIN_TRY(encode_pieces(part, &(pm_pieces){part->piece, part->at, ends, n}, message));
        part->at = ends[n - 1];
        if (part->owns_sink && !remember_cut(part))
            return pm_plugin_fail_memory(message, "the tokens of a long text");
    }
    return PM_PLUGIN_OK;
}

static void *run_part(void *argument)
{
    text_part *part = argument;
    const pm_plugin_message message = {part->text, sizeof part->text};
    part->code = pipeline_take_run(part->p, &part->run, &message);
    if (part->code == PM_PLUGIN_OK)
        part->code = encode_part(part, &message);
    return NULL;
}

/* ---- Where parts meet ---- */

/* The part's cut at this place, or NULL; *c goes up with the places that are asked for. */
static const part_cut *cut_at(const text_part *part, size_t at, size_t *c)
{
    while (*c < part->n_cuts && part->cuts[*c].at < at)
        ++*c;
    return *c < part->n_cuts && part->cuts[*c].at == at ? &part->cuts[*c] : NULL;
}

static void append(pm_token_sink *sink, const pm_token_sink *from, const part_cut *cut)
{
    size_t room = sink->n < sink->capacity ? sink->capacity - sink->n : 0, n = from->n - cut->n;
    size_t fits = n < room ? n : room;
    if (fits > 0) {
        memcpy(sink->ids + sink->n, from->ids + cut->n, fits * sizeof *sink->ids);
        if (sink->spans)
            memcpy(sink->spans + sink->n, from->spans + cut->n, fits * sizeof *sink->spans);
    }
    sink->n += n;
    sink->n_unknown_bytes += from->n_unknown_bytes - cut->n_unknown_bytes;
}

/* Goes on from where the first part, which is all that is sure so far, has come to, until it meets `next`, and
 * takes over what that has from there on. */
static pm_plugin_code join_part(text_part *first, const text_part *next, const pm_plugin_message *message)
{
    uint32_t ends[FEW_PIECES];
    const part_cut *cut;
    size_t c = 0;
    while (!(cut = cut_at(next, first->at, &c)) && first->at < next->at) {
        size_t at = first->at, n = scan_block(first, &at, ends, FEW_PIECES), k = 1;
        while (k < n && !cut_at(next, ends[k - 1], &c))
            k++;
        PM_PLUGIN_TRY(encode_pieces(first, &(pm_pieces){first->piece, first->at, ends, k}, message));
        first->at = ends[k - 1];
    }
    if (cut) {
        append(&first->sink, &next->sink, cut);
        first->at = next->at;
    }
    return PM_PLUGIN_OK;
}

/* ---- The text ---- */

/* The first part writes where the tokens are wanted, the others into memory of their own. */
static void cut_text(text_part *parts, size_t n_parts, const text_part *like)
{
    const char *bytes = like->piece->bytes;
    size_t n = like->piece->n, from = 0;
    for (size_t i = 0; i < n_parts; i++) {
        size_t to = i + 1 < n_parts ? n / n_parts * (i + 1) : n;
        while (to < n && pm_is_continuation((unsigned char)bytes[to]))
            to++;
        parts[i] = *like;
        parts[i].from = from;
        parts[i].to = to;
        if (i > 0) {
            parts[i].owns_sink = 1;
            parts[i].sink = (pm_token_sink){0};
            parts[i].run = NULL;
        }
        from = to;
    }
}

static pm_plugin_code run_parts(text_part *parts, size_t n_parts, const pm_plugin_message *message)
{
    int has_thread[MOST_THREADS] = {0};
    for (size_t i = 1; i < n_parts; i++)
        has_thread[i] = pthread_create(&parts[i].thread, NULL, run_part, &parts[i]) == 0;
    pm_plugin_code code = encode_part(&parts[0], message);
    for (size_t i = 1; i < n_parts; i++) {
        if (has_thread[i])
            pthread_join(parts[i].thread, NULL);
        else if (code == PM_PLUGIN_OK)
            run_part(&parts[i]);
        if (code == PM_PLUGIN_OK && parts[i].code != PM_PLUGIN_OK)
            code = pm_plugin_fail(message, parts[i].code, "%s", parts[i].text);
        if (code == PM_PLUGIN_OK)
            code = join_part(&parts[0], &parts[i], message);
    }
    return code;
}

size_t pipeline_count_parts(const pm_pipeline *p, size_t n_bytes, size_t n_threads)
{
    size_t n_parts = n_bytes / LEAST_PART;
    if (!p->pre_tokenizer || !pm_pre_tokenizer_scanner(p->pre_tokenizer))
        return 1;
    n_parts = n_parts < n_threads ? n_parts : n_threads;
    return n_parts < MOST_THREADS ? n_parts : MOST_THREADS;
}

pm_plugin_code pipeline_encode_parts(const pm_pipeline *p, pipeline_run *run, const pm_piece *piece,
                                     size_t n_parts, pm_token_sink *sink, const pm_plugin_message *message)
{
    text_part *parts = calloc(n_parts, sizeof *parts);
    if (!parts)
        return pm_plugin_fail_memory(message, "the parts of a long text");
    const text_part like = {.p = p,
                            .scanner = pm_pre_tokenizer_scanner(p->pre_tokenizer),
                            .piece = piece,
                            .run = run,
                            .wants_spans = sink->spans != NULL,
                            .sink = *sink};
    cut_text(parts, n_parts, &like);
    pm_plugin_code code = run_parts(parts, n_parts, message);
    *sink = parts[0].sink;
    for (size_t i = 1; i < n_parts; i++) {
        if (parts[i].run)
            pipeline_give_back(p, parts[i].run);
        free(parts[i].sink.ids);
        free(parts[i].sink.spans);
        free(parts[i].cuts);
    }
    free(parts);
    return code;
}
