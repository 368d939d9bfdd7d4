/* The pipeline made from a spec, and what does not depend on text: see pipeline.h. */
#include "parts/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "parts/pipeline_parts.h"

/* ---- Making one ---- */

static pm_plugin_code find_kind(const pm_model_kind *const *kinds, size_t n, const pm_json *options,
                                const pm_model_kind **out, const pm_plugin_message *message)
{
    const char *type = pm_json_text(options, "type", n > 0 ? kinds[0]->name : "");
    for (size_t i = 0; i < n; i++)
        if (strcmp(kinds[i]->name, type) == 0) {
            *out = kinds[i];
            return PM_PLUGIN_OK;
        }
    return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "the vocabulary is for a model of type '%.40s', not %s",
                          type, n > 0 ? kinds[0]->name : "this one");
}

static pm_plugin_code check_spec(const pm_tokenizer_spec *spec, const pm_plugin_message *message)
{
    if (!spec || spec->size < sizeof *spec)
        return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT, "the spec is too short for this plugin");
    if ((!spec->entries && spec->n_entries > 0) || (!spec->merges && spec->n_merges > 0) ||
        (!spec->pipeline && spec->n_pipeline > 0))
        return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT, "the spec is incomplete");
    return PM_PLUGIN_OK;
}

static void read_template_flags(pm_pipeline *p)
{
    const pm_post_processor *post = &p->post;
    if (post->single[0].kind == PM_TEMPLATE_SPECIAL)
        p->flags |= PM_SPEC_ADD_BOS;
    if (post->single[post->n_single - 1].kind == PM_TEMPLATE_SPECIAL)
        p->flags |= PM_SPEC_ADD_EOS;
}

static pm_plugin_code make_parts(pm_pipeline *p, const pm_tokenizer_spec *spec, const pm_json *root,
                                 const pm_plugin_message *message)
{
    const pm_json *options = pm_json_member(root, "model");
    PM_PLUGIN_TRY(pm_token_table_create(spec, &p->table, message));
    PM_PLUGIN_TRY(pm_normalizer_create(pm_json_member(root, "normalizer"), &p->normalizer, message));
    PM_PLUGIN_TRY(pm_pre_tokenizer_create(pm_json_member(root, "pre_tokenizer"), &p->pre_tokenizer, message));
    PM_PLUGIN_TRY(pm_post_processor_create(pm_json_member(root, "post_processor"), p->table.n, &p->post, message));
    read_template_flags(p);
    int is_bytes = spec->alphabet == PM_ALPHABET_BYTES;
    if (p->pre_tokenizer && is_bytes != pm_pre_tokenizer_gives_bytes(p->pre_tokenizer))
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the vocabulary is of %s, but the pre-tokenizer gives %s",
                              is_bytes ? "bytes" : "characters", is_bytes ? "characters" : "bytes");
    PM_PLUGIN_TRY(pm_decoder_create(pm_json_member(root, "decoder"), &p->table, is_bytes, &p->decoder, message));
    PM_PLUGIN_TRY(pm_added_tokens_create(&p->table, 0, NULL, &p->raw, message));
    PM_PLUGIN_TRY(pm_added_tokens_create(&p->table, 1, p->normalizer, &p->normalized, message));
    pm_model_source source = {spec, options, &p->table, is_bytes};
    return p->kind->create(&source, &p->model, message);
}

pm_plugin_code pm_pipeline_create(const pm_model_kind *const *kinds, size_t n_kinds, const pm_tokenizer_spec *spec,
                                  void **instance, const pm_plugin_message *message)
{
    /* Without a description tokens are what text is made of, and nothing stands between them. */
    static const char nothing[] = "{\"decoder\":{\"type\":\"Fuse\"}}";
    pm_json_tree *tree = NULL;
    PM_PLUGIN_TRY(check_spec(spec, message));
    int has_pipeline = spec->n_pipeline > 0;
    PM_PLUGIN_TRY(pm_json_tree_parse(has_pipeline ? spec->pipeline : nothing,
                                     has_pipeline ? spec->n_pipeline : sizeof nothing - 1, &tree, message));
    const pm_json *root = pm_json_root(tree);
    pm_pipeline *p = calloc(1, sizeof *p);
    pm_plugin_code code = p ? PM_PLUGIN_OK : pm_plugin_fail_memory(message, "a tokenizer");
    if (code == PM_PLUGIN_OK && root->type != PM_JSON_OBJECT)
        code = pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the pipeline's description is no JSON object");
    if (code == PM_PLUGIN_OK)
        code = find_kind(kinds, n_kinds, pm_json_member(root, "model"), &p->kind, message);
    if (code == PM_PLUGIN_OK)
        code = make_parts(p, spec, root, message);
    pm_json_tree_destroy(tree);
    if (code != PM_PLUGIN_OK) {
        pm_pipeline_destroy(p);
        return code;
    }
    p->bos = spec->bos;
    p->eos = spec->eos;
    p->unk = spec->unk;
    p->pad = spec->pad;
    *instance = p;
    return PM_PLUGIN_OK;
}

void pm_pipeline_destroy(void *instance)
{
    pm_pipeline *p = instance;
    if (!p)
        return;
    for (size_t i = 0; i < MOST_IDLE_RUNS; i++)
        pipeline_run_destroy(p, atomic_load(&p->idle[i].run));
    if (p->model)
        p->kind->destroy(p->model);
    pm_added_tokens_destroy(&p->raw);
    pm_added_tokens_destroy(&p->normalized);
    pm_decoder_destroy(p->decoder);
    pm_post_processor_destroy(&p->post);
    pm_pre_tokenizer_destroy(p->pre_tokenizer);
    pm_normalizer_destroy(p->normalizer);
    pm_token_table_destroy(&p->table);
    free(p);
}

/* ---- Runs ---- */

void pipeline_run_destroy(const pm_pipeline *p, pipeline_run *run)
{
    if (!run)
        return;
    pm_normalizer_scratch_destroy(&run->normalized);
    pm_pre_tokenizer_run_destroy(run->pre_tokenizer);
    if (run->model)
        p->kind->scratch_destroy(run->model);
    free(run->ids);
    free(run->spans);
    free(run);
}

/* Where this thread looks first, so that it finds what it had before: threads have stacks of their own, and those
 * lie megabytes apart. */
static size_t first_place(void)
{
    char on_the_stack;
    return (size_t)((uint64_t)((uintptr_t)&on_the_stack >> 18) * 0x9E3779B97F4A7C15u >> 58) % MOST_IDLE_RUNS;
}

pm_plugin_code pipeline_take_run(const pm_pipeline *p, pipeline_run **out, const pm_plugin_message *message)
{
    pm_pipeline *own = (pm_pipeline *)p; /* only the pool changes */
    for (size_t i = 0, at = first_place(); i < MOST_IDLE_RUNS; i++, at = (at + 1) % MOST_IDLE_RUNS) {
        pipeline_run *idle = atomic_load_explicit(&own->idle[at].run, memory_order_relaxed);
        if (idle && (idle = atomic_exchange(&own->idle[at].run, NULL)) != NULL) {
            *out = idle;
            return PM_PLUGIN_OK;
        }
    }
    pipeline_run *run = calloc(1, sizeof *run);
    if (!run)
        return pm_plugin_fail_memory(message, "a call");
    pm_plugin_code code = pm_pre_tokenizer_run_create(p->pre_tokenizer, &run->pre_tokenizer, message);
    if (code == PM_PLUGIN_OK && p->kind->scratch_create)
        code = p->kind->scratch_create(p->model, &run->model, message);
    if (code != PM_PLUGIN_OK) {
        pipeline_run_destroy(p, run);
        return code;
    }
    *out = run;
    return PM_PLUGIN_OK;
}

void pipeline_give_back(const pm_pipeline *p, pipeline_run *run)
{
    pm_pipeline *own = (pm_pipeline *)p;
    for (size_t i = 0, at = first_place(); i < MOST_IDLE_RUNS; i++, at = (at + 1) % MOST_IDLE_RUNS) {
        pipeline_run *none = NULL;
        if (atomic_compare_exchange_strong(&own->idle[at].run, &none, run))
            return;
    }
    pipeline_run_destroy(p, run);
}

/* ---- What it says of itself ---- */

/* Hosts of other versions have shorter or longer structs: what they do not know is not written. */
static void give(void *to, const void *from, size_t known)
{
    size_t size;
    memcpy(&size, to, sizeof size);
    if (size > known)
        size = known;
    if (size > sizeof size)
        memcpy((char *)to + sizeof size, (const char *)from + sizeof size, size - sizeof size);
}

pm_plugin_code pm_pipeline_info(const void *instance, pm_tokenizer_info *info)
{
    const pm_pipeline *p = instance;
    pm_tokenizer_info own = {
        .n_tokens = p->table.n, .bos = p->bos, .eos = p->eos, .unk = p->unk, .pad = p->pad, .flags = p->flags};
    give(info, &own, sizeof own);
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_pipeline_token_info(const void *instance, int32_t id, pm_token_info *info)
{
    const pm_pipeline *p = instance;
    if (id < 0 || (size_t)id >= p->table.n)
        return PM_PLUGIN_ARGUMENT;
    uint8_t kind = p->table.kinds[id];
    pm_token_info own = {.score = (float)p->table.scores[id], .kind = kind};
    if (kind == PM_TOKEN_CONTROL || kind == PM_TOKEN_UNKNOWN || kind == PM_TOKEN_USER_DEFINED)
        own.bytes = pm_token_bytes(&p->table, id, &own.n_bytes); /* as they are written */
    else
        own.bytes = pm_decoder_token(p->decoder, id, &own.n_bytes);
    give(info, &own, sizeof own);
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_pipeline_decode(const void *instance, pm_decode_call *call, const pm_plugin_message *message)
{
    const pm_pipeline *p = instance;
    return pm_decoder_decode(p->decoder, call, message);
}
