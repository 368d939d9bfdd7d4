/* Stages compiled and applied: see splitter.h.
 *
 * pm_split walks the stages depth first: each piece goes through all later stages before the next one is looked
 * for, so pieces arrive in order and nothing is stored.
 */
#include "parts/splitter.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/uregex.h>
#include <unicode/uset.h>
#include <unicode/ustring.h>

#include "parts/character_class.h"
#include "parts/pretokenizer_list.h"
#include "parts/utf8_read.h"

typedef struct pm_stage {
    pm_stage_spec spec;
    USet *set;                 /* RUN; frozen, so any thread may read it */
    uint8_t ascii_in_set[128]; /* RUN: the same for ASCII */
    URegularExpression *regex; /* REGEX; cloned for each call */
} pm_stage;

struct pm_splitter {
    size_t n_stages;
    pm_stage stages[]; /* n_stages of them */
};

struct pm_split_run {
    const pm_splitter *splitter;
    const char *text;
    UText *utext;                  /* only where there are regular expressions */
    URegularExpression *regexes[]; /* one a stage; NULL for other kinds of stage */
};

/* ---- Making one ---- */

/* UTF-8 to a new UTF-16 string of *n units. */
static UChar *to_utf16(const char *text, int32_t *n)
{
    UErrorCode status = U_ZERO_ERROR;
    size_t length = strlen(text);
    if (length > INT32_MAX / 2)
        return NULL;
    UChar *out = malloc((length + 1) * sizeof *out);
    if (out)
        u_strFromUTF8(out, (int32_t)length + 1, n, text, (int32_t)length, &status);
    if (out && U_FAILURE(status)) {
        free(out);
        return NULL;
    }
    return out;
}

static pm_plugin_code compile_set(pm_stage *stage, const UChar *pattern, int32_t n,
                                  const pm_plugin_message *message)
{
    UErrorCode status = U_ZERO_ERROR;
    stage->set = uset_openPattern(pattern, n, &status);
    if (U_FAILURE(status))
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "ICU does not take the character set '%.60s': %s",
                              stage->spec.pattern, u_errorName(status));
    uset_freeze(stage->set);
    for (UChar32 c = 0; c < 128; c++)
        stage->ascii_in_set[c] = (uint8_t)uset_contains(stage->set, c);
    return PM_PLUGIN_OK;
}

static pm_plugin_code compile_regex(pm_stage *stage, const UChar *pattern, int32_t n,
                                    const pm_plugin_message *message)
{
    UErrorCode status = U_ZERO_ERROR;
    UParseError where = {0};
    stage->regex = uregex_open(pattern, n, 0, &where, &status);
    if (U_FAILURE(status))
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT,
                              "ICU does not take the regular expression '%.100s': %s at %d", stage->spec.pattern,
                              u_errorName(status), (int)where.offset);
    return PM_PLUGIN_OK;
}

static pm_plugin_code compile_stage(pm_stage *stage, const pm_plugin_message *message)
{
    if (stage->spec.kind != PM_STAGE_RUN && stage->spec.kind != PM_STAGE_REGEX)
        return PM_PLUGIN_OK;
    int32_t n = 0;
    UChar *pattern = to_utf16(stage->spec.pattern, &n);
    if (!pattern)
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "a pattern of the pre-tokenizer is not UTF-8");
    pm_plugin_code code = stage->spec.kind == PM_STAGE_RUN ? compile_set(stage, pattern, n, message)
                                                           : compile_regex(stage, pattern, n, message);
    free(pattern);
    return code;
}

static pm_splitter *allocate_splitter(size_t n_stages)
{
    if (n_stages > 1000)
        return NULL;
    pm_splitter *splitter = calloc(1, sizeof *splitter + n_stages * sizeof splitter->stages[0]);
    if (splitter)
        splitter->n_stages = n_stages;
    return splitter;
}

pm_plugin_code pm_splitter_create(const pm_pretokenizer_spec *spec, pm_splitter **out,
                                  const pm_plugin_message *message)
{
    const pm_pretokenizer *known = NULL;
    size_t n = spec->n_patterns;
    if (n == 0 && spec->name && spec->name[0]) {
        known = pm_pretokenizer_find(spec->name);
        if (!known)
            return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "the pre-tokenizer '%.80s' is not known",
                                  spec->name);
        while (n < PM_STAGES_MAX && known->stages[n].kind != PM_STAGE_NONE)
            n++;
    }
    pm_splitter *splitter = allocate_splitter(n);
    if (!splitter)
        return pm_plugin_fail_memory(message, "the pre-tokenizer");
    for (size_t i = 0; i < n; i++) {
        splitter->stages[i].spec = known ? known->stages[i] : (pm_stage_spec){.kind = PM_STAGE_REGEX};
        if (!known)
            splitter->stages[i].spec.pattern = spec->patterns[i]; /* borrowed: used in this call only */
        pm_plugin_code code = compile_stage(&splitter->stages[i], message);
        if (code != PM_PLUGIN_OK) {
            pm_splitter_destroy(splitter);
            return code;
        }
    }
    *out = splitter;
    return PM_PLUGIN_OK;
}

void pm_splitter_destroy(pm_splitter *splitter)
{
    if (!splitter)
        return;
    for (size_t i = 0; i < splitter->n_stages; i++) {
        if (splitter->stages[i].set)
            uset_close(splitter->stages[i].set);
        if (splitter->stages[i].regex)
            uregex_close(splitter->stages[i].regex);
    }
    free(splitter);
}

/* ---- One call ---- */

static UErrorCode clone_regexes(pm_split_run *run, size_t n_text)
{
    UErrorCode status = U_ZERO_ERROR;
    for (size_t i = 0; i < run->splitter->n_stages; i++) {
        const pm_stage *stage = &run->splitter->stages[i];
        if (!stage->regex)
            continue;
        if (!run->utext)
            run->utext = utext_openUTF8(NULL, run->text, (int64_t)n_text, &status);
        run->regexes[i] = uregex_clone(stage->regex, &status);
        if (U_SUCCESS(status))
            uregex_setUText(run->regexes[i], run->utext, &status);
    }
    return status;
}

pm_plugin_code pm_split_run_begin(const pm_splitter *splitter, const char *text, size_t n_text, pm_split_run **out,
                                  const pm_plugin_message *message)
{
    pm_split_run *run = calloc(1, sizeof *run + splitter->n_stages * sizeof run->regexes[0]);
    if (!run)
        return pm_plugin_fail_memory(message, "splitting a text");
    run->splitter = splitter;
    run->text = text ? text : "";
    UErrorCode status = clone_regexes(run, n_text);
    if (U_FAILURE(status)) {
        pm_split_run_end(run);
        return pm_plugin_fail(message, PM_PLUGIN_INTERNAL, "ICU cannot start on the text: %s",
                              u_errorName(status));
    }
    *out = run;
    return PM_PLUGIN_OK;
}

void pm_split_run_end(pm_split_run *run)
{
    if (!run)
        return;
    for (size_t i = 0; i < run->splitter->n_stages; i++)
        if (run->regexes[i])
            uregex_close(run->regexes[i]);
    if (run->utext)
        utext_close(run->utext);
    free(run);
}

/* ---- Finding the next match ---- */

static int is_in_set(const pm_stage *stage, pm_character c)
{
    return c.code < 128 ? stage->ascii_in_set[c.code] : uset_contains(stage->set, (UChar32)c.code);
}

/* The end of the match of \s?[set]{1,most} at `at`, or `at` where there is none. */
static size_t match_run(const pm_stage *stage, const char *text, size_t at, size_t end)
{
    pm_character c = pm_read_character(text, at, end);
    size_t stop = at;
    if (stage->spec.leading_space && pm_class_of(c.code) == PM_CLASS_SPACE) {
        pm_character next = pm_read_character(text, at + c.length, end);
        if (next.length > 0 && is_in_set(stage, next))
            stop = at + c.length;
    }
    c = pm_read_character(text, stop, end);
    for (size_t n = 0; c.length > 0 && is_in_set(stage, c) && (stage->spec.most == 0 || n < stage->spec.most);
         n++) {
        stop += c.length;
        c = pm_read_character(text, stop, end);
    }
    return stop;
}

/* The white space at the end of text[begin, end). */
static size_t trailing_white_space(const char *text, size_t begin, size_t end)
{
    size_t start = end;
    for (size_t at = begin; at < end;) {
        pm_character c = pm_read_character(text, at, end);
        if (pm_class_of(c.code) != PM_CLASS_SPACE)
            start = end;
        else if (start == end)
            start = at;
        at += c.length;
    }
    return start;
}

static pm_plugin_code search_regex(URegularExpression *regex, size_t at, size_t end, pm_text_span *match,
                                   const pm_plugin_message *message)
{
    UErrorCode status = U_ZERO_ERROR;
    UBool found = uregex_findNext(regex, &status);
    /* An empty match cuts nothing off; the search goes on behind it. */
    while (U_SUCCESS(status) && found && uregex_start64(regex, 0, &status) == uregex_end64(regex, 0, &status))
        found = uregex_findNext(regex, &status);
    *match = (pm_text_span){end, end};
    if (U_SUCCESS(status) && found)
        *match =
            (pm_text_span){(size_t)uregex_start64(regex, 0, &status), (size_t)uregex_end64(regex, 0, &status)};
    if (U_FAILURE(status))
        return pm_plugin_fail(message, PM_PLUGIN_INTERNAL, "ICU cannot match the text at byte %zu: %s", at,
                              u_errorName(status));
    return PM_PLUGIN_OK;
}

/* The first match within text[at, end); an empty one at `end` where there is none. */
static pm_plugin_code next_match(const pm_split_run *run, size_t i, size_t at, size_t end, pm_text_span *match,
                                 const pm_plugin_message *message)
{
    const pm_stage *stage = &run->splitter->stages[i];
    switch (stage->spec.kind) {
    case PM_STAGE_SCAN:
        *match = (pm_text_span){at, stage->spec.scan(run->text, at, end)};
        break;
    case PM_STAGE_RUN:
        *match = (pm_text_span){end, end};
        for (size_t p = at; p < end; p += pm_read_character(run->text, p, end).length) {
            size_t stop = match_run(stage, run->text, p, end);
            if (stop > p) {
                *match = (pm_text_span){p, stop};
                break;
            }
        }
        break;
    case PM_STAGE_TRAILING:
        *match = (pm_text_span){trailing_white_space(run->text, at, end), end};
        break;
    case PM_STAGE_REGEX:
        return search_regex(run->regexes[i], at, end, match, message);
    case PM_STAGE_NONE:
        *match = (pm_text_span){end, end};
        break;
    }
    return PM_PLUGIN_OK;
}

/* ---- Walking the stages ---- */

typedef struct pm_split_call {
    pm_split_run *run;
    pm_piece_sink sink;
    void *context;
    const pm_plugin_message *message;
} pm_split_call;

static pm_plugin_code split_piece(const pm_split_call *call, size_t i, size_t begin, size_t end)
{
    if (begin >= end)
        return PM_PLUGIN_OK;
    if (i == call->run->splitter->n_stages)
        return call->sink(call->context, begin, end);
    if (call->run->regexes[i]) {
        UErrorCode status = U_ZERO_ERROR;
        uregex_setRegion64(call->run->regexes[i], (int64_t)begin, (int64_t)end, &status);
        if (U_FAILURE(status))
            return pm_plugin_fail(call->message, PM_PLUGIN_INTERNAL, "ICU: %s", u_errorName(status));
    }
    for (size_t at = begin; at < end;) {
        pm_text_span match = {end, end};
        PM_PLUGIN_TRY(next_match(call->run, i, at, end, &match, call->message));
        PM_PLUGIN_TRY(split_piece(call, i + 1, at, match.begin));
        PM_PLUGIN_TRY(split_piece(call, i + 1, match.begin, match.end));
        at = match.end;
    }
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_split(pm_split_run *run, size_t begin, size_t end, pm_piece_sink sink, void *context,
                        const pm_plugin_message *message)
{
    pm_split_call call = {run, sink, context, message};
    return split_piece(&call, 0, begin, end);
}
