/* pm_tokenizer_train: from options and files to a tokenizer.json. See train.h for the flow. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "training/train.h"

pm_status train_progress(const train_run *run, const char *what, uint64_t done, uint64_t total)
{
    const pm_train_options *o = run->options;
    if (o->progress && o->progress(o->user, what, done, total))
        return pm_fail(run->err, PM_ERR_CANCELLED, "training was cancelled");
    return PM_OK;
}

/* ---- Options ---- */

static void fill_in(pm_train_options *o)
{
    static const char *const specials[][5] = {
        [PM_TRAIN_BPE] = {"<|endoftext|>"},
        [PM_TRAIN_UNIGRAM] = {"<unk>", "<s>", "</s>"},
        [PM_TRAIN_WORDPIECE] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"},
        [PM_TRAIN_WORDLEVEL] = {"[UNK]"},
    };
    static const size_t n_specials[] = {1, 3, 5, 1};
    int like_sentencepiece = o->type == PM_TRAIN_BPE && o->byte_fallback;
    if (!o->special_tokens) {
        o->special_tokens = specials[like_sentencepiece ? PM_TRAIN_UNIGRAM : o->type];
        o->n_special_tokens = n_specials[like_sentencepiece ? PM_TRAIN_UNIGRAM : o->type];
    }
    o->n_tokens = o->n_tokens ? o->n_tokens : 30000;
    o->min_frequency = o->min_frequency ? o->min_frequency : o->type == PM_TRAIN_WORDLEVEL ? 1 : 2;
    o->n_threads = o->n_threads ? o->n_threads : pm_threads_cores();
}

static pm_status check(const pm_train_options *o, size_t n_files, pm_error *err)
{
    if (n_files == 0)
        return pm_fail(err, PM_ERR_ARGUMENT, "no texts to train on");
    if ((unsigned)o->type > PM_TRAIN_WORDLEVEL)
        return pm_fail(err, PM_ERR_ARGUMENT, "there is no type %d of tokenizers", (int)o->type);
    if (o->byte_fallback && o->type != PM_TRAIN_BPE && o->type != PM_TRAIN_UNIGRAM)
        return pm_fail(err, PM_ERR_ARGUMENT, "byte fallback is for BPE and Unigram");
    if (o->pattern && (o->type != PM_TRAIN_BPE || o->byte_fallback || o->settings))
        return pm_fail(err, PM_ERR_ARGUMENT, "a pattern is for BPE on bytes, without byte fallback and settings");
    if (o->lowercase && o->settings)
        return pm_fail(err, PM_ERR_ARGUMENT, "the settings say how text is normalised: lower case goes there");
    if (o->alphabet_limit && o->type == PM_TRAIN_WORDLEVEL)
        return pm_fail(err, PM_ERR_ARGUMENT, "WordLevel has no alphabet");
    if (o->n_tokens > (1u << 22))
        return pm_fail(err, PM_ERR_LIMIT, "a vocabulary of %zu tokens; at most %u are made", o->n_tokens,
                       1u << 22);
    if (o->type == PM_TRAIN_UNIGRAM && o->max_token_chars > 256)
        return pm_fail(err, PM_ERR_LIMIT, "Unigram's tokens have up to 256 characters");
    return PM_OK;
}

/* ---- The vocabulary's first tokens ---- */

static pm_status add_special(const train_run *run, train_vocabulary *v, const char *token)
{
    size_t bad, n = strlen(token);
    if (n == 0 || !pm_utf8_check(token, n, &bad))
        return pm_fail(run->err, PM_ERR_ARGUMENT, "a special token is empty or not UTF-8");
    return train_add(v, token, n) == TRAIN_NO_TOKEN ? pm_fail_memory(run->err, n, "the vocabulary") : PM_OK;
}

static pm_status add_specials(const train_run *run, train_vocabulary *v)
{
    const pm_train_options *o = run->options;
    for (size_t i = 0; i < o->n_special_tokens; i++)
        PM_TRY(add_special(run, v, o->special_tokens[i]));
    if (train_unknown_token(o))
        PM_TRY(add_special(run, v, train_unknown_token(o)));
    v->n_special = v->n;
    for (int b = 0; b < 256 && o->byte_fallback; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        if (train_add(v, name, 6) == TRAIN_NO_TOKEN)
            return pm_fail_memory(run->err, v->n, "the vocabulary");
    }
    return PM_OK;
}

/* ---- The whole ---- */

static pm_status train_and_write(train_run *run, const char *const *files, size_t n_files, const char *path,
                                 train_words *words, train_vocabulary *v)
{
    PM_TRY(train_count_words(run, files, n_files, words));
    switch (run->options->type) {
    case PM_TRAIN_BPE:
    case PM_TRAIN_WORDPIECE:
        PM_TRY(train_bpe(run, words, v));
        break;
    case PM_TRAIN_UNIGRAM:
        PM_TRY(train_unigram(run, words, v));
        break;
    case PM_TRAIN_WORDLEVEL:
        PM_TRY(train_wordlevel(run, words, v));
        break;
    }
    PM_TRY(train_progress(run, "writing", 1, 1));
    return train_write(run, v, path);
}

pm_status pm_tokenizer_train(const pm_train_options *options, const char *const *files, size_t n_files,
                             const char *path, pm_train_result *result, pm_error *err)
{
    pm_train_options filled = *options;
    fill_in(&filled);
    PM_TRY(check(&filled, n_files, err));
    train_run run = {.options = &filled, .err = err};
    train_words words = {0};
    train_vocabulary v = {0};
    pm_json_writer description = {0};
    pm_status status = pm_threads_create(filled.n_threads, &run.threads, err);
    if (status == PM_OK)
        status = add_specials(&run, &v);
    if (status == PM_OK)
        status = train_describe(&run, &v, &description);
    run.description = description.bytes;
    run.n_description = description.n;
    if (status == PM_OK)
        status = train_and_write(&run, files, n_files, path, &words, &v);
    if (status == PM_OK && result)
        *result = (pm_train_result){v.n, words.n, words.n_text_bytes};
    pm_threads_destroy(run.threads);
    train_vocabulary_free(&v);
    train_words_free(&words);
    free(description.bytes);
    return status;
}
