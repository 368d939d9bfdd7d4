/* Stop strings in text that comes in pieces. See pumice/tokenizer.h.
 *
 * Held back is the longest end of the text so far that a stop string begins with: no more, so that text is shown
 * as early as it can be.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pumice/tokenizer.h"

struct pm_stop_filter {
    char **stops;
    size_t n_stops;
    char *buffer; /* what is held back, then the new piece; handed out from here */
    size_t capacity;
    size_t n_held, held_at; /* held back since the last call: buffer[held_at, held_at + n_held) */
    int stopped;
};

pm_status pm_stop_filter_create(const char *const *stops, size_t n, pm_stop_filter **out, pm_error *err)
{
    pm_stop_filter *filter = calloc(1, sizeof *filter);
    char **copies = calloc(n + 1, sizeof *copies);
    if (!filter || !copies) {
        free(filter);
        free(copies);
        return pm_fail_memory(err, sizeof *filter, "stop strings");
    }
    filter->stops = copies;
    filter->n_stops = n;
    pm_status status = PM_OK;
    for (size_t i = 0; i < n && status == PM_OK; i++) {
        copies[i] = strdup(stops[i]);
        if (!copies[i])
            status = pm_fail_memory(err, strlen(stops[i]), "stop strings");
        else if (!copies[i][0])
            status = pm_fail(err, PM_ERR_ARGUMENT, "stop string %zu is empty", i + 1);
    }
    if (status == PM_OK)
        *out = filter;
    else
        pm_stop_filter_destroy(filter);
    return status;
}

void pm_stop_filter_destroy(pm_stop_filter *filter)
{
    if (!filter)
        return;
    for (size_t i = 0; i < filter->n_stops; i++)
        free(filter->stops[i]);
    free(filter->stops);
    free(filter->buffer);
    free(filter);
}

/* Makes the buffer what was held back followed by the new piece. */
static pm_status append_piece(pm_stop_filter *filter, const char *text, size_t size, pm_error *err)
{
    if (filter->n_held > 0)
        memmove(filter->buffer, filter->buffer + filter->held_at, filter->n_held);
    filter->held_at = 0;
    size_t needed = filter->n_held + size + 2; /* a NUL after what is given, and one at the end */
    if (size > SIZE_MAX / 4)
        return pm_fail_memory(err, size, "text");
    if (needed > filter->capacity) {
        char *grown = realloc(filter->buffer, needed * 2);
        if (!grown)
            return pm_fail_memory(err, needed * 2, "text");
        filter->buffer = grown;
        filter->capacity = needed * 2;
    }
    if (size > 0)
        memcpy(filter->buffer + filter->n_held, text, size);
    return PM_OK;
}

/* The first n bytes are given; the rest, moved by one for the NUL, is held back. */
static void give(pm_stop_filter *filter, size_t n, size_t total, const char **out, size_t *out_size)
{
    memmove(filter->buffer + n + 1, filter->buffer + n, total - n);
    filter->buffer[n] = '\0';
    filter->held_at = n + 1;
    filter->n_held = total - n;
    *out = filter->buffer;
    *out_size = n;
}

/* Where the first stop string starts within n bytes, or n. */
static size_t find_stop(const pm_stop_filter *filter, size_t n)
{
    size_t first = n;
    for (size_t i = 0; i < filter->n_stops; i++) {
        const char *at = memmem(filter->buffer, n, filter->stops[i], strlen(filter->stops[i]));
        if (at && (size_t)(at - filter->buffer) < first)
            first = (size_t)(at - filter->buffer);
    }
    return first;
}

/* How many bytes at the end of n could be the beginning of a stop string. */
static size_t held_length(const pm_stop_filter *filter, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < filter->n_stops; i++) {
        size_t length = strlen(filter->stops[i]) - 1;
        for (length = length < n ? length : n; length > longest; length--)
            if (memcmp(filter->buffer + n - length, filter->stops[i], length) == 0)
                longest = length;
    }
    return longest;
}

pm_status pm_stop_filter_push(pm_stop_filter *filter, const char *text, size_t size, const char **out,
                              size_t *out_size, int *stopped, pm_error *err)
{
    PM_TRY(append_piece(filter, text, filter->stopped ? 0 : size, err));
    size_t total = filter->n_held + (filter->stopped ? 0 : size);
    size_t stop = find_stop(filter, total);
    if (filter->stopped || stop < total) {
        give(filter, filter->stopped ? 0 : stop, filter->stopped ? 0 : stop, out, out_size);
        filter->stopped = 1;
    } else {
        give(filter, total - held_length(filter, total), total, out, out_size);
    }
    *stopped = filter->stopped;
    return PM_OK;
}

pm_status pm_stop_filter_flush(pm_stop_filter *filter, const char **out, size_t *out_size, pm_error *err)
{
    PM_TRY(append_piece(filter, NULL, 0, err));
    give(filter, filter->n_held, filter->n_held, out, out_size);
    filter->stopped = 0;
    return PM_OK;
}
