/* Damaged vocabularies, 3,000 of them: each must be refused with a sentence, or give a tokenizer that works: ids
 * within its vocabulary, spans within the text, decoding without complaint. Run under sanitizers for the rest.
 *
 * usage: mutate_vocabulary [FILES [SEQUENCE]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/gguf_mutations.h"
#include "tests/shared_data.h"
#include "tests/tokenizer_fixture.h"

static int complain(const char *name, const char *what)
{
    fprintf(stderr, "%s: %s\n", name, what);
    return -1;
}

static int check_text(const pm_tokenizer *tokenizer, const char *name, const char *text, size_t size)
{
    pm_tokens tokens = {0};
    pm_error err = {PM_OK, ""};
    pm_encode_request request = {.text = text, .size = size, .with_spans = 1};
    request.flags = PM_ENCODE_PARSE_SPECIAL | PM_ENCODE_ADD_SPECIAL;
    if (pm_tokenizer_encode_request(tokenizer, &request, &tokens, &err) != PM_OK)
        return complain(name, err.message);
    int result = 1;
    for (size_t i = 0; i < tokens.n && result == 1; i++)
        if (tokens.ids[i] < 0 || (size_t)tokens.ids[i] >= pm_tokenizer_n_tokens(tokenizer) ||
            tokens.spans[i].begin > tokens.spans[i].end || tokens.spans[i].end > size)
            result = complain(name, "an id or a span is out of range");
    char *back = NULL;
    size_t n_back;
    if (pm_tokenizer_decode(tokenizer, tokens.ids, tokens.n, 0, &back, &n_back, &err) != PM_OK)
        result = complain(name, err.message);
    pm_text_free(back);
    pm_tokens_free(&tokens);
    return result;
}

static int check_file(const uint8_t *bytes, size_t size, const char *name, void *context)
{
    static const char text[] = "Hello world, it's 1234 \xE4\xB8\x96\xF0\x9F\x8C\x8B\xFF\0 <|im_end|></s>  \n x";
    pm_gguf *file = NULL;
    pm_tokenizer *tokenizer = NULL;
    pm_error err = {PM_OK, ""};
    (void)context;
    if (pm_gguf_open_memory(bytes, size, name, &file, &err) != PM_OK)
        return 0;
    int result = 0;
    if (pm_tokenizer_open_gguf(file, NULL, &tokenizer, &err) == PM_OK)
        result = check_text(tokenizer, name, text, sizeof text - 1);
    else if (!err.message[0] || err.status == PM_OK)
        result = complain(name, "refused without a reason");
    pm_tokenizer_close(tokenizer);
    pm_gguf_close(file);
    return result;
}

static void add_fixture(gguf_seeds *seeds)
{
    const char *path = PUMICE_BUILD_DIR "/mutate_vocabulary.tmp";
    tokenizer_fixture f;
    fixture_init(&f);
    gguf_builder *b = fixture_builder(&f);
    if (gguf_builder_write(b, path))
        gguf_seeds_add_file(seeds, "fixture", path);
    gguf_builder_destroy(b);
    remove(path);
}

int main(int argc, char **argv)
{
    uint32_t n_files = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 3000;
    uint64_t sequence = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    gguf_seeds seeds = {0};
    char stories[1024]; /* a SentencePiece vocabulary */
    add_fixture(&seeds);
    if (shared_data_find("models/stories260k-f32.gguf", stories, sizeof stories))
        gguf_seeds_add_file(&seeds, "stories", stories);
    mutation_report report = gguf_mutations_run(&seeds, sequence, n_files, check_file, NULL, PUMICE_BUILD_DIR);
    printf("%u damaged vocabularies refused, %u taken, %u defects\n", report.n_refused, report.n_taken,
           report.n_defects);
    gguf_seeds_destroy(&seeds);
    /* Were all refused or all taken, the damage would test nothing. */
    return report.n_defects > 0 || report.n_taken == 0 || report.n_refused == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
