/* The trie over bytes: against a search through all keys, with keys of every shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "parts/byte_trie.h"

enum { MOST_KEYS = 3000, MOST_BYTES = 40 };

typedef struct key_list {
    char bytes[MOST_KEYS][MOST_BYTES];
    uint32_t sizes[MOST_KEYS];
    size_t n;
} key_list;

static uint64_t random_state = 7;

static unsigned random_below(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((random_state >> 33) % n);
}

static void make_trie(const key_list *list, pm_byte_trie *trie)
{
    pm_trie_key *keys = calloc(list->n + 1, sizeof *keys);
    assert_non_null(keys);
    for (size_t i = 0; i < list->n; i++)
        keys[i] = (pm_trie_key){list->bytes[i], list->sizes[i], (uint32_t)i};
    assert_int_equal(pm_byte_trie_create(keys, list->n, trie, NULL), PM_PLUGIN_OK);
    free(keys);
}

static int32_t find_slowly(const key_list *list, const char *bytes, size_t n)
{
    for (size_t i = list->n; i-- > 0;)
        if (list->sizes[i] == n && memcmp(list->bytes[i], bytes, n) == 0)
            return (int32_t)i;
    return -1;
}

static int is_prefix(const key_list *list, const char *bytes, size_t n)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->sizes[i] >= n && memcmp(list->bytes[i], bytes, n) == 0)
            return 1;
    return 0;
}

static void check_word(const key_list *list, const pm_byte_trie *trie, const char *bytes, size_t n)
{
    pm_trie_unit unit = pm_trie_find(trie, trie->root, bytes, n);
    if (n > 0 && (unit != 0) != is_prefix(list, bytes, n))
        fail_msg("a word of %zu bytes is%s a prefix", n, unit ? "" : " not");
    if (n > 0)
        assert_int_equal(pm_trie_has_value(unit) ? pm_trie_value(unit) : -1, find_slowly(list, bytes, n));
}

static void random_keys(void **state)
{
    (void)state;
    static key_list list;
    for (unsigned round = 0; round < 60; round++) {
        unsigned n_letters = (unsigned[]){1, 2, 3, 26, 256}[round % 5];
        unsigned longest = (unsigned[]){1, 2, 5, 12, MOST_BYTES}[round / 5 % 5];
        list.n = random_below(round % 3 == 0 ? 12 : 300);
        for (size_t i = 0; i < list.n; i++) {
            list.sizes[i] = 1 + random_below(longest);
            for (size_t k = 0; k < list.sizes[i]; k++)
                list.bytes[i][k] = (char)random_below(n_letters);
        }
        pm_byte_trie trie;
        make_trie(&list, &trie);
        for (size_t i = 0; i < list.n; i++)
            check_word(&list, &trie, list.bytes[i], list.sizes[i]);
        for (unsigned i = 0; i < 500; i++) {
            char word[MOST_BYTES];
            size_t n = random_below(longest + 1);
            for (size_t k = 0; k < n; k++)
                word[k] = (char)random_below(n_letters + 1);
            check_word(&list, &trie, word, n);
        }
        pm_byte_trie_destroy(&trie);
    }
}

/* Every node, whether it leads anywhere or not, refuses every byte that is no child of it. */
static void no_false_children(void **state)
{
    (void)state;
    static key_list list;
    list.n = MOST_KEYS;
    for (size_t i = 0; i < list.n; i++) {
        list.sizes[i] = 3;
        for (size_t k = 0; k < 3; k++)
            list.bytes[i][k] = (char)random_below(k == 0 ? 3 : 256);
    }
    pm_byte_trie trie;
    make_trie(&list, &trie);
    size_t n_nodes = 0;
    for (size_t i = 0; i < list.n; i++)
        for (size_t n = 0; n <= 3; n++) {
            char word[4];
            memcpy(word, list.bytes[i], n);
            pm_trie_unit unit = pm_trie_find(&trie, trie.root, word, n);
            for (unsigned byte = 0; byte < 256; byte += 1 + random_below(40), n_nodes++) {
                word[n] = (char)byte;
                int there = pm_trie_is_child(pm_trie_next(&trie, unit, (unsigned char)byte), (unsigned char)byte);
                if (there != (n < 3 && is_prefix(&list, word, n + 1)))
                    fail_msg("key %zu: byte %u after %zu", i, byte, n);
            }
        }
    assert_in_range(n_nodes, 50000, 1000000);
    pm_byte_trie_destroy(&trie);
}

static void long_keys(void **state)
{
    (void)state;
    size_t n = 200000;
    char *bytes = malloc(n + 1);
    assert_non_null(bytes);
    memset(bytes, 'x', n + 1);
    pm_trie_key keys[] = {
        {bytes, (uint32_t)n, 1}, {bytes, (uint32_t)n - 1, 2}, {bytes, 1, 3}, {bytes, (uint32_t)n, 4}};
    pm_byte_trie trie;
    assert_int_equal(pm_byte_trie_create(keys, 4, &trie, NULL), PM_PLUGIN_OK);
    assert_int_equal(trie.longest, n);
    assert_int_equal(pm_trie_value(pm_trie_find(&trie, trie.root, bytes, n)), 4);
    assert_int_equal(pm_trie_value(pm_trie_find(&trie, trie.root, bytes, n - 1)), 2);
    assert_false(pm_trie_has_value(pm_trie_find(&trie, trie.root, bytes, n - 2)));
    assert_true(pm_trie_find(&trie, trie.root, bytes, n + 1) == 0);
    pm_byte_trie_destroy(&trie);
    free(bytes);
}

static void too_many_values(void **state)
{
    (void)state;
    pm_trie_key key = {"a", 1, PM_TRIE_MAX_VALUE};
    pm_byte_trie trie;
    assert_int_equal(pm_byte_trie_create(&key, 1, &trie, NULL), PM_PLUGIN_OK);
    assert_int_equal(pm_trie_value(pm_trie_find(&trie, trie.root, "a", 1)), PM_TRIE_MAX_VALUE);
    pm_byte_trie_destroy(&trie);
    key.value++;
    assert_int_equal(pm_byte_trie_create(&key, 1, &trie, NULL), PM_PLUGIN_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_keys),
        cmocka_unit_test(no_false_children),
        cmocka_unit_test(long_keys),
        cmocka_unit_test(too_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
