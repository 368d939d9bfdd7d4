/* Cache files of the Vulkan backend: what was written comes back, and nothing else ever does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "backends/vulkan/vk_cache.h"

static const char text[] = "compiled pipelines";

typedef struct fixture {
    char dir[64], nested[80];
    pm_vk_cache cache;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->dir, "/tmp/pumice_cache_XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->nested, sizeof f->nested, "%s/a/b", f->dir); /* is made when needed */
    pm_vk_cache_open(&f->cache, f->nested, "device", "key one");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    char command[160];
    snprintf(command, sizeof command, "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    pm_vk_cache_close(&f->cache);
    free(f);
    return 0;
}

static bool comes_back(const pm_vk_cache *cache)
{
    size_t size = 99;
    char *data = pm_vk_cache_read(cache, "test", &size);
    bool good = data && size == sizeof text && !memcmp(data, text, size);
    assert_true(data || size == 0);
    free(data);
    return good;
}

static void what_was_written_comes_back(void **state)
{
    fixture *f = *state;
    assert_false(comes_back(&f->cache));
    assert_true(pm_vk_cache_write(&f->cache, "test", text, sizeof text));
    assert_true(comes_back(&f->cache));
    size_t size;
    assert_null(pm_vk_cache_read(&f->cache, "other", &size));
}

/* Every byte of the file matters: with a bit flipped, the file is as good as none. So does its length. */
static void damage_is_noticed(void **state)
{
    fixture *f = *state;
    assert_true(pm_vk_cache_write(&f->cache, "test", text, sizeof text));
    char *path = pm_vk_cache_path(&f->cache, "test");
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    unsigned char *bytes = malloc((size_t)status.st_size + 1);
    FILE *file = fopen(path, "rb");
    size_t n = fread(bytes, 1, (size_t)status.st_size, file);
    fclose(file);
    for (size_t bit = 0; bit < 8 * n; bit += 7) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        file = fopen(path, "wb");
        fwrite(bytes, 1, n, file);
        fclose(file);
        if (comes_back(&f->cache))
            fail_msg("bit %zu was flipped and nobody noticed", bit);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    for (size_t length = 0; length <= n + 1; length++) {
        file = fopen(path, "wb");
        bytes[n] = 0;
        fwrite(bytes, 1, length, file);
        fclose(file);
        assert_int_equal(comes_back(&f->cache), length == n);
    }
    free(bytes);
    free(path);
}

static void a_foreign_file_is_ignored(void **state)
{
    fixture *f = *state;
    assert_true(pm_vk_cache_write(&f->cache, "test", text, sizeof text));
    pm_vk_cache other;
    pm_vk_cache_open(&other, f->nested, "another device", "key one");
    assert_false(comes_back(&other));
    pm_vk_cache_close(&other);
    /* After an update the old file is ignored, and replaced. */
    pm_vk_cache_open(&other, f->nested, "device", "key two");
    assert_false(comes_back(&other));
    assert_true(pm_vk_cache_write(&other, "test", text, sizeof text));
    assert_true(comes_back(&other));
    assert_false(comes_back(&f->cache));
    pm_vk_cache_close(&other);
}

static void an_unwritable_place_is_no_error(void **state)
{
    (void)state;
    pm_vk_cache cache;
    pm_vk_cache_open(&cache, "/proc/nowhere", "device", "key");
    assert_false(pm_vk_cache_write(&cache, "test", text, sizeof text));
    assert_false(comes_back(&cache));
    pm_vk_cache_close(&cache);
    pm_vk_cache none = {0};
    assert_false(pm_vk_cache_write(&none, "test", text, sizeof text));
    assert_false(comes_back(&none));
}

static void no_temporary_file_is_left(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 3; i++)
        assert_true(pm_vk_cache_write(&f->cache, "test", text, sizeof text));
    char command[160];
    snprintf(command, sizeof command, "test $(ls %s | wc -l) = 1", f->nested);
    assert_int_equal(system(command), 0);
}

static void the_directory_follows_xdg(void **state)
{
    (void)state;
    pm_vk_cache cache;
    setenv("XDG_CACHE_HOME", "/x", 1);
    setenv("HOME", "/h", 1);
    pm_vk_cache_open(&cache, NULL, "device", "key");
    assert_string_equal(cache.dir, "/x/pumice");
    pm_vk_cache_close(&cache);
    setenv("XDG_CACHE_HOME", "relative", 1);
    pm_vk_cache_open(&cache, NULL, "device", "key");
    assert_string_equal(cache.dir, "/h/.cache/pumice");
    pm_vk_cache_close(&cache);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    pm_vk_cache_open(&cache, NULL, "device", "key");
    assert_null(cache.dir);
    pm_vk_cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_foreign_file_is_ignored, set_up, tear_down),
        cmocka_unit_test(an_unwritable_place_is_no_error),
        cmocka_unit_test_setup_teardown(no_temporary_file_is_left, set_up, tear_down),
        cmocka_unit_test(the_directory_follows_xdg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
