/* Pre-tokenizers made from their description: see pre_tokenizer.h. Sequences are flattened into a list of stages;
 * the walk through them is in pre_tokenizer_run.c.
 */
#include <stdlib.h>
#include <string.h>

#include "parts/pre_tokenizer_stages.h"

enum { MOST_NESTING = 16, LONGEST_CHAIN = 3 };

typedef struct pre_tokenizer_building {
    pm_pre_tokenizer *made;
    int spelled; /* the text is spelled in the byte alphabet from here on */
    const pm_plugin_message *message;
} pre_tokenizer_building;

static pm_plugin_code add_stage(pre_tokenizer_building *b, stage_kind kind, stage **out)
{
    if (b->made->n == MOST_STAGES)
        return pm_plugin_fail(b->message, PM_PLUGIN_UNSUPPORTED, "the pre-tokenizer has more than %d stages",
                              MOST_STAGES);
    *out = &b->made->stages[b->made->n++];
    (*out)->kind = kind;
    return PM_PLUGIN_OK;
}

static pm_plugin_code set_string(pre_tokenizer_building *b, stage *s, const char *text, size_t n)
{
    if (n == 0)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the pre-tokenizer has an empty pattern");
    s->string = malloc(n + 1);
    if (!s->string)
        return pm_plugin_fail_memory(b->message, "a pre-tokenizer");
    memcpy(s->string, text, n);
    s->string[n] = 0;
    s->n_string = n;
    return PM_PLUGIN_OK;
}

static pm_plugin_code set_regex(pre_tokenizer_building *b, stage *s, const char *text, size_t n)
{
    PM_PLUGIN_TRY(pm_split_scanner_create(text, n, &s->scanner, b->message));
    s->matcher = s->scanner ? MATCH_SCANNER : MATCH_REGEX;
    return s->scanner ? PM_PLUGIN_OK : pm_regex_open(text, n, &s->regex, b->message);
}

static pm_plugin_code read_behavior(pre_tokenizer_building *b, const pm_json *json, split_behavior *out)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
                                        "Contiguous"};
    const char *name = pm_json_text(json, "behavior", "Isolated");
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (split_behavior)i;
            return PM_PLUGIN_OK;
        }
    return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the pre-tokenizer's behavior '%.40s' is not known", name);
}

/* ---- Kinds ---- */

static pm_plugin_code make_characters(pre_tokenizer_building *b, int is(uint32_t), split_behavior behavior)
{
    stage *s = NULL;
    PM_PLUGIN_TRY(add_stage(b, STAGE_SPLIT, &s));
    s->matcher = MATCH_CHARACTER;
    s->is = is;
    s->behavior = behavior;
    return PM_PLUGIN_OK;
}

static pm_plugin_code make_digits(pre_tokenizer_building *b, int individual)
{
    const char *regex = individual ? "\\p{N}" : "\\p{N}+";
    stage *s = NULL;
    PM_PLUGIN_TRY(add_stage(b, STAGE_SPLIT, &s));
    return set_regex(b, s, regex, strlen(regex));
}

static pm_plugin_code make_split(pre_tokenizer_building *b, const pm_json *json)
{
    const pm_json *pattern = pm_json_member(json, "pattern");
    const pm_json *regex = pm_json_member(pattern, "Regex"), *string = pm_json_member(pattern, "String");
    stage *s = NULL;
    PM_PLUGIN_TRY(add_stage(b, STAGE_SPLIT, &s));
    PM_PLUGIN_TRY(read_behavior(b, json, &s->behavior));
    s->invert = pm_json_flag(json, "invert", 0);
    if (regex && regex->type == PM_JSON_STRING)
        return set_regex(b, s, regex->string, regex->n_string);
    s->matcher = MATCH_STRING;
    if (!string || string->type != PM_JSON_STRING)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the pre-tokenizer Split has no pattern");
    return set_string(b, s, string->string, string->n_string);
}

static pm_plugin_code make_whitespace(pre_tokenizer_building *b)
{
    stage *s = NULL;
    PM_PLUGIN_TRY(add_stage(b, STAGE_SPLIT, &s));
    s->behavior = SPLIT_REMOVED;
    s->invert = 1;
    s->matcher = MATCH_SCANNER;
    return pm_split_scanner_create_words(&s->scanner, b->message);
}

static pm_plugin_code make_byte_level(pre_tokenizer_building *b, const pm_json *json)
{
    stage *s = NULL;
    if (pm_json_flag(json, "add_prefix_space", 1))
        PM_PLUGIN_TRY(add_stage(b, STAGE_PREFIX, &s));
    if (pm_json_flag(json, "use_regex", 1)) {
        PM_PLUGIN_TRY(add_stage(b, STAGE_SPLIT, &s));
        PM_PLUGIN_TRY(set_regex(b, s, PM_SPLIT_GPT2, sizeof PM_SPLIT_GPT2 - 1));
    }
    if (b->spelled)
        return pm_plugin_fail(b->message, PM_PLUGIN_UNSUPPORTED, "the pre-tokenizer has ByteLevel twice");
    b->spelled = 1;
    return add_stage(b, STAGE_SPELL, &s);
}

static pm_plugin_code make_metaspace(pre_tokenizer_building *b, const pm_json *json)
{
    static const char *const schemes[] = {"never", "first", "always"};
    const char *symbol = pm_json_text(json, "replacement", "\xE2\x96\x81");
    const char *scheme =
        pm_json_text(json, "prepend_scheme", pm_json_flag(json, "add_prefix_space", 1) ? "always" : "never");
    stage *s = NULL;
    PM_PLUGIN_TRY(add_stage(b, STAGE_METASPACE, &s));
    PM_PLUGIN_TRY(set_string(b, s, symbol, strlen(symbol)));
    s->prepends = -1;
    for (int i = 0; i < 3; i++)
        if (strcmp(scheme, schemes[i]) == 0)
            s->prepends = i;
    if (s->prepends < 0)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "Metaspace's prepend_scheme '%.40s' is not known",
                              scheme);
    b->made->needs_origins |= s->prepends == 1;
    if (!pm_json_flag(json, "split", 1))
        return PM_PLUGIN_OK;
    PM_PLUGIN_TRY(add_stage(b, STAGE_SPLIT, &s));
    s->matcher = MATCH_STRING;
    s->behavior = SPLIT_MERGED_WITH_NEXT;
    return set_string(b, s, symbol, strlen(symbol));
}

static pm_plugin_code make_delimiter(pre_tokenizer_building *b, const pm_json *json)
{
    const char *delimiter = pm_json_text(json, "delimiter", "");
    stage *s = NULL;
    PM_PLUGIN_TRY(add_stage(b, STAGE_SPLIT, &s));
    s->matcher = MATCH_STRING;
    s->behavior = SPLIT_REMOVED;
    return set_string(b, s, delimiter, strlen(delimiter));
}

static pm_plugin_code make_length(pre_tokenizer_building *b, const pm_json *json)
{
    double length = pm_json_number(json, "length", 5);
    stage *s = NULL;
    if (!(length >= 1 && length <= INT32_MAX))
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "FixedLength's length is %g", length);
    PM_PLUGIN_TRY(add_stage(b, STAGE_LENGTH, &s));
    s->length = (size_t)length;
    return PM_PLUGIN_OK;
}

static pm_plugin_code make_any(pre_tokenizer_building *b, const pm_json *json, int depth);

static pm_plugin_code make_sequence(pre_tokenizer_building *b, const pm_json *json, int depth)
{
    const pm_json *list = pm_json_member(json, "pretokenizers");
    if (depth > MOST_NESTING || (list && list->type != PM_JSON_ARRAY))
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT,
                              "the pre-tokenizer's Sequence is no list, or nested too deep");
    for (const pm_json *item = list ? list->first : NULL; item; item = item->next)
        PM_PLUGIN_TRY(make_any(b, item, depth + 1));
    return PM_PLUGIN_OK;
}

static pm_plugin_code make_any(pre_tokenizer_building *b, const pm_json *json, int depth)
{
    const char *type = pm_json_text(json, "type", "");
    stage *s = NULL;
    split_behavior behavior = SPLIT_ISOLATED;
    if (strcmp(type, "Sequence") == 0)
        return make_sequence(b, json, depth);
    if (strcmp(type, "Split") == 0)
        return make_split(b, json);
    if (strcmp(type, "ByteLevel") == 0)
        return make_byte_level(b, json);
    if (strcmp(type, "Metaspace") == 0)
        return make_metaspace(b, json);
    if (strcmp(type, "Whitespace") == 0)
        return make_whitespace(b);
    if (strcmp(type, "WhitespaceSplit") == 0)
        return make_characters(b, character_is_space, SPLIT_REMOVED);
    if (strcmp(type, "Digits") == 0)
        return make_digits(b, pm_json_flag(json, "individual_digits", 0));
    if (strcmp(type, "Punctuation") == 0) {
        PM_PLUGIN_TRY(read_behavior(b, json, &behavior));
        return make_characters(b, character_is_punctuation, behavior);
    }
    if (strcmp(type, "BertPreTokenizer") == 0) {
        PM_PLUGIN_TRY(make_characters(b, character_is_space, SPLIT_REMOVED));
        return make_characters(b, character_is_punctuation, SPLIT_ISOLATED);
    }
    if (strcmp(type, "UnicodeScripts") == 0)
        return add_stage(b, STAGE_SCRIPTS, &s);
    if (strcmp(type, "CharDelimiterSplit") == 0)
        return make_delimiter(b, json);
    if (strcmp(type, "FixedLength") == 0)
        return make_length(b, json);
    return pm_plugin_fail(b->message, PM_PLUGIN_UNSUPPORTED, "the pre-tokenizer '%.60s' is not known", type);
}

/* ---- Chains ---- */

/* Whether each piece that the stage cuts goes on, match or not. */
static int is_plain_scan(const stage *s)
{
    return s->kind == STAGE_SPLIT && s->matcher == MATCH_SCANNER && s->behavior == SPLIT_ISOLATED;
}

/* Puts one scanner in the place of the n stages from `first` on, where there is one. */
static pm_plugin_code join_chain(pre_tokenizer_building *b, size_t first, size_t n)
{
    pm_pre_tokenizer *made = b->made;
    const pm_split_scanner *chain[LONGEST_CHAIN];
    pm_split_scanner *joined = NULL;
    if (n > made->n - first)
        return PM_PLUGIN_OK;
    for (size_t i = 0; i < n; i++) {
        if (!is_plain_scan(&made->stages[first + i]))
            return PM_PLUGIN_OK;
        chain[i] = made->stages[first + i].scanner;
    }
    PM_PLUGIN_TRY(pm_split_scanner_create_chain(chain, n, &joined, b->message));
    if (!joined)
        return PM_PLUGIN_OK;
    for (size_t i = 0; i < n; i++)
        pm_split_scanner_destroy(made->stages[first + i].scanner);
    made->stages[first].scanner = joined;
    memmove(&made->stages[first + 1], &made->stages[first + n], (made->n - first - n) * sizeof(stage));
    memset(&made->stages[made->n - n + 1], 0, (n - 1) * sizeof(stage));
    made->n -= n - 1;
    return PM_PLUGIN_OK;
}

static pm_plugin_code join_chains(pre_tokenizer_building *b)
{
    for (size_t first = 0; first < b->made->n; first++)
        for (size_t n = LONGEST_CHAIN; n > 1; n--)
            PM_PLUGIN_TRY(join_chain(b, first, n));
    return PM_PLUGIN_OK;
}

/* The model works on bytes: what spells them as the last thing goes, else what follows it sees the spelling, and
 * the bytes come back at the end. */
static pm_plugin_code finish_bytes(pre_tokenizer_building *b)
{
    pm_pre_tokenizer *made = b->made;
    stage *s = NULL;
    if (!b->spelled)
        return PM_PLUGIN_OK;
    made->gives_bytes = 1;
    if (made->stages[made->n - 1].kind == STAGE_SPELL) {
        made->n--;
        return PM_PLUGIN_OK;
    }
    return add_stage(b, STAGE_UNSPELL, &s);
}

pm_plugin_code pm_pre_tokenizer_create(const pm_json *json, pm_pre_tokenizer **out,
                                       const pm_plugin_message *message)
{
    *out = NULL;
    if (!json || json->type == PM_JSON_NULL)
        return PM_PLUGIN_OK;
    pm_pre_tokenizer *made = calloc(1, sizeof *made);
    if (!made)
        return pm_plugin_fail_memory(message, "a pre-tokenizer");
    pre_tokenizer_building b = {made, 0, message};
    pm_plugin_code code = make_any(&b, json, 0);
    if (code == PM_PLUGIN_OK)
        code = join_chains(&b);
    if (code == PM_PLUGIN_OK)
        code = finish_bytes(&b);
    if (code != PM_PLUGIN_OK) {
        pm_pre_tokenizer_destroy(made);
        return code;
    }
    *out = made;
    return PM_PLUGIN_OK;
}

void pm_pre_tokenizer_destroy(pm_pre_tokenizer *pre_tokenizer)
{
    if (!pre_tokenizer)
        return;
    for (size_t i = 0; i < MOST_STAGES; i++) {
        stage *s = &pre_tokenizer->stages[i];
        pm_split_scanner_destroy(s->scanner);
        if (s->regex)
            uregex_close(s->regex);
        free(s->string);
    }
    free(pre_tokenizer);
}

int pm_pre_tokenizer_gives_bytes(const pm_pre_tokenizer *pre_tokenizer)
{
    return pre_tokenizer && pre_tokenizer->gives_bytes;
}

int pm_pre_tokenizer_needs_origins(const pm_pre_tokenizer *pre_tokenizer)
{
    return pre_tokenizer && pre_tokenizer->needs_origins;
}
