/* Making a BPE model from a vocabulary: options, first symbols, merges. See bpe.h. */
#include <stdlib.h>
#include <string.h>

#include "bpe/bpe.h"
#include "parts/utf8_read.h"

enum { WORTH_A_THREAD = 1 << 14 }; /* merges */

static void bpe_destroy(void *pointer)
{
    bpe_model *bpe = pointer;
    if (!bpe)
        return;
    pm_token_map_destroy(&bpe->map);
    bpe_merges_destroy(&bpe->merges);
    bpe_pruned_destroy(&bpe->pruned);
    bpe_neighbours_destroy(&bpe->neighbours);
    free(bpe->part_characters);
    free((void *)bpe->wholes);
    pm_byte_trie_destroy(&bpe->trie);
    free(bpe->splits);
    pthread_mutex_destroy(&bpe->making);
    pthread_mutex_destroy(&bpe->telling);
    free(bpe->prefix);
    free(bpe->suffix);
    free(bpe);
}

/* The symbols that single bytes and characters start as. */
static void fill_first_symbols(bpe_model *bpe)
{
    bpe->is_searched = bpe->is_bytes && bpe->n_prefix + bpe->n_suffix == 0;
    bpe->is_cut = !bpe->is_bytes && bpe->n_prefix + bpe->n_suffix == 0 && !bpe->ignore_merges;
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        bpe->byte_symbols[byte] = pm_token_map_find(&bpe->map, &c, 1, 1);
        bpe->is_searched &= bpe->byte_symbols[byte] != PM_NO_TOKEN;
        if (byte < 128)
            bpe->ascii_symbols[byte] = bpe_character_symbol(bpe, &c, 1, (uint32_t)byte);
    }
}

static pm_plugin_code copy_affix(const pm_json *options, const char *key, char **out, size_t *n,
                                 const pm_plugin_message *message)
{
    const char *text = pm_json_text(options, key, "");
    *n = strlen(text);
    *out = malloc(*n + 1);
    if (!*out)
        return pm_plugin_fail_memory(message, "a BPE model");
    memcpy(*out, text, *n + 1);
    return PM_PLUGIN_OK;
}

static pm_plugin_code read_options(bpe_model *bpe, const pm_model_source *source, const pm_plugin_message *message)
{
    const pm_json *options = source->options;
    double dropout = pm_json_number(options, "dropout", 0);
    if (dropout != 0)
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED,
                              "the vocabulary asks for a BPE dropout of %g, which makes "
                              "ids random: set it to null",
                              dropout);
    bpe->ignore_merges = pm_json_flag(options, "ignore_merges", 0);
    bpe->byte_fallback = pm_json_flag(options, "byte_fallback", options == NULL);
    bpe->fuse_unknown = pm_json_flag(options, "fuse_unk", 0);
    bpe->unk = source->spec->unk;
    if (options && !pm_json_member(options, "unk_token"))
        bpe->unk = PM_NO_TOKEN;
    PM_PLUGIN_TRY(copy_affix(options, "continuing_subword_prefix", &bpe->prefix, &bpe->n_prefix, message));
    return copy_affix(options, "end_of_word_suffix", &bpe->suffix, &bpe->n_suffix, message);
}

pm_plugin_code bpe_make_once(bpe_model *bpe, _Atomic(int) *is_there, bpe_maker make,
                             const pm_plugin_message *message)
{
    pm_plugin_code code = PM_PLUGIN_OK;
    if (atomic_load_explicit(is_there, memory_order_acquire))
        return code;
    pthread_mutex_lock(&bpe->making);
    if (!atomic_load_explicit(is_there, memory_order_relaxed)) {
        code = make(bpe, message);
        if (code == PM_PLUGIN_OK)
            atomic_store_explicit(is_there, 1, memory_order_release);
    }
    pthread_mutex_unlock(&bpe->making);
    return code;
}

/* What two threads make at once: the map, the filter and the check of the later merges by the one, the slots of
 * merges and the check of the earlier ones by the other. */
typedef struct later_half {
    bpe_model *bpe;
    const pm_tokenizer_spec *spec;
    char text[200];
    pm_plugin_code map_code, check_code;
} later_half;

static void *make_later_half(void *argument)
{
    later_half *half = argument;
    const pm_plugin_message message = {half->text, sizeof half->text};
    bpe_model *bpe = half->bpe;
    size_t n = half->spec->n_merges;
    half->map_code = pm_token_map_create(bpe->table, 1u << PM_TOKEN_NORMAL, &bpe->map, &message);
    if (half->map_code != PM_PLUGIN_OK)
        return NULL;
    bpe_fill_filter(&bpe->merges, half->spec);
    half->check_code = bpe_check_merges(bpe, half->spec, n / 2, n, &message);
    return NULL;
}

static pm_plugin_code make_tables(bpe_model *bpe, const pm_tokenizer_spec *spec, const pm_plugin_message *message)
{
    if (spec->n_merges == 0) {
        PM_PLUGIN_TRY(pm_token_map_create(bpe->table, 1u << PM_TOKEN_NORMAL, &bpe->map, message));
        return bpe_derive_merges(bpe, message);
    }
    if (spec->n_merges > BPE_NO_RANK / 4)
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "there are %zu merges", spec->n_merges);
    PM_PLUGIN_TRY(bpe_merges_allocate(&bpe->merges, spec->n_merges, message));
    later_half later = {.bpe = bpe, .spec = spec};
    pthread_t thread;
    int has_thread =
        spec->n_merges > WORTH_A_THREAD && pthread_create(&thread, NULL, make_later_half, &later) == 0;
    bpe_copy_merges(bpe, spec);
    pm_plugin_code code = bpe_check_merges(bpe, spec, 0, spec->n_merges / 2, message);
    if (has_thread)
        pthread_join(thread, NULL);
    else
        make_later_half(&later);
    if (later.map_code != PM_PLUGIN_OK)
        return pm_plugin_fail(message, later.map_code, "%s", later.text);
    if (code == PM_PLUGIN_OK && later.check_code != PM_PLUGIN_OK)
        return pm_plugin_fail(message, later.check_code, "%s", later.text);
    return code;
}

static pm_plugin_code bpe_create(const pm_model_source *source, void **model, const pm_plugin_message *message)
{
    bpe_model *bpe = calloc(1, sizeof *bpe);
    if (!bpe)
        return pm_plugin_fail_memory(message, "a BPE model");
    pthread_mutex_init(&bpe->making, NULL);
    pthread_mutex_init(&bpe->telling, NULL);
    bpe->table = source->table;
    bpe->is_bytes = source->is_bytes;
    pm_plugin_code code = read_options(bpe, source, message);
    if (code == PM_PLUGIN_OK)
        code = make_tables(bpe, source->spec, message);
    bpe->wholes = calloc(bpe->table->n, sizeof *bpe->wholes);
    bpe->splits = calloc(bpe->table->n, sizeof *bpe->splits);
    if (code == PM_PLUGIN_OK && (!bpe->wholes || !bpe->splits))
        code = pm_plugin_fail_memory(message, "a BPE model");
    if (code != PM_PLUGIN_OK) {
        bpe_destroy(bpe);
        return code;
    }
    fill_first_symbols(bpe);
    *model = bpe;
    return PM_PLUGIN_OK;
}

static pm_plugin_code scratch_create(const void *model, void **scratch, const pm_plugin_message *message)
{
    bpe_encoding *e = calloc(1, sizeof *e);
    if (!e)
        return pm_plugin_fail_memory(message, "a BPE model");
    e->bpe = model;
    e->merges = &e->bpe->merges;
    *scratch = e;
    return PM_PLUGIN_OK;
}

static void scratch_destroy(void *scratch)
{
    bpe_encoding *e = scratch;
    if (!e)
        return;
    free(e->symbols);
    free(e->heap);
    free(e->found);
    free(e->prefixes);
    free(e->stuck);
    free(e->joined);
    free(e);
}

const pm_model_kind bpe_kind = {
    .name = "BPE",
    .create = bpe_create,
    .destroy = bpe_destroy,
    .scratch_create = scratch_create,
    .scratch_destroy = scratch_destroy,
    .encode = bpe_encode,
    .encode_many = bpe_encode_many,
};
