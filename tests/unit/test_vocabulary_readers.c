/* What the readers of vocabularies make of small files of each kind: entries, merges, ids, the pipeline; what they
 * refuse, and with which words; how files are recognised. Damage at random is for tests/fuzz. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parts/json_tree.h"
#include "pumice/tokenizer.h"
#include "tests/shared_data.h"
#include "vocabulary.h"

#define SPACE "\xE2\x96\x81" /* U+2581 */

/* ---- Helpers ---- */

static void read_text(pm_vocabulary *v, const char *text)
{
    pm_error err = {PM_OK, ""};
    assert_int_equal(pm_vocabulary_start(v, "some.json", &err), PM_OK);
    if (pm_vocabulary_read_hf(v, text, strlen(text), &err) != PM_OK)
        fail_msg("%s", err.message);
}

static void check_entry(const pm_vocabulary *v, size_t id, const char *bytes, pm_token_kind kind, unsigned flags)
{
    assert_true(id < v->spec.n_entries);
    const pm_vocab_entry *e = &v->spec.entries[id];
    if (e->n_bytes != strlen(bytes) || memcmp(e->bytes, bytes, e->n_bytes) != 0 || e->kind != kind ||
        e->flags != flags)
        fail_msg("entry %zu is %.*s, kind %u, flags %u", id, (int)e->n_bytes, e->bytes, e->kind, e->flags);
}

static void check_merge(const pm_vocabulary *v, size_t i, int32_t left, int32_t right, int32_t result)
{
    assert_true(i < v->spec.n_merges);
    assert_int_equal(v->spec.merges[i].left, left);
    assert_int_equal(v->spec.merges[i].right, right);
    assert_int_equal(v->spec.merges[i].result, result);
}

/* The pipeline as a tree, which the caller destroys. */
static pm_json_tree *pipeline_of(const pm_vocabulary *v)
{
    pm_json_tree *tree = NULL;
    char text[300] = "";
    pm_plugin_message message = {text, sizeof text};
    if (pm_json_tree_parse(v->spec.pipeline, v->spec.n_pipeline, &tree, &message) != PM_PLUGIN_OK)
        fail_msg("%s", text);
    return tree;
}

/* ---- tokenizer.json ---- */

#define HF_ADDED                                                                                                  \
    "\"added_tokens\":[{\"id\":7,\"content\":\"<|end|>\",\"special\":true,\"lstrip\":true,\"rstrip\":true},"      \
    "{\"id\":9,\"content\":\"to ol\",\"special\":false,\"normalized\":true,\"single_word\":true},"                \
    "{\"id\":5,\"content\":\"ab\",\"special\":false}]"
#define HF_PRE                                                                                                    \
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{\"type\":\"ByteLevel\"}]" \
    "}"
#define HF_OPTIONS "\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"ignore_merges\":true"
/* Tokens with escapes, in another spelling than the merges use; one that is not of the alphabet; a gap at 8. */
#define HF_VOCAB                                                                                                  \
    "\"vocab\":{\"a\":0,\"b\":1,\"\\u0120\":2,\"\\\"\":3,\"\\u00c3\\u00a9\":4,\"ab\":5,\"\xC4\xA0"                \
    "ab\":6,\"<|end|>\":7,\"\xE4\xB8\x96\":10}"
#define HF_MERGES "\"merges\":[\"a b\",[\"\xC4\xA0\",\"ab\"]]"
#define HF_POST                                                                                                   \
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}" \
    ","                                                                                                           \
    "{\"SpecialToken\":{\"id\":\"<|end|>\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{\"<|end|>\":{\"id\":" \
    "\"<|end|>\",\"ids\":[7],\"tokens\":[\"<|end|>\"]}}}"

static void check_document(const char *text)
{
    pm_vocabulary v;
    read_text(&v, text);
    assert_string_equal(v.spec.model, "bpe");
    assert_int_equal(v.spec.alphabet, PM_ALPHABET_BYTES);
    assert_int_equal(v.spec.n_entries, 11);
    check_entry(&v, 0, "a", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 2, " ", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 3, "\"", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 4, "\xC3\xA9", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 5, "ab", PM_TOKEN_USER_DEFINED, PM_TOKEN_IN_MODEL);
    check_entry(&v, 6, " ab", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 7, "<|end|>", PM_TOKEN_CONTROL, PM_TOKEN_IN_MODEL | PM_TOKEN_LSTRIP | PM_TOKEN_RSTRIP);
    check_entry(&v, 8, "", PM_TOKEN_UNUSED, 0);
    check_entry(&v, 9, "to ol", PM_TOKEN_USER_DEFINED, PM_TOKEN_NORMALIZED | PM_TOKEN_SINGLE_WORD);
    check_entry(&v, 10, "\xE4\xB8\x96", PM_TOKEN_UNUSED, 0);
    assert_int_equal(v.spec.n_merges, 2);
    check_merge(&v, 0, 0, 1, 5);
    check_merge(&v, 1, 2, 5, 6);
    assert_int_equal(v.spec.eos, 7);
    assert_int_equal(v.spec.bos, PM_NO_TOKEN);
    assert_int_equal(v.spec.flags, PM_SPEC_ADD_EOS);
    pm_json_tree *tree = pipeline_of(&v);
    const pm_json *root = pm_json_root(tree), *model = pm_json_member(root, "model");
    assert_true(pm_json_is(model, "type", "BPE"));
    assert_int_equal(pm_json_flag(model, "ignore_merges", 0), 1);
    assert_null(pm_json_member(model, "vocab"));
    assert_null(pm_json_member(model, "merges"));
    assert_null(pm_json_member(root, "added_tokens"));
    assert_true(pm_json_is(pm_json_member(root, "pre_tokenizer"), "type", "Sequence"));
    assert_true(pm_json_is(pm_json_member(root, "post_processor"), "type", "TemplateProcessing"));
    pm_json_tree_destroy(tree);
    pm_vocabulary_free(&v);
}

/* What stands where in the document makes no difference. */
static void hf_in_any_order(void **state)
{
    (void)state;
    check_document("{\"version\":\"1.0\"," HF_ADDED "," HF_PRE "," HF_POST ",\"model\":{" HF_OPTIONS "," HF_VOCAB
                   "," HF_MERGES "}}");
    check_document("{\"model\":{" HF_MERGES "," HF_VOCAB "," HF_OPTIONS "}," HF_POST "," HF_PRE "," HF_ADDED "}");
    check_document("{" HF_PRE ",\"model\":{" HF_VOCAB "," HF_MERGES "," HF_OPTIONS "}," HF_ADDED "," HF_POST "}");
    check_document(" {\n" HF_POST " ,\n" HF_PRE "\t, \"model\" : { " HF_MERGES " , " HF_OPTIONS "\r\n," HF_VOCAB
                   " } , " HF_ADDED "\n}\n");
}

static void hf_prefix_of_subwords(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"model\":{\"type\":\"BPE\",\"continuing_subword_prefix\":\"##\",\"vocab\":{\"a\":0,\"##b\":1,\"ab\":2},"
        "\"merges\":[\"a ##b\"]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"##b\":1,\"ab\":2,\"a##b\":3},\"merges\":[\"a ##b\"],"
        "\"continuing_subword_prefix\":\"##\"}}",
    };
    for (size_t i = 0; i < 2; i++) {
        pm_vocabulary v;
        read_text(&v, texts[i]);
        assert_int_equal(v.spec.n_merges, 1);
        check_merge(&v, 0, 0, 1, 2);
        pm_vocabulary_free(&v);
    }
}

static void hf_other_models(void **state)
{
    (void)state;
    pm_vocabulary v;
    read_text(&v,
              "{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"byte_fallback\":true,\"vocab\":[[\"<0x0A>\",-1],"
              "[\"<unk>\",0],[\"" SPACE "a\",-2.000000000000001]]}}");
    assert_string_equal(v.spec.model, "unigram");
    assert_int_equal(v.spec.unk, 1);
    check_entry(&v, 0, "<0x0A>", PM_TOKEN_BYTE, PM_TOKEN_IN_MODEL);
    assert_int_equal(v.spec.entries[0].byte, 10);
    assert_true(v.spec.entries[2].score == -2.000000000000001); /* in full: near ties depend on it */
    pm_vocabulary_free(&v);

    read_text(&v, "{\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",2],\"cls\":[\"[CLS]\",1]},"
                  "\"model\":{\"unk_token\":\"[UNK]\",\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0,"
                  "\"[CLS]\":1,\"[SEP]\":2,\"##a\":3}}}");
    assert_string_equal(v.spec.model, "wordpiece"); /* without a type, by what only WordPiece has */
    assert_int_equal(v.spec.unk, 0);
    assert_int_equal(v.spec.cls, 1);
    assert_int_equal(v.spec.sep, 2);
    assert_int_equal(v.spec.flags, PM_SPEC_ADD_BOS | PM_SPEC_ADD_EOS);
    pm_json_tree *tree = pipeline_of(&v);
    assert_true(pm_json_is(pm_json_member(pm_json_root(tree), "model"), "type", "WordPiece"));
    pm_json_tree_destroy(tree);
    pm_vocabulary_free(&v);

    read_text(&v, "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":1,\"word\":0}}}");
    assert_string_equal(v.spec.model, "wordpiece");
    assert_int_equal(v.spec.unk, 1);
    pm_vocabulary_free(&v);
}

static void hf_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        pm_status status;
        const char *said;
    } cases[] = {
        {"", PM_ERR_FORMAT, "byte 0"},
        {"[]", PM_ERR_FORMAT, "an object is expected at byte 0"},
        {"{}", PM_ERR_FORMAT, "there is no model in it"},
        {"{\"model\":null}", PM_ERR_FORMAT, "the model, an object"},
        {"{\"model\":{}}", PM_ERR_FORMAT, "no vocabulary"},
        {"{\"model\":{\"vocab\":{}}}", PM_ERR_FORMAT, "empty"},
        {"{\"model\":{\"type\":\"Magic\",\"vocab\":{\"a\":0}}}", PM_ERR_UNSUPPORTED, "'Magic'"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", PM_ERR_FORMAT, "no merges"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", PM_ERR_FORMAT, "of another"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}", PM_ERR_FORMAT,
         "tokens 0 and 1 are the same: \"a\""},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\\u0061\":1},\"merges\":[]}}", PM_ERR_FORMAT,
         "tokens 0 and 1"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0.5},\"merges\":[]}}", PM_ERR_FORMAT, "the id of a token"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", PM_ERR_FORMAT, "the id of a token"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999},\"merges\":[]}}", PM_ERR_FORMAT,
         "has the id 99999"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999},\"merges\":[]}}", PM_ERR_FORMAT,
         "99999999999"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", PM_ERR_FORMAT, "with a space"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", PM_ERR_FORMAT, "\"a a\""},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", PM_ERR_FORMAT, "a second"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[1]}}", PM_ERR_FORMAT,
         "a merge is expected"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]", PM_ERR_FORMAT, "ends too early"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}} x", PM_ERR_FORMAT, "something follows"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"b\"]]}}", PM_ERR_FORMAT, "the score"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":{\"a\":0}}}", PM_ERR_FORMAT, "array"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":7,\"vocab\":[[\"a\",0]]}}", PM_ERR_FORMAT, "unk_id"},
        {"{\"added_tokens\":[{\"content\":\"x\"}],\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}",
         PM_ERR_FORMAT, "no id"},
        {"{\"added_tokens\":[{\"id\":1e300,\"content\":\"x\"}],\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":"
         "0}}}",
         PM_ERR_FORMAT, "no id"},
        {"{\"added_tokens\":[{\"id\":0,\"content\":\"x\"}],\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}"
         "}",
         PM_ERR_FORMAT, "the id 0 of another"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pm_vocabulary v;
        pm_error err = {PM_OK, ""};
        assert_int_equal(pm_vocabulary_start(&v, "some.json", &err), PM_OK);
        pm_status status = pm_vocabulary_read_hf(&v, cases[i].text, strlen(cases[i].text), &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].said) || !strstr(err.message, "some.json"))
            fail_msg("%s: %d, %s", cases[i].text, status, err.message);
        pm_vocabulary_free(&v);
    }
}

/* ---- The other kinds ---- */

static void tiktoken_ranks(void **state)
{
    (void)state;
    static const char text[] = "IQ== 0\r\nISE= 1\n/w== 3\n\nYWJj 2";
    pm_vocabulary v;
    pm_error err = {PM_OK, ""};
    assert_int_equal(pm_vocabulary_start(&v, "r50k_base.tiktoken", &err), PM_OK);
    assert_int_equal(pm_vocabulary_read_tiktoken(&v, text, sizeof text - 1, "r50k_base", &err), PM_OK);
    assert_int_equal(v.spec.n_entries, 50257);
    check_entry(&v, 0, "!", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 1, "!!", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 2, "abc", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 3, "\xFF", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 4, "", PM_TOKEN_UNUSED, 0);
    check_entry(&v, 50256, "<|endoftext|>", PM_TOKEN_CONTROL, 0);
    assert_true(v.spec.entries[3].score == -3);
    assert_int_equal(v.spec.n_merges, 0);
    assert_int_equal(v.spec.eos, 50256);
    pm_vocabulary_free(&v);
}

static void tiktoken_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"IQ==", "line 1"},        {"IQ== x", "line 1"},          {"IQ== 0\nISE 1", "line 2"},
        {"IQ== -1", "line 1"},     {"====  1", "line 1"},         {"I=== 1", "line 1"},
        {"IQ== 99999999", "rank"}, {"IQ== 0\nIg== 0", "rank of"}, {"\xFF\xFF\xFF\xFF 0", "line 1"},
        {"==== 0", "line 1"},
    };
    pm_vocabulary v;
    pm_error err = {PM_OK, ""};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(pm_vocabulary_start(&v, "ranks", &err), PM_OK);
        assert_int_equal(
            pm_vocabulary_read_tiktoken(&v, cases[i].text, strlen(cases[i].text), "cl100k_base", &err),
            PM_ERR_FORMAT);
        if (!strstr(err.message, cases[i].said))
            fail_msg("%s: %s", cases[i].text, err.message);
        pm_vocabulary_free(&v);
    }
    assert_int_equal(pm_vocabulary_start(&v, "ranks", &err), PM_OK);
    assert_int_equal(pm_vocabulary_read_tiktoken(&v, "IQ== 0", 6, "unheard_of", &err), PM_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "o200k_base"));
    pm_vocabulary_free(&v);
}

static void word_list(void **state)
{
    (void)state;
    static const char text[] = "[PAD]\r\n[UNK]\n[CLS]\n[SEP]\nthe\n##s";
    static const char config_text[] = "{\"do_lower_case\":false,\"strip_accents\":true}";
    pm_vocabulary v;
    pm_error err = {PM_OK, ""};
    pm_json_tree *config = NULL;
    assert_int_equal(pm_json_tree_parse(config_text, sizeof config_text - 1, &config, NULL), PM_PLUGIN_OK);
    assert_int_equal(pm_vocabulary_start(&v, "vocab.txt", &err), PM_OK);
    assert_int_equal(pm_vocabulary_read_wordlist(&v, text, sizeof text - 1, pm_json_root(config), &err), PM_OK);
    assert_int_equal(v.spec.n_entries, 6);
    check_entry(&v, 0, "[PAD]", PM_TOKEN_CONTROL, PM_TOKEN_IN_MODEL);
    check_entry(&v, 4, "the", PM_TOKEN_NORMAL, 0);
    check_entry(&v, 5, "##s", PM_TOKEN_NORMAL, 0);
    assert_int_equal(v.spec.unk, 1);
    assert_int_equal(v.spec.cls, 2);
    assert_int_equal(v.spec.mask, PM_NO_TOKEN);
    pm_json_tree *tree = pipeline_of(&v);
    const pm_json *normalizer = pm_json_member(pm_json_root(tree), "normalizer");
    assert_int_equal(pm_json_flag(normalizer, "lowercase", 1), 0);
    assert_int_equal(pm_json_flag(normalizer, "strip_accents", 0), 1);
    assert_int_equal(pm_json_flag(normalizer, "handle_chinese_chars", 0), 1);
    pm_json_tree_destroy(tree);
    pm_json_tree_destroy(config);
    pm_vocabulary_free(&v);
    assert_int_equal(pm_vocabulary_start(&v, "vocab.txt", &err), PM_OK);
    assert_int_equal(pm_vocabulary_read_wordlist(&v, "a\nb\n", 4, NULL, &err), PM_ERR_FORMAT);
    assert_non_null(strstr(err.message, "[UNK]"));
    pm_vocabulary_free(&v);
}

/* A piece of a ModelProto: text, score as its four bytes, type. */
#define PIECE(n, n_text, text, score, type) "\x0A" n "\x0A" n_text text "\x15" score "\x18" type

static void sentencepiece_model(void **state)
{
    (void)state;
    static const char good[] =
        PIECE("\x0E", "\x05", "<unk>", "\0\0\0\0", "\x02") PIECE("\x0B", "\x02", "<>", "\0\0\0\0", "\x04")
            PIECE("\x0C", "\x03", SPACE, "\0\0\x80\xBF",
                  "\x01") "\x12\x02\x18\x02"          /* trainer: BPE */
                          "\x1A\x04\x18\x00\x20\x00"; /* normaliser: keeps spaces */
    pm_vocabulary v;
    pm_error err = {PM_OK, ""};
    assert_int_equal(pm_vocabulary_start(&v, "a.model", &err), PM_OK);
    if (pm_vocabulary_read_sentencepiece(&v, good, sizeof good - 1, NULL, &err) != PM_OK)
        fail_msg("%s", err.message);
    assert_string_equal(v.spec.model, "bpe");
    assert_int_equal(v.spec.n_entries, 3);
    assert_int_equal(v.spec.unk, 0);
    check_entry(&v, 0, "<unk>", PM_TOKEN_UNKNOWN, 0);
    check_entry(&v, 1, "<>", PM_TOKEN_USER_DEFINED, PM_TOKEN_NORMALIZED | PM_TOKEN_VERBATIM | PM_TOKEN_IN_MODEL);
    check_entry(&v, 2, SPACE, PM_TOKEN_NORMAL, 0);
    assert_true(v.spec.entries[2].score == -1);
    pm_json_tree *tree = pipeline_of(&v);
    const pm_json *normalizer = pm_json_member(pm_json_root(tree), "normalizer");
    assert_true(pm_json_is(normalizer, "type", "SentencePiece"));
    assert_int_equal(pm_json_flag(normalizer, "add_dummy_prefix", 1), 0);
    assert_int_equal(pm_json_flag(normalizer, "remove_extra_whitespaces", 1), 0);
    assert_int_equal(pm_json_flag(normalizer, "escape_whitespaces", 0), 1);
    assert_int_equal(pm_json_count(pm_json_member(normalizer, "user_defined_symbols")), 1);
    pm_json_tree_destroy(tree);
    pm_vocabulary_free(&v);
    /* Cut within a field it is refused; between fields it may be another good file. */
    for (size_t n = 0; n < sizeof good - 1; n++) {
        char *cut = malloc(n > 0 ? n : 1);
        assert_non_null(cut);
        memcpy(cut, good, n);
        assert_int_equal(pm_vocabulary_start(&v, "a.model", &err), PM_OK);
        pm_status status = pm_vocabulary_read_sentencepiece(&v, cut, n, NULL, &err);
        int at_field = n == 16 || n == 29 || n == 43 || n == 47;
        if ((status == PM_OK) != at_field)
            fail_msg("%zu bytes: %d", n, status);
        pm_vocabulary_free(&v);
        free(cut);
    }
}

/* ---- Files ---- */

static void write_text(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void remove_text(const char *directory, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_int_equal(remove(path), 0);
}

static pm_status open_path(const char *directory, const char *name, pm_vocabulary *v, pm_error *err)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s%s", directory, name ? "/" : "", name ? name : "");
    return pm_vocabulary_read_file(path, NULL, 0, v, err);
}

#define WORDS                                                                                                     \
    "{\"added_tokens\":[{\"id\":1,\"content\":\"<e>\",\"special\":true}],\"model\":{\"type\":\"WordLevel\","      \
    "\"vocab\":{\"a\":0}}}"

static void files_are_recognised_by_content(void **state)
{
    (void)state;
    char directory[] = "/tmp/pumice-readers-XXXXXX";
    pm_vocabulary v;
    pm_error err = {PM_OK, ""};
    assert_non_null(mkdtemp(directory));
    assert_int_equal(open_path(directory, NULL, &v, &err), PM_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "tokenizer.json"));
    pm_vocabulary_free(&v);
    assert_int_equal(open_path(directory, "nothing", &v, &err), PM_ERR_NOT_FOUND);
    pm_vocabulary_free(&v);

    write_text(directory, "words.gguf", WORDS);
    assert_int_equal(open_path(directory, "words.gguf", &v, &err), PM_OK);
    assert_string_equal(v.spec.model, "wordpiece");
    pm_vocabulary_free(&v);
    assert_int_equal(open_path(directory, NULL, &v, &err), PM_OK); /* the only such file */
    pm_vocabulary_free(&v);

    write_text(directory, "r50k_base", "IQ== 0\nIg== 1\n");
    assert_int_equal(open_path(directory, "r50k_base", &v, &err), PM_OK);
    assert_string_equal(v.spec.model, "bpe");
    pm_vocabulary_free(&v);
    const pm_plugin_setting encoding = {"encoding", "p50k_edit", 9};
    char path[512];
    snprintf(path, sizeof path, "%s/r50k_base", directory);
    assert_int_equal(pm_vocabulary_read_file(path, &encoding, 1, &v, &err), PM_OK);
    assert_int_equal(v.spec.n_entries, 50284);
    pm_vocabulary_free(&v);

    write_text(directory, "list", "[UNK]\na\n");
    assert_int_equal(open_path(directory, "list", &v, &err), PM_OK);
    pm_vocabulary_free(&v);
    write_text(directory, "list", "Dear reader,\n");
    assert_int_equal(open_path(directory, "list", &v, &err), PM_ERR_FORMAT);
    assert_non_null(strstr(err.message, "no tokenizer"));
    pm_vocabulary_free(&v);
    write_text(directory, "list", "");
    assert_int_equal(open_path(directory, "list", &v, &err), PM_ERR_FORMAT);
    pm_vocabulary_free(&v);

    remove_text(directory, "words.gguf");
    remove_text(directory, "r50k_base");
    remove_text(directory, "list");
    assert_int_equal(rmdir(directory), 0);
}

static void expect_end(const char *directory, int32_t id, int ends)
{
    pm_tokenizer *t;
    pm_error err = {PM_OK, ""};
    if (pm_tokenizer_open_file(directory, NULL, &t, &err) != PM_OK)
        fail_msg("%s", err.message);
    assert_int_equal(pm_tokenizer_is_end_of_generation(t, id), ends);
    pm_tokenizer_close(t);
}

/* What generation_config.json says ends an answer, config.json does not know of. */
static void ends_of_answers(void **state)
{
    (void)state;
    char directory[] = "/tmp/pumice-readers-XXXXXX";
    pm_vocabulary v;
    pm_error err = {PM_OK, ""};
    assert_non_null(mkdtemp(directory));
    write_text(directory, "tokenizer.json", WORDS);
    expect_end(directory, 0, 0);
    write_text(directory, "generation_config.json", "{\"bos_token_id\":1,\"eos_token_id\":0,\"top_p\":0.9}");
    assert_int_equal(open_path(directory, NULL, &v, &err), PM_OK);
    assert_int_equal(v.spec.bos, 1);
    assert_int_equal(v.spec.eos, 0);
    assert_int_equal(v.n_ends, 1); /* top_p, which stands behind it, is no id */
    pm_vocabulary_free(&v);
    expect_end(directory, 0, 1);
    write_text(directory, "config.json", "{\"eos_token_id\":1}");
    write_text(directory, "generation_config.json", "{\"eos_token_id\":[7,-1,\"x\",null,[0],1e300,0]}");
    assert_int_equal(open_path(directory, NULL, &v, &err), PM_OK);
    assert_int_equal(v.spec.eos, 1);
    assert_int_equal(v.n_ends, 2);
    assert_int_equal(v.ends[0], 0);
    assert_int_equal(v.ends[1], 1);
    pm_vocabulary_free(&v);
    expect_end(directory, 0, 1);
    write_text(directory, "generation_config.json", "[");
    assert_int_equal(open_path(directory, NULL, &v, &err), PM_ERR_FORMAT);
    assert_non_null(strstr(err.message, "generation_config.json"));
    pm_vocabulary_free(&v);
    remove_text(directory, "tokenizer.json");
    remove_text(directory, "config.json");
    remove_text(directory, "generation_config.json");
    assert_int_equal(rmdir(directory), 0);
}

static void files_beside(void **state)
{
    (void)state;
    char directory[] = "/tmp/pumice-readers-XXXXXX";
    pm_vocabulary v;
    pm_error err = {PM_OK, ""};
    assert_non_null(mkdtemp(directory));
    write_text(directory, "tokenizer.json", WORDS);
    write_text(directory, "config.json", "{\"eos_token_id\":[0,1],\"pad_token_id\":7}");
    assert_int_equal(open_path(directory, NULL, &v, &err), PM_OK);
    assert_int_equal(v.spec.eos, 0);
    assert_int_equal(v.n_ends, 2);
    assert_int_equal(v.ends[1], 1);
    assert_int_equal(v.spec.pad, PM_NO_TOKEN); /* there is no 7 */
    assert_null(v.chat_template);
    pm_vocabulary_free(&v);
    write_text(directory, "special_tokens_map.json", "{\"bos_token\":{\"content\":\"<e>\",\"lstrip\":false}}");
    write_text(directory, "tokenizer_config.json",
               "{\"eos_token\":\"<e>\",\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"T\"},{\"name\":"
               "\"default\","
               "\"template\":\"D\"}]}");
    assert_int_equal(open_path(directory, "tokenizer.json", &v, &err), PM_OK);
    assert_int_equal(v.spec.bos, 1);
    assert_int_equal(v.spec.eos, 1);
    assert_string_equal(v.chat_template, "D");
    pm_vocabulary_free(&v);
    write_text(directory, "chat_template.jinja", "J");
    assert_int_equal(open_path(directory, NULL, &v, &err), PM_OK);
    assert_string_equal(v.chat_template, "J");
    pm_vocabulary_free(&v);
    write_text(directory, "tokenizer_config.json", "{\"eos_token\":");
    assert_int_equal(open_path(directory, NULL, &v, &err), PM_ERR_FORMAT);
    assert_non_null(strstr(err.message, "tokenizer_config.json"));
    pm_vocabulary_free(&v);
    remove_text(directory, "tokenizer.json");
    remove_text(directory, "config.json");
    remove_text(directory, "special_tokens_map.json");
    remove_text(directory, "tokenizer_config.json");
    remove_text(directory, "chat_template.jinja");
    assert_int_equal(rmdir(directory), 0);
}

/* ---- Files that others made ---- */

static int open_shared(const char *name, pm_vocabulary *v)
{
    char path[1024];
    pm_error err = {PM_OK, ""};
    if (!shared_data_find(name, path, sizeof path))
        return 0;
    if (pm_vocabulary_read_file(path, NULL, 0, v, &err) != PM_OK)
        fail_msg("%s", err.message);
    pm_json_tree_destroy(pipeline_of(v));
    return 1;
}

static void released_files(void **state)
{
    (void)state;
    pm_vocabulary v;
    if (!open_shared("tokenizers/barthez-unigram.tokenizer.json", &v))
        skip();
    assert_int_equal(v.spec.n_entries, 50002);
    assert_int_equal(v.spec.n_merges, 114917);
    check_entry(&v, 0, "<s>", PM_TOKEN_CONTROL, PM_TOKEN_IN_MODEL);
    pm_vocabulary_free(&v);
    assert_true(open_shared("tokenizers/sentencepiece-unigram-ja.model", &v));
    assert_string_equal(v.spec.model, "unigram");
    assert_int_equal(v.spec.n_entries, 8000);
    assert_int_equal(v.spec.bos, 1);
    assert_int_equal(v.spec.eos, 2);
    pm_vocabulary_free(&v);
    assert_true(open_shared("tokenizers/ggml-vocab-bert-bge.gguf", &v));
    check_entry(&v, 1996, "the", PM_TOKEN_NORMAL, 0); /* written with a phantom space */
    check_entry(&v, 2015, "##s", PM_TOKEN_NORMAL, 0); /* written without a mark */
    assert_int_equal(v.spec.flags & PM_SPEC_ADD_BOS, PM_SPEC_ADD_BOS);
    pm_vocabulary_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hf_in_any_order),
        cmocka_unit_test(hf_prefix_of_subwords),
        cmocka_unit_test(hf_other_models),
        cmocka_unit_test(hf_refused),
        cmocka_unit_test(tiktoken_ranks),
        cmocka_unit_test(tiktoken_refused),
        cmocka_unit_test(word_list),
        cmocka_unit_test(sentencepiece_model),
        cmocka_unit_test(files_are_recognised_by_content),
        cmocka_unit_test(ends_of_answers),
        cmocka_unit_test(files_beside),
        cmocka_unit_test(released_files),
    };
    return cmocka_run_group_tests_name("vocabulary readers", tests, NULL, NULL);
}
