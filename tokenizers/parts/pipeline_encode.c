/* Text to ids through the pipeline: see pipeline.h.
 *
 * The template says what comes in which order; each sequence is written straight into the caller's buffers. Only
 * where a limit is set do sequences go through memory of the run, to be cut before they are copied.
 */
#include <string.h>

#include "parts/pipeline_parts.h"

/* Tokens in the run's own memory, and how many of them stay. */
typedef struct stored_sequence {
    size_t begin, n, keep;
} stored_sequence;

typedef struct encoding {
    const pm_pipeline *p;
    pipeline_run *run;
    pm_encode_call *call;
    const pm_plugin_message *message;
    pm_token_sink sink;
    pm_special_choice special; /* of the sequence at hand */
    int with_origins;
    int is_stored; /* the sequences lie in the run's memory */
    stored_sequence stored[2];
} encoding;

/* ---- One sequence ---- */

static pm_plugin_code encode_piece(void *context, const pm_piece *piece)
{
    encoding *e = context;
    e->sink.piece = piece;
    return e->p->kind->encode(e->p->model, e->run->model, &e->sink, e->message);
}

static pm_plugin_code encode_pieces(void *context, const pm_pieces *pieces)
{
    encoding *e = context;
    return e->p->kind->encode_many(e->p->model, e->run->model, pieces, &e->sink, e->message);
}

static pm_plugin_code pre_tokenize(encoding *e, const pm_piece *piece, size_t begin, size_t end)
{
    if (begin >= end)
        return PM_PLUGIN_OK;
    pm_piece part = pm_piece_part(piece, begin, end);
    if (!e->p->pre_tokenizer)
        return encode_piece(e, &part);
    size_t n_parts = e->call->n_threads > 1 ? pipeline_count_parts(e->p, part.n, e->call->n_threads) : 1;
    if (n_parts > 1)
        return pipeline_encode_parts(e->p, e->run, &part, n_parts, &e->sink, e->message);
    const pm_piece_sink sink = {encode_piece, e->p->kind->encode_many ? encode_pieces : NULL, e};
    return pm_pre_tokenize(e->p->pre_tokenizer, e->run->pre_tokenizer, &part, e->with_origins, &sink, e->message);
}

static void emit_added(encoding *e, const pm_piece *piece, const pm_added_match *match)
{
    if (match->begin >= match->end) /* the one before took all of it along */
        return;
    e->sink.piece = piece;
    pm_token_emit(&e->sink, match->id, match->begin, match->end);
}

/* A stretch between added tokens of the text as given. */
static pm_plugin_code encode_stretch(encoding *e, const pm_piece *stretch)
{
    pm_piece piece = *stretch;
    size_t at = 0, search = 0;
    if (e->p->normalizer)
        PM_PLUGIN_TRY(
            pm_normalize(e->p->normalizer, &e->run->normalized, stretch, e->with_origins, &piece, e->message));
    for (;;) {
        pm_added_match match = pm_added_tokens_find(&e->p->normalized, &piece, &e->special, at, &search);
        PM_PLUGIN_TRY(pre_tokenize(e, &piece, at, match.begin));
        if (match.id == PM_NO_TOKEN)
            return PM_PLUGIN_OK;
        emit_added(e, &piece, &match);
        at = match.end;
    }
}

static pm_plugin_code encode_text(encoding *e, const char *text, size_t n)
{
    pm_piece whole = {.bytes = text, .n = n, .starts_text = 1};
    size_t at = 0, search = 0;
    whole.continues = (e->call->flags & PM_ENCODE_CONTINUATION) != 0;
    for (;;) {
        pm_added_match match = pm_added_tokens_find(&e->p->raw, &whole, &e->special, at, &search);
        if (match.begin > at) {
            pm_piece stretch = pm_piece_part(&whole, at, match.begin);
            PM_PLUGIN_TRY(encode_stretch(e, &stretch));
        }
        if (match.id == PM_NO_TOKEN)
            return PM_PLUGIN_OK;
        emit_added(e, &whole, &match);
        at = match.end; /* the next one may begin before that */
    }
}

/* The first or the second sequence of the call, to the sink. */
static pm_plugin_code encode_sequence(encoding *e, int is_second)
{
    const pm_encode_call *call = e->call;
    const char *text = is_second ? call->pair : call->text;
    size_t n = is_second ? call->n_pair : call->n_text, from = e->sink.n;
    e->special = (pm_special_choice){.everywhere = (call->flags & PM_ENCODE_PARSE_SPECIAL) != 0};
    if (!is_second) { /* the spans are of the first */
        e->special.spans = call->special_spans;
        e->special.n_spans = call->n_special_spans;
    }
    PM_PLUGIN_TRY(encode_text(e, text, n));
    size_t to = e->sink.n < e->sink.capacity ? e->sink.n : e->sink.capacity;
    if (e->p->post.trims_spans && e->sink.spans && from < to)
        pipeline_trim_spans(e->p, text, e->sink.ids + from, e->sink.spans + from, to - from);
    return PM_PLUGIN_OK;
}

/* ---- Truncation ---- */

/* Encodes a sequence into the run's own memory, behind what is there; the sink is as before afterwards. */
static pm_plugin_code store_sequence(encoding *e, int is_second, size_t begin)
{
    pm_token_sink outer = e->sink;
    pipeline_run *run = e->run;
    pm_plugin_code code = PM_PLUGIN_OK;
    size_t room = (is_second ? e->call->n_pair : e->call->n_text) / 3 + 64, n;
    do {
        if (room > SIZE_MAX / 2 - begin ||
            !pm_grow((void **)&run->ids, &run->capacity, begin + room, sizeof *run->ids) ||
            (outer.spans &&
             !pm_grow((void **)&run->spans, &run->spans_capacity, begin + room, sizeof *run->spans)))
            return pm_plugin_fail_memory(e->message, "a sequence of tokens");
        e->sink = (pm_token_sink){
            .ids = run->ids + begin, .spans = outer.spans ? run->spans + begin : NULL, .capacity = room};
        code = encode_sequence(e, is_second);
        n = e->sink.n;
        outer.n_unknown_bytes += n <= room ? e->sink.n_unknown_bytes : 0;
    } while (code == PM_PLUGIN_OK && n > room && (room = n) > 0);
    e->sink = outer;
    e->stored[is_second] = (stored_sequence){begin, n, n};
    return code;
}

static size_t count_special(const encoding *e)
{
    const pm_post_processor *post = &e->p->post;
    const pm_template_item *items = e->call->pair ? post->pair : post->single;
    size_t n = e->call->pair ? post->n_pair : post->n_single, count = 0;
    for (size_t i = 0; i < n && e->call->flags & PM_ENCODE_ADD_SPECIAL; i++)
        count += items[i].kind == PM_TEMPLATE_SPECIAL;
    return count;
}

/* The longer sequence of a pair is cut first; then both to the same length, the second having the odd one. (An
 * empty second sequence makes no pair of a single one as far as this goes.) */
static void keep_longest_first(stored_sequence stored[2], size_t most)
{
    size_t n1 = stored[0].n, n2 = stored[1].n;
    int swapped = n1 > n2;
    size_t few = swapped ? n2 : n1, many = few;
    if (few <= most && most - few > few)
        many = most - few;
    if (few + many > most) {
        few = most / 2;
        many = few + most % 2;
    }
    stored[0].keep = swapped ? many : few;
    stored[1].keep = swapped ? few : many;
}

/* Encodes the sequences into the run's memory and decides how many tokens of each stay. */
static pm_plugin_code store_and_cut(encoding *e)
{
    const pm_encode_call *call = e->call;
    size_t special = count_special(e);
    if (call->max_tokens < special)
        return pm_plugin_fail(e->message, PM_PLUGIN_ARGUMENT,
                              "encode: at most %zu tokens are wanted, but %zu are added to each text",
                              call->max_tokens, special);
    PM_PLUGIN_TRY(store_sequence(e, 0, 0));
    if (call->pair)
        PM_PLUGIN_TRY(store_sequence(e, 1, e->stored[0].n));
    e->is_stored = 1;
    size_t most = call->max_tokens - special, total = e->stored[0].n + e->stored[1].n;
    if (total <= most)
        return PM_PLUGIN_OK;
    e->call->n_truncated = total - most;
    if (most == 0) {
        e->stored[0].keep = e->stored[1].keep = 0;
    } else if (call->truncation != PM_TRUNCATE_LONGEST_FIRST) {
        stored_sequence *target = &e->stored[call->truncation == PM_TRUNCATE_ONLY_SECOND];
        if (target->n <= total - most)
            return pm_plugin_fail(e->message, PM_PLUGIN_ARGUMENT,
                                  "encode: there are %zu tokens too many, but the sequence to be cut has only %zu",
                                  total - most, target->n);
        target->keep = target->n - (total - most);
    } else if (call->pair) {
        keep_longest_first(e->stored, most);
    } else {
        e->stored[0].keep = most;
    }
    return PM_PLUGIN_OK;
}

static void copy_stored(encoding *e, int is_second)
{
    const stored_sequence *s = &e->stored[is_second];
    size_t begin = s->begin + (e->call->truncate_left ? s->n - s->keep : 0);
    size_t room = e->sink.n < e->sink.capacity ? e->sink.capacity - e->sink.n : 0,
           n = s->keep < room ? s->keep : room;
    if (n > 0) {
        memcpy(e->sink.ids + e->sink.n, e->run->ids + begin, n * sizeof *e->sink.ids);
        if (e->sink.spans)
            memcpy(e->sink.spans + e->sink.n, e->run->spans + begin, n * sizeof *e->sink.spans);
    }
    e->sink.n += s->keep;
}

/* ---- The template ---- */

/* What has come from `from` on belongs to this segment and sequence. */
static void mark(const encoding *e, size_t from, uint32_t type_id, pm_sequence sequence)
{
    const pm_encode_call *call = e->call;
    size_t to = e->sink.n < call->capacity ? e->sink.n : call->capacity;
    if (from >= to)
        return;
    if (call->type_ids)
        memset(call->type_ids + from, (int)type_id, to - from);
    if (call->sequences)
        memset(call->sequences + from, sequence, to - from);
}

static pm_plugin_code encode_template(encoding *e)
{
    static const pm_piece nothing = {.bytes = ""};
    const pm_post_processor *post = &e->p->post;
    const pm_encode_call *call = e->call;
    const pm_template_item *items = call->pair ? post->pair : post->single;
    size_t n = call->pair ? post->n_pair : post->n_single;
    for (size_t i = 0; i < n; i++) {
        size_t from = e->sink.n;
        int is_second = items[i].kind == PM_TEMPLATE_SECOND;
        if (items[i].kind == PM_TEMPLATE_SPECIAL) {
            if (!(call->flags & PM_ENCODE_ADD_SPECIAL))
                continue;
            e->sink.piece = &nothing;
            pm_token_emit(&e->sink, items[i].id, 0, 0);
            mark(e, from, items[i].type_id, PM_SEQUENCE_NONE);
            continue;
        }
        if (is_second && !call->pair)
            continue;
        if (e->is_stored)
            copy_stored(e, is_second);
        else
            PM_PLUGIN_TRY(encode_sequence(e, is_second));
        mark(e, from, items[i].type_id, is_second ? PM_SEQUENCE_SECOND : PM_SEQUENCE_FIRST);
    }
    return PM_PLUGIN_OK;
}

/* ---- The call ---- */

static pm_plugin_code check_call(const pm_encode_call *call, const pm_plugin_message *message)
{
    if (call->size < sizeof *call || (!call->text && call->n_text > 0) || (!call->pair && call->n_pair > 0) ||
        (!call->ids && call->capacity > 0) || (!call->special_spans && call->n_special_spans > 0) ||
        call->truncation > PM_TRUNCATE_ONLY_SECOND)
        return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT, "encode: the call is incomplete");
    if (call->n_text > INT32_MAX / 2 || call->n_pair > INT32_MAX / 2)
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "encode: a text of %zu bytes is too long",
                              call->n_text > call->n_pair ? call->n_text : call->n_pair);
    size_t before = 0;
    for (size_t i = 0; i < call->n_special_spans; i++) {
        pm_text_span span = call->special_spans[i];
        if (span.begin < before || span.end < span.begin || span.end > call->n_text)
            return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT, "encode: special span %zu is out of place", i);
        before = span.end;
    }
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_pipeline_encode(const void *instance, pm_encode_call *call, const pm_plugin_message *message)
{
    const pm_pipeline *p = instance;
    encoding e = {.p = p, .call = call, .message = message};
    PM_PLUGIN_TRY(check_call(call, message));
    PM_PLUGIN_TRY(pipeline_take_run(p, &e.run, message));
    e.with_origins =
        call->spans != NULL || call->n_special_spans > 0 || pm_pre_tokenizer_needs_origins(p->pre_tokenizer);
    e.sink = (pm_token_sink){.ids = call->ids, .spans = call->spans, .capacity = call->capacity};
    call->n_truncated = 0;
    pm_plugin_code code = call->max_tokens > 0 ? store_and_cut(&e) : PM_PLUGIN_OK;
    if (code == PM_PLUGIN_OK)
        code = encode_template(&e);
    pipeline_give_back(p, e.run);
    call->n_ids = e.sink.n;
    call->n_unknown_bytes = e.sink.n_unknown_bytes;
    if (code == PM_PLUGIN_OK && call->n_ids > call->capacity)
        return PM_PLUGIN_TOO_SMALL;
    return code;
}
