/* What GGUF can say of a pipeline: see vocabulary_to_gguf.h. The way back of vocabulary_gguf_pipeline.c.
 *
 * Only what has a name there is looked for, and what is not understood is passed over: whether the result is the
 * same tokenizer is found by trying it (tokenizer_gguf.c), not by reading.
 */
#include <string.h>

#include "vocabulary_to_gguf.h"

/* The parts of a Sequence, or the one part alone, one after the other: NULL at the end. */
typedef struct part_list {
    const pm_json *next;
    int is_list;
} part_list;

static part_list parts_of(const pm_json *whole, const char *key)
{
    if (!pm_json_is(whole, "type", "Sequence"))
        return (part_list){whole && whole->type == PM_JSON_OBJECT ? whole : NULL, 0};
    const pm_json *list = pm_json_member(whole, key);
    return (part_list){list ? list->first : NULL, 1};
}

static const pm_json *next_part(part_list *list)
{
    const pm_json *part = list->next;
    list->next = part && list->is_list ? part->next : NULL;
    return part;
}

/* ---- Byte-level ---- */

/* A Split by a regular expression whose matches are pieces, or NULL. Where the expression leaves nothing over, as
 * those of tiktoken, what it matches and what is kept of the rest are the same thing said twice. */
static const char *split_of(const pm_json *part)
{
    const char *regex = pm_json_text(pm_json_member(part, "pattern"), "Regex", NULL);
    int invert = pm_json_flag(part, "invert", 0);
    int is_isolated = pm_json_is(part, "behavior", "Isolated") && !invert;
    int is_inverted = pm_json_is(part, "behavior", "Removed") && invert;
    return pm_json_is(part, "type", "Split") && (is_isolated || is_inverted) ? regex : NULL;
}

/* 0 where a part is none that GGUF's names stand for. */
static int read_pre_tokenizer(const pm_json *whole, pm_gguf_pre_tokenizer *out)
{
    part_list list = parts_of(whole, "pretokenizers");
    size_t n_splits = 0;
    int is_over = 0;
    for (const pm_json *part = next_part(&list); part; part = next_part(&list)) {
        const char *split = split_of(part);
        if (is_over)
            return 0;
        if (pm_json_is(part, "type", "ByteLevel")) {
            out->use_regex = pm_json_flag(part, "use_regex", 1);
            is_over = 1;
        } else if (pm_json_is(part, "type", "Digits") && pm_json_flag(part, "individual_digits", 0) &&
                   n_splits == 0) {
            out->single_digits = 1;
        } else if (split && n_splits < sizeof out->splits / sizeof out->splits[0]) {
            out->splits[n_splits++] = split;
        } else {
            return 0;
        }
    }
    return is_over;
}

static void find_pre_tokenizer(const pm_json *pipeline, pm_gguf_settings *out)
{
    pm_gguf_pre_tokenizer wanted = {.ignore_merges =
                                        pm_json_flag(pm_json_member(pipeline, "model"), "ignore_merges", 0)};
    part_list normalizers = parts_of(pm_json_member(pipeline, "normalizer"), "normalizers");
    for (const pm_json *part = next_part(&normalizers); part; part = next_part(&normalizers))
        wanted.normalizer = pm_json_text(part, "type", NULL);
    const pm_gguf_pre_tokenizer *found = read_pre_tokenizer(pm_json_member(pipeline, "pre_tokenizer"), &wanted)
                                             ? pm_gguf_pre_tokenizer_match(&wanted)
                                             : NULL;
    out->pre = found ? found->names : NULL;
    out->n_pre = found ? strcspn(found->names, " ") : 0;
}

/* ---- With U+2581 for spaces ---- */

static void read_normalizer(const pm_json *part, pm_gguf_settings *out)
{
    const pm_json *charsmap = pm_json_member(part, "precompiled_charsmap");
    const char *regex = pm_json_text(pm_json_member(part, "pattern"), "Regex", "");
    if (charsmap && charsmap->type == PM_JSON_STRING)
        out->charsmap = charsmap;
    if (pm_json_is(part, "type", "Prepend") || pm_json_flag(part, "add_dummy_prefix", 0))
        out->adds_space_prefix = 1;
    if (pm_json_flag(part, "remove_extra_whitespaces", 0) || strcmp(regex, " {2,}") == 0)
        out->removes_spaces = 1;
}

static void find_spaces(const pm_json *pipeline, pm_gguf_settings *out)
{
    part_list normalizers = parts_of(pm_json_member(pipeline, "normalizer"), "normalizers");
    part_list cutters = parts_of(pm_json_member(pipeline, "pre_tokenizer"), "pretokenizers");
    for (const pm_json *part = next_part(&normalizers); part; part = next_part(&normalizers))
        read_normalizer(part, out);
    for (const pm_json *part = next_part(&cutters); part; part = next_part(&cutters)) {
        const char *scheme = pm_json_text(part, "prepend_scheme", NULL);
        if (pm_json_is(part, "type", "WhitespaceSplit"))
            out->removes_spaces = 1;
        if (pm_json_is(part, "type", "Metaspace"))
            out->adds_space_prefix =
                scheme ? strcmp(scheme, "never") != 0 : pm_json_flag(part, "add_prefix_space", 1);
    }
}

/* ---- BERT's ---- */

static void find_bert(const pm_json *pipeline, pm_gguf_settings *out)
{
    part_list normalizers = parts_of(pm_json_member(pipeline, "normalizer"), "normalizers");
    out->prefix = pm_json_text(pm_json_member(pipeline, "model"), "continuing_subword_prefix", "##");
    out->n_prefix = strlen(out->prefix);
    out->lowercase = 0;
    for (const pm_json *part = next_part(&normalizers); part; part = next_part(&normalizers)) {
        if (pm_json_is(part, "type", "Lowercase"))
            out->lowercase = 1;
        if (!pm_json_is(part, "type", "BertNormalizer"))
            continue;
        const pm_json *accents = pm_json_member(part, "strip_accents");
        out->lowercase = pm_json_flag(part, "lowercase", 1);
        out->strip_accents = accents ? accents->type == PM_JSON_TRUE : -1;
    }
}

void pm_gguf_settings_find(const pm_vocabulary *vocabulary, const pm_json *pipeline, pm_gguf_settings *out)
{
    const pm_tokenizer_spec *spec = &vocabulary->spec;
    *out = (pm_gguf_settings){.has_kind = 1, .strip_accents = -1, .prefix = ""};
    if (spec->alphabet == PM_ALPHABET_BYTES && spec->n_merges > 0) {
        out->kind = GGUF_BYTE_LEVEL;
        find_pre_tokenizer(pipeline, out);
    } else if (spec->alphabet == PM_ALPHABET_CHARACTERS && strcmp(spec->model, "bpe") == 0) {
        out->kind = GGUF_LLAMA;
        find_spaces(pipeline, out);
    } else if (strcmp(spec->model, "unigram") == 0 && spec->unk != PM_NO_TOKEN) {
        out->kind = GGUF_T5;
        find_spaces(pipeline, out);
    } else if (pm_json_is(pm_json_member(pipeline, "model"), "type", "WordPiece") && spec->unk != PM_NO_TOKEN) {
        out->kind = GGUF_BERT;
        find_bert(pipeline, out);
    } else {
        out->has_kind = 0;
    }
}
