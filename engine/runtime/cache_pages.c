/* Pages of a KV cache: see cache_pages.h.
 *
 * Free pages are in two lists: those that hold nothing, and those kept for their tokens, oldest first. A
 * registered page is found by the hash of its tokens and of the serial number of the page before it. Serial
 * numbers are never used again, so that a page whose predecessor was overwritten is never found any more; it goes
 * when its turn comes. */
#include "runtime/cache_pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { NONE = -1 };

typedef struct cache_page {
    int32_t n_users;
    int32_t previous, next; /* in the list of free or of kept pages */
    int32_t next_alike;     /* of the same bucket */
    uint64_t serial;        /* registered: its number; 0: not registered */
    uint64_t before;        /* the serial number of the page before it; 0: it is a sequence's first */
} cache_page;

typedef struct page_list {
    int32_t first, last, n;
} page_list;

struct pm_cache_pages {
    int32_t n_pages, page;
    uint64_t last_serial;
    page_list empty, kept;
    cache_page *pages;
    int32_t *tokens;  /* [n_pages][page] */
    int32_t *buckets; /* [n_buckets], a power of two */
    uint32_t n_buckets;
};

static void append(pm_cache_pages *p, page_list *list, int32_t number)
{
    cache_page *page = &p->pages[number];
    page->previous = list->last;
    page->next = NONE;
    if (list->last == NONE)
        list->first = number;
    else
        p->pages[list->last].next = number;
    list->last = number;
    list->n++;
}

static void unlink_page(pm_cache_pages *p, page_list *list, int32_t number)
{
    const cache_page *page = &p->pages[number];
    if (page->previous == NONE)
        list->first = page->next;
    else
        p->pages[page->previous].next = page->next;
    if (page->next == NONE)
        list->last = page->previous;
    else
        p->pages[page->next].previous = page->previous;
    list->n--;
}

pm_status pm_cache_pages_create(int32_t n_pages, int32_t page, pm_cache_pages **out, pm_error *err)
{
    pm_cache_pages *p = *out = calloc(1, sizeof *p);
    if (!p)
        return pm_fail_memory(err, sizeof *p, "the pages of a KV cache");
    *p = (pm_cache_pages){
        .n_pages = n_pages, .page = page, .empty = {NONE, NONE, 0}, .kept = {NONE, NONE, 0}, .n_buckets = 16};
    while (p->n_buckets < 2 * (uint32_t)n_pages)
        p->n_buckets *= 2;
    p->pages = calloc((size_t)n_pages, sizeof *p->pages);
    p->tokens = calloc((size_t)n_pages, (size_t)page * sizeof *p->tokens);
    p->buckets = malloc(p->n_buckets * sizeof *p->buckets);
    if (!p->pages || !p->tokens || !p->buckets) {
        pm_cache_pages_destroy(p);
        *out = NULL;
        return pm_fail_memory(err, (size_t)n_pages * (size_t)page * sizeof *p->tokens, "the pages of a KV cache");
    }
    for (uint32_t i = 0; i < p->n_buckets; i++)
        p->buckets[i] = NONE;
    for (int32_t i = 0; i < n_pages; i++)
        append(p, &p->empty, i);
    return PM_OK;
}

void pm_cache_pages_destroy(pm_cache_pages *p)
{
    if (!p)
        return;
    free(p->pages);
    free(p->tokens);
    free(p->buckets);
    free(p);
}

/* FNV-1a over whole words; what it finds is compared. */
static int32_t *bucket_of(const pm_cache_pages *p, uint64_t before, const int32_t *tokens)
{
    uint64_t hash = 14695981039346656037ull ^ before * 0x9e3779b97f4a7c15ull;
    for (int32_t i = 0; i < p->page; i++)
        hash = (hash ^ (uint32_t)tokens[i]) * 1099511628211ull;
    hash ^= hash >> 32;
    return &p->buckets[hash & (p->n_buckets - 1)];
}

static int32_t *tokens_of(const pm_cache_pages *p, int32_t number)
{
    return p->tokens + (size_t)number * (size_t)p->page;
}

static void forget(pm_cache_pages *p, int32_t number)
{
    cache_page *page = &p->pages[number];
    int32_t *at = bucket_of(p, page->before, tokens_of(p, number));
    while (*at != number)
        at = &p->pages[*at].next_alike;
    *at = page->next_alike;
    page->serial = 0;
}

int32_t pm_cache_pages_take(pm_cache_pages *p)
{
    int32_t number = p->empty.first;
    if (number != NONE) {
        unlink_page(p, &p->empty, number);
    } else {
        number = p->kept.first;
        if (number == NONE)
            return NONE;
        unlink_page(p, &p->kept, number);
        forget(p, number);
    }
    p->pages[number].n_users = 1;
    return number;
}

void pm_cache_pages_give(pm_cache_pages *p, int32_t number)
{
    if (--p->pages[number].n_users == 0)
        append(p, p->pages[number].serial ? &p->kept : &p->empty, number);
}

static int32_t find(const pm_cache_pages *p, uint64_t before, const int32_t *tokens)
{
    int32_t number = *bucket_of(p, before, tokens);
    while (number != NONE && (p->pages[number].before != before ||
                              memcmp(tokens_of(p, number), tokens, (size_t)p->page * sizeof *tokens) != 0))
        number = p->pages[number].next_alike;
    return number;
}

int32_t pm_cache_pages_find(pm_cache_pages *p, const int32_t *tokens, uint64_t *serial)
{
    int32_t number = find(p, *serial, tokens);
    if (number == NONE)
        return NONE;
    if (p->pages[number].n_users++ == 0)
        unlink_page(p, &p->kept, number);
    *serial = p->pages[number].serial;
    return number;
}

void pm_cache_pages_register(pm_cache_pages *p, int32_t number, const int32_t *tokens, uint64_t *serial)
{
    cache_page *page = &p->pages[number];
    int32_t known = find(p, *serial, tokens);
    if (known != NONE) {
        *serial = p->pages[known].serial;
        return;
    }
    page->before = *serial;
    page->serial = *serial = ++p->last_serial;
    memcpy(tokens_of(p, number), tokens, (size_t)p->page * sizeof *tokens);
    int32_t *bucket = bucket_of(p, page->before, tokens);
    page->next_alike = *bucket;
    *bucket = number;
}

int32_t pm_cache_pages_n_free(const pm_cache_pages *p)
{
    return p->empty.n + p->kept.n;
}

int32_t pm_cache_pages_n_kept(const pm_cache_pages *p)
{
    return p->kept.n;
}
