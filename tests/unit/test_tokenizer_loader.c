/* Finding and loading plugins: by name, by file, several at once; and a clear error for each file that is no
 * plugin. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/tokenizer_fixture.h"

#define TEST_PLUGINS PUMICE_BUILD_DIR "/test_plugins/"
#define PLUGINS      PUMICE_BUILD_DIR "/plugins/"
#define SCRATCH      PUMICE_BUILD_DIR "/test_loader.tmp"

static void check_refused(const char *plugin, pm_status expected, const char *part)
{
    pm_tokenizer *tokenizer = NULL;
    pm_error err = {PM_OK, ""};
    const pm_tokenizer_options options = {.plugin = plugin};
    pm_status status = pm_tokenizer_open_plugin(&options, &tokenizer, &err);
    if (status != expected || !strstr(err.message, part))
        fail_msg("%s: status %d instead of %d, '%s' in '%s'", plugin, (int)status, (int)expected, part,
                 err.message);
    assert_null(tokenizer);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void test_files_that_are_no_plugins(void **state)
{
    (void)state;
    check_refused("/no/such/file.so", PM_ERR_NOT_FOUND, "there is no such file");
    check_refused("missing.so", PM_ERR_NOT_FOUND, "./missing.so");
    check_refused(PUMICE_BUILD_DIR "/", PM_ERR_FORMAT, "is not a file");
    write_file(SCRATCH, "plain text\n", 11);
    check_refused(SCRATCH, PM_ERR_FORMAT, "is not a shared object");
    write_file(SCRATCH, "", 0);
    check_refused(SCRATCH, PM_ERR_FORMAT, "is not a shared object");
    write_file(SCRATCH, "\177ELF and nothing of one", 23);
    check_refused(SCRATCH, PM_ERR_FORMAT, "cannot be loaded");
    remove(SCRATCH);
    check_refused("", PM_ERR_ARGUMENT, "name is empty");
}

static void test_plugins_that_are_refused(void **state)
{
    (void)state;
    check_refused(TEST_PLUGINS "bad_symbol.so", PM_ERR_FORMAT, "it has no function pumice_plugin()");
    check_refused(TEST_PLUGINS "bad_abi.so", PM_ERR_UNSUPPORTED, "version 42 of the plugin interface");
    check_refused(TEST_PLUGINS "bad_kind.so", PM_ERR_UNSUPPORTED, "is of kind 1007, not a tokenizer");
    check_refused(TEST_PLUGINS "bad_size.so", PM_ERR_FORMAT, "8 bytes instead of");
    check_refused(TEST_PLUGINS "bad_name.so", PM_ERR_FORMAT, "has no name");
    check_refused(TEST_PLUGINS "bad_null.so", PM_ERR_FORMAT, "returned NULL");
    check_refused(TEST_PLUGINS "bad_missing_function.so", PM_ERR_FORMAT, "lacks functions");
    check_refused(TEST_PLUGINS "bad_null_instance.so", PM_ERR_INTERNAL, "bad");
    check_refused(TEST_PLUGINS "bad_code.so", PM_ERR_INTERNAL, "unknown code 77");
    check_refused(TEST_PLUGINS "bad_none.so", PM_ERR_UNSUPPORTED, "bad: nope");
}

static void test_search_by_name(void **state)
{
    (void)state;
    unsetenv("PUMICE_PLUGIN_PATH");
    check_refused("no_such_plugin", PM_ERR_NOT_FOUND, "no_such_plugin");
    check_refused("no_such_plugin", PM_ERR_NOT_FOUND, "bin/../plugins"); /* it says where it looked */
    /* Beside the program: bin/../plugins. That it is found shows in its own error. */
    check_refused("whitespace", PM_ERR_UNSUPPORTED, "needs a model's vocabulary");
    check_refused("bad_none", PM_ERR_NOT_FOUND, "there is no tokenizer plugin 'bad_none'");
    setenv("PUMICE_PLUGIN_PATH", "/nowhere::" PUMICE_BUILD_DIR "/test_plugins", 1);
    check_refused("bad_none", PM_ERR_UNSUPPORTED, "nope");
    unsetenv("PUMICE_PLUGIN_PATH");
    pm_tokenizer *tokenizer = NULL;
    pm_error err;
    const pm_tokenizer_options options = {.plugin = "outside_c", .plugin_dirs = PUMICE_BUILD_DIR "/test_plugins"};
    assert_int_equal(pm_tokenizer_open_plugin(&options, &tokenizer, &err), PM_OK);
    assert_string_equal(pm_tokenizer_plugin_name(tokenizer), "bytes");
    assert_string_equal(pm_tokenizer_plugin_path(tokenizer), TEST_PLUGINS "outside_c.so");
    pm_tokenizer_close(tokenizer);
    assert_int_equal(pm_tokenizer_open_plugin(NULL, &tokenizer, &err), PM_ERR_ARGUMENT);
}

static void check_round_trip(const pm_tokenizer *tokenizer, const char *text, size_t size, size_t n_expected)
{
    pm_tokens tokens = {0};
    pm_error err;
    char *back = NULL;
    size_t n_back = 0;
    assert_int_equal(pm_tokenizer_encode(tokenizer, text, size, 0, &tokens, &err), PM_OK);
    assert_int_equal(tokens.n, n_expected);
    assert_int_equal(pm_tokenizer_decode(tokenizer, tokens.ids, tokens.n, 0, &back, &n_back, &err), PM_OK);
    assert_int_equal(n_back, size);
    assert_memory_equal(back, text, size);
    pm_text_free(back);
    pm_tokens_free(&tokens);
}

static void test_third_party(void **state)
{
    (void)state;
    static const char *const files[] = {TEST_PLUGINS "outside_c.so", TEST_PLUGINS "outside_cxx.so"};
    for (size_t i = 0; i < 2; i++) {
        pm_tokenizer *tokenizer = NULL;
        pm_error err;
        const pm_tokenizer_options options = {.plugin = files[i]};
        if (i == 1 && access(files[i], R_OK) != 0) {
            print_message("skip: no C++ compiler, so no plugin in C++\n");
            continue;
        }
        if (pm_tokenizer_open_plugin(&options, &tokenizer, &err) != PM_OK)
            fail_msg("%s", err.message);
        check_round_trip(tokenizer, "\0\xFF any bytes", 12, 12);
        char long_text[9000]; /* more than the host first makes room for: the plugin is asked again */
        memset(long_text, 'x', sizeof long_text);
        check_round_trip(tokenizer, long_text, sizeof long_text, sizeof long_text);
        pm_tokenizer_close(tokenizer);
    }
}

/* Three plugins at once on one vocabulary, closed in an order that would leave a shared one dangling. */
static void test_several_at_once(void **state)
{
    (void)state;
    static const char *const plugins[] = {"bpe", "whitespace", TEST_PLUGINS "outside_c.so", PLUGINS "bpe.so"};
    pm_tokenizer *open[4] = {0};
    tokenizer_fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < 4; i++) {
        pm_error err;
        const pm_tokenizer_options options = {.plugin = plugins[i]};
        if (fixture_open_builder(fixture_builder(&f), &options, &open[i], &err) != PM_OK)
            fail_msg("%s", err.message);
    }
    pm_tokenizer_close(open[0]);
    check_round_trip(open[3], "hello world", 11, 4);
    check_round_trip(open[2], "hello", 5, 5);
    check_round_trip(open[1], "he", 2, 1);
    for (size_t i = 1; i < 4; i++)
        pm_tokenizer_close(open[i]);
}

static void copy_file(const char *from, const char *to)
{
    char buffer[4096];
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, in)) > 0;)
        assert_int_equal(fwrite(buffer, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* A plugin's file is replaced while it is in use: the old tokenizer, and a stream on it, go on with the old one.
 */
static void test_replaced_while_in_use(void **state)
{
    (void)state;
    const char *file = PUMICE_BUILD_DIR "/test_plugins/swap.so";
    const pm_tokenizer_options options = {.plugin = file};
    pm_tokenizer *old = NULL;
    pm_tokenizer *replaced = NULL;
    pm_decode_stream *stream = NULL;
    pm_error err;
    const char *text;
    size_t size;
    tokenizer_fixture f;
    fixture_init(&f);
    copy_file(TEST_PLUGINS "outside_c.so", file);
    assert_int_equal(pm_tokenizer_open_plugin(&options, &old, &err), PM_OK);
    assert_int_equal(pm_decode_stream_create(old, 0, &stream, &err), PM_OK);
    assert_int_equal(pm_decode_stream_push(stream, 'a', &text, &size, &err), PM_OK);
    assert_string_equal(text, "a");
    copy_file(PLUGINS "bpe.so", SCRATCH);
    assert_int_equal(rename(SCRATCH, file), 0);
    if (fixture_open_builder(fixture_builder(&f), &options, &replaced, &err) != PM_OK)
        fail_msg("%s", err.message);
    assert_string_equal(pm_tokenizer_plugin_name(replaced), "bpe");
    pm_tokenizer_close(old); /* the stream still holds it */
    check_round_trip(replaced, "hello", 5, 1);
    assert_int_equal(pm_decode_stream_push(stream, 'b', &text, &size, &err), PM_OK);
    assert_string_equal(text, "b");
    pm_decode_stream_destroy(stream);
    pm_tokenizer_close(replaced);
    remove(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_that_are_no_plugins),
        cmocka_unit_test(test_plugins_that_are_refused),
        cmocka_unit_test(test_search_by_name),
        cmocka_unit_test(test_third_party),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_replaced_while_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
