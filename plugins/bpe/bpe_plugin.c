/* The plugin's door: making a BPE tokenizer from a spec, decoding, and the table of functions.
 *
 * What BPE is lives in bpe.h (overview), bpe_merges.c, bpe_apply.c and bpe_encode.c. Nothing of the engine is used
 * here: only pumice/plugin.h and the parts that plugins share.
 */
#include <stdlib.h>
#include <string.h>

#include "bpe/bpe.h"
#include "parts/utf8_read.h"

static void bpe_destroy(void *instance)
{
    bpe_tokenizer *bpe = instance;
    if (!bpe)
        return;
    free(bpe->decoded);
    free(bpe->decoded_offsets);
    pm_special_finder_destroy(&bpe->specials);
    pm_token_map_destroy(&bpe->map);
    pm_splitter_destroy(bpe->splitter);
    bpe_merges_destroy(&bpe->merges);
    bpe_neighbours_destroy(&bpe->neighbours);
    pm_token_table_destroy(&bpe->table);
    free(bpe->part_characters);
    free(bpe->space);
    free(bpe);
}

/* The symbols that single bytes and characters start as. */
static void fill_first_symbols(bpe_tokenizer *bpe)
{
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        bpe->byte_symbols[byte] = pm_token_map_find(&bpe->map, &c, 1);
        if (byte < 128)
            bpe->ascii_symbols[byte] = bpe_character_symbol(bpe, &c, 1, (uint32_t)byte);
    }
    uint32_t code = pm_read_character(bpe->space, 0, bpe->n_space).code;
    bpe->space_symbol = bpe_character_symbol(bpe, bpe->space, bpe->n_space, code);
    bpe->ascii_symbols[' '] = bpe->space_symbol;
}

/* Appends the token's bytes to out with the space symbol undone; returns how many that are. */
static size_t undo_space(const bpe_tokenizer *bpe, const char *bytes, size_t size, char *out)
{
    size_t n = 0;
    for (size_t at = 0; at < size;) {
        int is_space = size - at >= bpe->n_space && memcmp(bytes + at, bpe->space, bpe->n_space) == 0;
        out[n++] = is_space ? ' ' : bytes[at];
        at += is_space ? bpe->n_space : 1;
    }
    return n;
}

/* The bytes that one token decodes to, written to out; returns how many that are. */
static size_t decode_token(const bpe_tokenizer *bpe, int32_t id, char *out)
{
    size_t size;
    const char *bytes = pm_token_bytes(&bpe->table, id, &size);
    unsigned kind = bpe->table.kinds[id];
    if (kind == PM_TOKEN_BYTE) {
        *out = (char)bpe->table.byte_values[id];
        return 1;
    }
    if (kind == PM_TOKEN_NORMAL || kind == PM_TOKEN_USER_DEFINED)
        return undo_space(bpe, bytes, size, out);
    if (size > 0)
        memcpy(out, bytes, size);
    return size;
}

static pm_plugin_code fill_decoded(bpe_tokenizer *bpe, const pm_plugin_message *message)
{
    const pm_token_table *table = &bpe->table;
    size_t most = table->offsets[table->n] + table->n; /* no token decodes to more than its bytes, or one */
    bpe->decoded = malloc(most + 1);
    bpe->decoded_offsets = calloc(table->n + 1, sizeof *bpe->decoded_offsets);
    if (!bpe->decoded || !bpe->decoded_offsets)
        return pm_plugin_fail_memory(message, "the decoder");
    size_t used = 0;
    for (size_t i = 0; i < table->n; i++) {
        used += decode_token(bpe, (int32_t)i, bpe->decoded + used);
        bpe->decoded_offsets[i + 1] = used;
    }
    return PM_PLUGIN_OK;
}

static pm_plugin_code copy_settings(bpe_tokenizer *bpe, const pm_tokenizer_spec *spec,
                                    const pm_plugin_message *message)
{
    if (spec->normalizer && spec->normalizer[0])
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "the normaliser '%.40s' is not known",
                              spec->normalizer);
    if (spec->alphabet > PM_ALPHABET_BYTES)
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "alphabet %u is not known", spec->alphabet);
    if ((spec->flags & PM_SPEC_ADD_BOS && spec->bos == PM_NO_TOKEN) ||
        (spec->flags & PM_SPEC_ADD_EOS && spec->eos == PM_NO_TOKEN))
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "a bos or eos token is to be added, but there is none");
    const char *space = spec->space_symbol && spec->space_symbol[0] ? spec->space_symbol : " ";
    pm_character c = pm_read_character(space, 0, strlen(space));
    if (c.malformed || c.length != strlen(space))
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "the symbol for a space is not one character");
    bpe->alphabet = (pm_alphabet)spec->alphabet;
    bpe->flags = spec->flags;
    bpe->bos = spec->bos;
    bpe->eos = spec->eos;
    bpe->unk = spec->unk;
    bpe->pad = spec->pad;
    bpe->n_space = strlen(space);
    bpe->space = malloc(bpe->n_space + 1);
    if (!bpe->space)
        return pm_plugin_fail_memory(message, "the tokenizer");
    memcpy(bpe->space, space, bpe->n_space + 1);
    return PM_PLUGIN_OK;
}

static pm_plugin_code fill_tokenizer(bpe_tokenizer *bpe, const pm_tokenizer_spec *spec,
                                     const pm_plugin_message *message)
{
    PM_PLUGIN_TRY(copy_settings(bpe, spec, message));
    PM_PLUGIN_TRY(pm_token_table_create(spec, &bpe->table, message));
    PM_PLUGIN_TRY(pm_token_map_create(&bpe->table, 1u << PM_TOKEN_NORMAL, &bpe->map, message));
    PM_PLUGIN_TRY(pm_special_finder_create(&bpe->table, &bpe->specials, message));
    PM_PLUGIN_TRY(pm_splitter_create(&spec->pretokenizer, &bpe->splitter, message));
    PM_PLUGIN_TRY(bpe_merges_create(bpe, spec, message));
    fill_first_symbols(bpe);
    PM_PLUGIN_TRY(bpe_neighbours_create(bpe, message));
    return fill_decoded(bpe, message);
}

static pm_plugin_code bpe_create(const pm_tokenizer_spec *spec, void **instance, const pm_plugin_message *message)
{
    if (!spec || spec->size < sizeof *spec || !instance)
        return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT,
                              "create: the description of the tokenizer is too short");
    if (spec->n_entries == 0)
        return pm_plugin_fail(message, PM_PLUGIN_UNSUPPORTED, "a bpe tokenizer needs the vocabulary of a model");
    bpe_tokenizer *bpe = calloc(1, sizeof *bpe);
    if (!bpe)
        return pm_plugin_fail_memory(message, "the tokenizer");
    pm_plugin_code code = fill_tokenizer(bpe, spec, message);
    if (code == PM_PLUGIN_OK)
        *instance = bpe;
    else
        bpe_destroy(bpe);
    return code;
}

/* ---- Use ---- */

static pm_plugin_code bpe_info(const void *instance, pm_tokenizer_info *info)
{
    const bpe_tokenizer *bpe = instance;
    if (info->size < sizeof *info)
        return PM_PLUGIN_ARGUMENT;
    info->n_tokens = bpe->table.n;
    info->bos = bpe->bos;
    info->eos = bpe->eos;
    info->unk = bpe->unk;
    info->pad = bpe->pad;
    info->flags = bpe->flags & (PM_SPEC_ADD_BOS | PM_SPEC_ADD_EOS | PM_SPEC_ADD_SPACE_PREFIX);
    info->reserved = 0;
    return PM_PLUGIN_OK;
}

static pm_plugin_code bpe_token_info(const void *instance, int32_t id, pm_token_info *info)
{
    const bpe_tokenizer *bpe = instance;
    if (info->size < sizeof *info || id < 0 || (size_t)id >= bpe->table.n)
        return PM_PLUGIN_ARGUMENT;
    info->bytes = bpe->decoded + bpe->decoded_offsets[id];
    info->n_bytes = bpe->decoded_offsets[id + 1] - bpe->decoded_offsets[id];
    info->score = (float)bpe->table.scores[id];
    info->kind = bpe->table.kinds[id];
    return PM_PLUGIN_OK;
}

static void append(pm_decode_call *call, const char *bytes, size_t size)
{
    if (size > 0 && call->n_text < call->capacity) {
        size_t room = call->capacity - call->n_text;
        memcpy(call->text + call->n_text, bytes, size < room ? size : room);
    }
    call->n_text += size;
}

static pm_plugin_code bpe_decode(const void *instance, pm_decode_call *call, const pm_plugin_message *message)
{
    const bpe_tokenizer *bpe = instance;
    if (call->size < sizeof *call || (!call->ids && call->n_ids > 0) || (!call->text && call->capacity > 0))
        return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT, "decode: the call is incomplete");
    int strip = bpe->flags & PM_SPEC_ADD_SPACE_PREFIX && !(call->flags & PM_DECODE_CONTINUATION);
    call->n_text = 0;
    for (size_t i = 0; i < call->n_ids; i++) {
        int32_t id = call->ids[i];
        if (id < 0 || (size_t)id >= bpe->table.n)
            return pm_plugin_fail(message, PM_PLUGIN_ARGUMENT,
                                  "decode: id %d at position %zu is outside the vocabulary of %zu tokens", (int)id,
                                  i, bpe->table.n);
        unsigned kind = bpe->table.kinds[id];
        if (call->flags & PM_DECODE_SKIP_SPECIAL && (kind == PM_TOKEN_CONTROL || kind == PM_TOKEN_UNKNOWN))
            continue;
        const char *bytes = bpe->decoded + bpe->decoded_offsets[id];
        size_t size = bpe->decoded_offsets[id + 1] - bpe->decoded_offsets[id];
        size_t skip = strip && size > 0 && *bytes == ' '; /* the space that encoding puts before a text */
        append(call, bytes + skip, size - skip);
        strip = strip && size == 0;
    }
    return call->n_text > call->capacity ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK;
}

static const pm_tokenizer_api api = {
    .size = sizeof(pm_tokenizer_api),
    .create = bpe_create,
    .destroy = bpe_destroy,
    .info = bpe_info,
    .token_info = bpe_token_info,
    .encode = bpe_encode,
    .decode = bpe_decode,
};

PM_PLUGIN_EXPORT const pm_plugin *pumice_plugin(void);

const pm_plugin *pumice_plugin(void)
{
    static const pm_plugin plugin = {
        .abi_version = PM_PLUGIN_ABI,
        .kind = PM_PLUGIN_TOKENIZER,
        .size = sizeof(pm_plugin),
        .name = "bpe",
        .version = "0.1.0",
        .summary =
            "byte-pair encoding: byte-level (GPT-2, LLaMA 3, Qwen, ...) and SentencePiece with byte fallback",
        .api = &api,
    };
    return &plugin;
}
