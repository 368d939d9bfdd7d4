/* Vocabularies of GGUF files: what is read from them, and that every kind of nonsense is refused with a sentence
 * that names the file and the key, token or merge. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <math.h>
#include <cmocka.h>

#include "tests/tokenizer_fixture.h"

static pm_tokenizer *open_good(const tokenizer_fixture *f)
{
    pm_tokenizer *tokenizer = NULL;
    pm_error err;
    if (fixture_open(f, &tokenizer, &err) != PM_OK)
        fail_msg("%s", err.message);
    return tokenizer;
}

/* Opening must fail with this status and a message that holds `part`. */
static void check_refused(gguf_builder *b, pm_status expected, const char *part)
{
    pm_tokenizer *tokenizer = NULL;
    pm_error err = {PM_OK, ""};
    pm_status status = fixture_open_builder(b, NULL, &tokenizer, &err);
    if (status != expected)
        fail_msg("status %d instead of %d for '%s': %s", (int)status, (int)expected, part, err.message);
    if (!strstr(err.message, part) || !strstr(err.message, "fixture.gguf"))
        fail_msg("'%s' is not in '%s'", part, err.message);
    assert_null(tokenizer);
}

/* An empty list is no missing one: bytes then stay as they are. (No memory is there for the merges.) */
static void test_empty_merges(void **state)
{
    (void)state;
    tokenizer_fixture f;
    fixture_init(&f);
    f.n_merges = 0;
    gguf_builder *b = fixture_builder(&f);
    gguf_builder_add_str_array(b, "tokenizer.ggml.merges", f.tokens, 0);
    pm_tokenizer *t = NULL;
    pm_error err;
    assert_int_equal(fixture_open_builder(b, NULL, &t, &err), PM_OK);
    assert_int_equal(pm_tokenizer_n_tokens(t), FIXTURE_TOKENS);
    pm_tokenizer_close(t);
}

static void test_what_is_read(void **state)
{
    (void)state;
    tokenizer_fixture f;
    fixture_init(&f);
    gguf_builder *b = fixture_builder(&f);
    gguf_builder_add_str(b, "tokenizer.chat_template", "{{ messages }}");
    pm_tokenizer *t = NULL;
    pm_error err;
    assert_int_equal(fixture_open_builder(b, NULL, &t, &err), PM_OK);
    assert_int_equal(pm_tokenizer_n_tokens(t), FIXTURE_TOKENS);
    assert_int_equal(pm_tokenizer_bos(t), FIXTURE_IM_START);
    assert_int_equal(pm_tokenizer_eos(t), FIXTURE_IM_END);
    assert_int_equal(pm_tokenizer_eot(t), FIXTURE_IM_END);
    assert_int_equal(pm_tokenizer_unk(t), PM_NO_TOKEN);
    assert_int_equal(pm_tokenizer_pad(t), PM_NO_TOKEN);
    assert_false(pm_tokenizer_adds_bos(t));
    assert_string_equal(pm_tokenizer_plugin_name(t), "bpe");
    assert_string_equal(pm_tokenizer_chat_template(t), "{{ messages }}");
    assert_true(pm_tokenizer_is_special(t, FIXTURE_IM_END));
    assert_false(pm_tokenizer_is_special(t, FIXTURE_TOOL));
    assert_true(pm_tokenizer_is_end_of_generation(t, FIXTURE_END_OF_TEXT));
    assert_true(pm_tokenizer_is_end_of_generation(t, FIXTURE_IM_END));
    assert_false(pm_tokenizer_is_end_of_generation(t, FIXTURE_IM_START));
    assert_false(pm_tokenizer_is_special(t, -1));
    assert_false(pm_tokenizer_is_end_of_generation(t, FIXTURE_TOKENS));
    assert_int_equal(pm_tokenizer_find_special(t, "<|im_end|>"), FIXTURE_IM_END);
    assert_int_equal(pm_tokenizer_find_special(t, "he"), PM_NO_TOKEN);
    size_t size;
    assert_memory_equal(pm_tokenizer_token_bytes(t, 256 + 6, &size), " wor", 4);
    assert_int_equal(size, 4);
    assert_memory_equal(pm_tokenizer_token_bytes(t, 0, &size), "\0", 1);
    assert_int_equal(size, 1);
    assert_null(pm_tokenizer_token_bytes(t, FIXTURE_TOKENS, &size));
    pm_tokenizer_close(t);
}

static void test_defaults(void **state)
{
    (void)state;
    tokenizer_fixture f;
    fixture_init(&f);
    f.pre = "llama-bpe"; /* these add bos unless the file says otherwise */
    pm_tokenizer *t = open_good(&f);
    assert_true(pm_tokenizer_adds_bos(t));
    pm_tokenizer_close(t);
    f.add_bos = 0;
    t = open_good(&f);
    assert_false(pm_tokenizer_adds_bos(t));
    pm_tokenizer_close(t);
    f.n_types = 0; /* without kinds, the named ids are control tokens */
    t = open_good(&f);
    assert_true(pm_tokenizer_is_special(t, FIXTURE_IM_END));
    assert_false(pm_tokenizer_is_special(t, FIXTURE_END_OF_TEXT));
    pm_tokenizer_close(t);
}

typedef struct spoiled {
    const char *part; /* of the message */
    pm_status status;
    void (*spoil)(tokenizer_fixture *f);
} spoiled;

static void no_model(tokenizer_fixture *f)
{
    f->model = NULL;
}
static void odd_model(tokenizer_fixture *f)
{
    f->model = "rw\nkv";
}
static void odd_pre(tokenizer_fixture *f)
{
    f->pre = "no-such-pre";
}
static void no_tokens(tokenizer_fixture *f)
{
    f->n_tokens = 0;
}
static void few_types(tokenizer_fixture *f)
{
    f->n_types--;
}
static void many_types(tokenizer_fixture *f)
{
    f->n_types++;
}
static void type_out_of_range(tokenizer_fixture *f)
{
    f->types[7] = 9;
}
static void negative_type(tokenizer_fixture *f)
{
    f->types[7] = -1;
}
static void byte_badly_named(tokenizer_fixture *f)
{
    f->types[7] = PM_TOKEN_BYTE;
}
static void same_token_twice(tokenizer_fixture *f)
{
    f->tokens[258] = "he";
}
static void same_special_twice(tokenizer_fixture *f)
{
    f->tokens[FIXTURE_IM_END] = "<|im_start|>";
}
static void same_byte_twice(tokenizer_fixture *f)
{
    f->tokens[1] = f->tokens[2] = "<0x41>";
    f->types[1] = f->types[2] = PM_TOKEN_BYTE;
}
static void no_merges(tokenizer_fixture *f)
{
    f->n_merges = 0;
}
static void merge_of_one(tokenizer_fixture *f)
{
    f->merges[3] = "hello";
}
static void merge_ending_in_space(tokenizer_fixture *f)
{
    f->merges[3] = "hell ";
}
static void empty_merge(tokenizer_fixture *f)
{
    f->merges[3] = "";
}
static void merge_of_unknown(tokenizer_fixture *f)
{
    f->merges[3] = "hell ooo";
}
static void merge_to_unknown(tokenizer_fixture *f)
{
    f->merges[3] = "hell x";
}
static void merge_beyond_alphabet(tokenizer_fixture *f)
{
    f->merges[3] = "hell \xE4\xB8\x96";
}
static void merge_malformed(tokenizer_fixture *f)
{
    f->merges[3] = "hell \xFF";
}
static void bos_out_of_range(tokenizer_fixture *f)
{
    f->bos = FIXTURE_TOKENS;
}
static void eos_huge(tokenizer_fixture *f)
{
    f->eos = INT64_C(0x100000000);
}
static void bos_missing(tokenizer_fixture *f)
{
    f->bos = -1;
    f->add_bos = 1;
}
static void spm_without_scores(tokenizer_fixture *f)
{
    f->model = "llama";
}

static const spoiled spoiled_files[] = {
    {"'tokenizer.ggml.model' is missing", PM_ERR_NOT_FOUND, no_model},
    {"kind \"rw\\x0akv\" are not supported", PM_ERR_UNSUPPORTED, odd_model},
    {"pre-tokenizer \"no-such-pre\"", PM_ERR_UNSUPPORTED, odd_pre},
    {"'tokenizer.ggml.tokens' is missing", PM_ERR_FORMAT, no_tokens},
    {"but there are 267 tokens", PM_ERR_FORMAT, few_types},
    {"but there are 267 tokens", PM_ERR_FORMAT, many_types},
    {"token 7 has the unknown type 9", PM_ERR_FORMAT, type_out_of_range},
    {"token 7 has the unknown type -1", PM_ERR_FORMAT, negative_type},
    {"token 7 stands for a byte", PM_ERR_FORMAT, byte_badly_named},
    {"tokens 256 and 258 are the same", PM_ERR_FORMAT, same_token_twice},
    {"special tokens", PM_ERR_FORMAT, same_special_twice},
    {"both stand for the byte 0x41", PM_ERR_FORMAT, same_byte_twice},
    {"'tokenizer.ggml.merges' is missing", PM_ERR_FORMAT, no_merges},
    {"merge 3, \"hello\"", PM_ERR_FORMAT, merge_of_one},
    {"merge 3, \"hell \"", PM_ERR_FORMAT, merge_ending_in_space},
    {"merge 3, \"\"", PM_ERR_FORMAT, empty_merge},
    {"merge 3, \"hell ooo\"", PM_ERR_FORMAT, merge_of_unknown},
    {"merge 3, \"hell x\"", PM_ERR_FORMAT, merge_to_unknown},
    {"merge 3", PM_ERR_FORMAT, merge_beyond_alphabet},
    {"merge 3, \"hell \\xff\"", PM_ERR_FORMAT, merge_malformed},
    {"'tokenizer.ggml.bos_token_id' is 267", PM_ERR_FORMAT, bos_out_of_range},
    {"'tokenizer.ggml.eos_token_id' is 4294967296", PM_ERR_FORMAT, eos_huge},
    {"there is no bos token", PM_ERR_FORMAT, bos_missing},
    {"'tokenizer.ggml.scores' is missing", PM_ERR_FORMAT, spm_without_scores},
};

static void test_spoiled_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spoiled_files / sizeof spoiled_files[0]; i++) {
        tokenizer_fixture f;
        fixture_init(&f);
        spoiled_files[i].spoil(&f);
        check_refused(fixture_builder(&f), spoiled_files[i].status, spoiled_files[i].part);
    }
}

static void test_wrong_types_of_keys(void **state)
{
    (void)state;
    tokenizer_fixture f;
    fixture_init(&f);
    f.n_tokens = 0;
    gguf_builder *b = fixture_builder(&f);
    gguf_builder_add_str(b, "tokenizer.ggml.tokens", "one string");
    check_refused(b, PM_ERR_FORMAT, "'tokenizer.ggml.tokens' is not an array of the right type");
    fixture_init(&f);
    f.n_types = 0;
    b = fixture_builder(&f);
    gguf_builder_add_str_array(b, "tokenizer.ggml.token_type", f.tokens, f.n_tokens);
    check_refused(b, PM_ERR_FORMAT, "'tokenizer.ggml.token_type' is not an array");
    fixture_init(&f);
    f.n_merges = 0;
    b = fixture_builder(&f);
    gguf_builder_add_array(b, "tokenizer.ggml.merges", PM_GGUF_INT32, f.types, 3);
    check_refused(b, PM_ERR_FORMAT, "'tokenizer.ggml.merges' is not an array");
    fixture_init(&f);
    f.bos = -1;
    b = fixture_builder(&f);
    gguf_builder_add_str(b, "tokenizer.ggml.bos_token_id", "1");
    check_refused(b, PM_ERR_FORMAT, "tokenizer.ggml.bos_token_id");
    fixture_init(&f);
    f.pre = NULL;
    b = fixture_builder(&f);
    gguf_builder_add_u32(b, "tokenizer.ggml.pre", 1);
    check_refused(b, PM_ERR_FORMAT, "tokenizer.ggml.pre");
    fixture_init(&f);
    b = fixture_builder(&f);
    gguf_builder_add_u32(b, "tokenizer.huggingface.eos_token_ids", 1);
    check_refused(b, PM_ERR_FORMAT, "'tokenizer.huggingface.eos_token_ids' is not an array");
}

static void test_ends_of_answers(void **state)
{
    (void)state;
    static const int32_t ids[] = {FIXTURE_IM_START, 0}, beyond[] = {0, FIXTURE_TOKENS}, below[] = {-1};
    tokenizer_fixture f;
    fixture_init(&f);
    gguf_builder *b = fixture_builder(&f);
    gguf_builder_add_array(b, "tokenizer.huggingface.eos_token_ids", PM_GGUF_INT32, beyond, 2);
    check_refused(b, PM_ERR_FORMAT, "has an id that is no token's");
    fixture_init(&f);
    b = fixture_builder(&f);
    gguf_builder_add_array(b, "tokenizer.huggingface.eos_token_ids", PM_GGUF_INT32, below, 1);
    check_refused(b, PM_ERR_FORMAT, "has an id that is no token's");
    fixture_init(&f);
    b = fixture_builder(&f);
    gguf_builder_add_array(b, "tokenizer.huggingface.eos_token_ids", PM_GGUF_INT32, ids, 2);
    pm_tokenizer *t = NULL;
    pm_error err;
    assert_int_equal(fixture_open_builder(b, NULL, &t, &err), PM_OK);
    assert_true(pm_tokenizer_is_end_of_generation(t, FIXTURE_IM_START));
    assert_true(pm_tokenizer_is_end_of_generation(t, 0));
    assert_true(pm_tokenizer_is_end_of_generation(t, FIXTURE_END_OF_TEXT));
    assert_false(pm_tokenizer_is_end_of_generation(t, 1));
    pm_tokenizer_close(t);
}

static void test_score_that_is_no_number(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "a", "b", "ab"};
    static const int32_t types[] = {2, 3, 3, 1, 1, 1};
    float scores[] = {0, 0, 0, -1, -2, NAN};
    gguf_builder *b = gguf_builder_create(3);
    gguf_builder_add_str(b, "tokenizer.ggml.model", "llama");
    gguf_builder_add_str_array(b, "tokenizer.ggml.tokens", tokens, 6);
    gguf_builder_add_array(b, "tokenizer.ggml.token_type", PM_GGUF_INT32, types, 6);
    gguf_builder_add_array(b, "tokenizer.ggml.scores", PM_GGUF_FLOAT32, scores, 6);
    check_refused(b, PM_ERR_FORMAT, "score of token 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_empty_merges),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_spoiled_files),
        cmocka_unit_test(test_wrong_types_of_keys),
        cmocka_unit_test(test_ends_of_answers),
        cmocka_unit_test(test_score_that_is_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
