/* The GGUF reader when memory runs out: every allocation of an open fails once, and each time the open reports it
 * and leaves nothing behind (the leak checker of the asan preset watches). The linker wraps the allocation
 * functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pumice/gguf.h"
#include "tests/gguf_builder.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *text);

static int allocations_left = -1; /* -1: no limit */

static int may_allocate(void)
{
    if (allocations_left < 0)
        return 1;
    if (allocations_left == 0)
        return 0;
    allocations_left--;
    return 1;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return may_allocate() ? __real_calloc(n, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
    return may_allocate() ? __real_strdup(text) : NULL;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const strings[] = {"a", "b"};
    static const int64_t dim[] = {4};
    static const float values[4] = {0};
    size_t size;
    gguf_builder *b = gguf_builder_create(3);
    gguf_builder_add_str_array(b, "first", strings, 2);
    gguf_builder_add_str_array(b, "second", strings, 1);
    gguf_builder_add_floats(b, "w", PM_TYPE_F32, 1, dim, values);
    uint8_t *bytes = gguf_builder_finish(b, &size);
    gguf_builder_destroy(b);
    int n_failed = 0;
    for (pm_status status = PM_ERR_MEMORY; status != PM_OK; n_failed++) {
        pm_gguf *file;
        pm_error err = {0};
        allocations_left = n_failed;
        status = pm_gguf_open_memory(bytes, size, "file.gguf", &file, &err);
        allocations_left = -1;
        if (status == PM_OK) {
            pm_gguf_close(file);
            break;
        }
        assert_int_equal(status, PM_ERR_MEMORY);
        assert_int_equal(err.status, PM_ERR_MEMORY);
        assert_null(file);
        assert_non_null(strstr(err.message, "out of memory"));
    }
    /* The record, its path, three tables of keys, two of strings, two of tensors. */
    assert_int_equal(n_failed, 9);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests_name("GGUF reader without memory", tests, NULL, NULL);
}
