/* Reading hostile vocabularies to the last byte: see vocabulary_read_all.h. */
#include "tests/fuzz/vocabulary_read_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts/json_tree.h"
#include "vocabulary.h"
#include "vocabulary_to_gguf.h"

const char *const vocabulary_kind_names[N_VOCABULARY_KINDS] = {"tokenizer_json", "sentencepiece", "tiktoken",
                                                               "wordlist", "gguf_vocabulary"};

static int complain(const char *name, const char *what)
{
    fprintf(stderr, "%s: %s\n", name, what);
    return 0;
}

static int id_is_good(const pm_tokenizer_spec *spec, int32_t id)
{
    return id == PM_NO_TOKEN || (id >= 0 && (size_t)id < spec->n_entries);
}

static int entries_are_good(const pm_tokenizer_spec *spec, const char *name)
{
    unsigned sum = 0; /* touches every byte, for the sanitizer */
    for (size_t i = 0; i < spec->n_entries; i++) {
        const pm_vocab_entry *e = &spec->entries[i];
        if (!e->bytes || e->kind < PM_TOKEN_NORMAL || e->kind > PM_TOKEN_BYTE || isnan(e->score))
            return complain(name, "an entry has no bytes, an unknown kind or no score");
        for (size_t k = 0; k < e->n_bytes; k++)
            sum += (unsigned char)e->bytes[k];
    }
    volatile unsigned kept = sum;
    (void)kept;
    return 1;
}

static int merges_are_good(const pm_tokenizer_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_merges; i++) {
        const pm_vocab_merge *m = &spec->merges[i];
        if (m->left < 0 || m->right < 0 || m->result < 0 || (size_t)m->left >= spec->n_entries ||
            (size_t)m->right >= spec->n_entries || (size_t)m->result >= spec->n_entries)
            return complain(name, "a merge names no entry");
    }
    return 1;
}

static int pipeline_is_good(const pm_tokenizer_spec *spec, const char *name)
{
    char text[300] = "";
    pm_plugin_message message = {text, sizeof text};
    pm_json_tree *tree = NULL;
    if (pm_json_tree_parse(spec->pipeline, spec->n_pipeline, &tree, &message) != PM_PLUGIN_OK)
        return complain(name, text);
    int is_good = pm_json_text(pm_json_member(pm_json_root(tree), "model"), "type", NULL) != NULL;
    pm_json_tree_destroy(tree);
    return is_good ? 1 : complain(name, "the pipeline has no model with a type");
}

static int is_good(const pm_vocabulary *v, const char *name)
{
    const pm_tokenizer_spec *spec = &v->spec;
    const int32_t ids[] = {spec->bos, spec->eos, spec->unk, spec->pad, spec->sep, spec->cls, spec->mask, v->eot};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (!id_is_good(spec, ids[i]))
            return complain(name, "a special id is out of range");
    if (!spec->model || !spec->source || spec->n_entries == 0)
        return complain(name, "there is no model, source or entry");
    return entries_are_good(spec, name) && merges_are_good(spec, name) && pipeline_is_good(spec, name);
}

/* Written as GGUF's keys and read again: whatever the vocabulary, the keys are well-formed, and a reader says what
 * it does not like. */
static int written_is_good(const pm_vocabulary *v, const char *name)
{
    pm_gguf_settings settings;
    pm_plugin_message message = {NULL, 0};
    pm_json_tree *tree = NULL;
    pm_gguf_writer *writer = NULL;
    pm_gguf *file = NULL;
    pm_vocabulary again = {0};
    void *header = NULL;
    size_t size;
    pm_error err = {PM_OK, ""};
    if (pm_json_tree_parse(v->spec.pipeline, v->spec.n_pipeline, &tree, &message) != PM_PLUGIN_OK ||
        pm_gguf_writer_create(NULL, &writer, NULL) != PM_OK)
        return complain(name, "out of memory");
    pm_gguf_settings_find(v, pm_json_root(tree), &settings);
    int is_good = pm_vocabulary_to_gguf(v, &settings, v->spec.n_entries + 3, writer, &err) == PM_OK &&
                  pm_gguf_writer_header(writer, &header, &size, &err) == PM_OK &&
                  pm_gguf_open_memory(header, size, "written", &file, &err) == PM_OK;
    if (is_good && pm_vocabulary_read_gguf(file, &again, &err) != PM_OK)
        is_good = err.message[0] != '\0' && err.status != PM_ERR_INTERNAL;
    pm_vocabulary_free(&again);
    pm_gguf_close(file);
    free(header);
    pm_gguf_writer_destroy(writer);
    pm_json_tree_destroy(tree);
    return is_good ? 1 : complain(name, err.message[0] ? err.message : "refused without a reason");
}

static pm_status read_kind(vocabulary_kind kind, const char *bytes, size_t size, pm_gguf **file, pm_vocabulary *v,
                           pm_error *err)
{
    memset(v, 0, sizeof *v);
    if (kind == VOCABULARY_GGUF) {
        pm_status status = pm_gguf_open_memory(bytes, size, "damaged", file, err);
        return status == PM_OK ? pm_vocabulary_read_gguf(*file, v, err) : status;
    }
    pm_status status = pm_vocabulary_start(v, "damaged", err);
    if (status != PM_OK)
        return status;
    switch (kind) {
    case VOCABULARY_HF:
        return pm_vocabulary_read_hf(v, bytes, size, err);
    case VOCABULARY_SENTENCEPIECE:
        return pm_vocabulary_read_sentencepiece(v, bytes, size, NULL, err);
    case VOCABULARY_TIKTOKEN:
        return pm_vocabulary_read_tiktoken(v, bytes, size, "r50k_base", err);
    default:
        return pm_vocabulary_read_wordlist(v, bytes, size, NULL, err);
    }
}

read_verdict vocabulary_read_all(vocabulary_kind kind, const uint8_t *bytes, size_t size, const char *name)
{
    char *copy = malloc(size > 0 ? size : 1);
    pm_vocabulary v;
    pm_gguf *file = NULL;
    pm_error err = {PM_OK, ""};
    if (!copy)
        return READ_REJECTED;
    memcpy(copy, bytes, size);
    pm_status status = read_kind(kind, copy, size, &file, &v, &err);
    read_verdict verdict = READ_REJECTED;
    if (status == PM_OK)
        verdict = is_good(&v, name) && written_is_good(&v, name) ? READ_ACCEPTED : READ_BROKEN;
    else if (!err.message[0] || err.status != status || status == PM_ERR_INTERNAL)
        verdict = complain(name, "refused without a reason") ? READ_REJECTED : READ_BROKEN;
    pm_vocabulary_free(&v);
    pm_gguf_close(file);
    free(copy);
    return verdict;
}
