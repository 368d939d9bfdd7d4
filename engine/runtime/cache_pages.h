/* The pages of a KV cache that several sequences share: who has which, and which full ones are known by their
 * tokens.
 *
 * A page that a sequence has filled is registered under its tokens and the page before it; a sequence that begins
 * with the same tokens then shares it. Registered pages that nobody has any more stay as they are until no other
 * page is free: the one that was given back first goes first. Pages know nothing of what lies in the cache: only
 * numbers are kept here. */
#ifndef PUMICE_RUNTIME_CACHE_PAGES_H
#define PUMICE_RUNTIME_CACHE_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/status.h"

typedef struct pm_cache_pages pm_cache_pages;

/* n_pages pages of `page` tokens each, all free. */
pm_status pm_cache_pages_create(int32_t n_pages, int32_t page, pm_cache_pages **out, pm_error *err);
void pm_cache_pages_destroy(pm_cache_pages *pages); /* NULL is fine */

/* A page for the caller alone, or -1 where all are in use. */
int32_t pm_cache_pages_take(pm_cache_pages *pages);
/* Gives a page back that was taken or found. */
void pm_cache_pages_give(pm_cache_pages *pages, int32_t number);

/* Registered pages are known by serial numbers, which are never used again. *serial: in, that of the page before
 * (0: none, it is a sequence's first); out, that of the page found or registered. */

/* The page with these tokens, which the caller has from now on as well; -1 where there is none, and *serial stays.
 */
int32_t pm_cache_pages_find(pm_cache_pages *pages, const int32_t *tokens, uint64_t *serial);
/* Registers a page that the caller has filled. Where another is known for the same tokens, *serial is that one's.
 */
void pm_cache_pages_register(pm_cache_pages *pages, int32_t number, const int32_t *tokens, uint64_t *serial);

int32_t pm_cache_pages_n_free(const pm_cache_pages *pages); /* that take would give, kept ones included */
int32_t pm_cache_pages_n_kept(const pm_cache_pages *pages); /* registered ones that nobody has */

#endif
