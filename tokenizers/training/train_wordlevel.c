/* WordLevel's trainer: the most frequent words, of equally frequent ones the first by its bytes. */
#include <stdlib.h>

#include "training/train.h"

static int by_count(const void *a, const void *b)
{
    const train_word *x = *(const train_word *const *)a, *y = *(const train_word *const *)b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x > y) - (x < y); /* the list is sorted by bytes */
}

pm_status train_wordlevel(const train_run *run, const train_words *words, train_vocabulary *v)
{
    const train_word **order = malloc(words->n * sizeof *order);
    if (!order)
        return pm_fail_memory(run->err, words->n * sizeof *order, "the order of words");
    for (size_t i = 0; i < words->n; i++)
        order[i] = &words->list[i];
    qsort(order, words->n, sizeof *order, by_count);
    pm_status status = PM_OK;
    for (size_t i = 0; i < words->n && v->n < run->options->n_tokens && status == PM_OK; i++) {
        if (order[i]->count < run->options->min_frequency)
            break;
        if (run->options->max_token_chars == 0 || order[i]->n <= run->options->max_token_chars)
            status = train_add(v, order[i]->bytes, order[i]->n) == TRAIN_NO_TOKEN
                         ? pm_fail_memory(run->err, order[i]->n, "the vocabulary")
                         : PM_OK;
    }
    free(order);
    return status;
}
