/* The table of pre-tokenizers that GGUF files name: see gguf_pre_tokenizers.h.
 *
 * Sources: the pre_tokenizer parts of the tokenizer.json files that the models were released with. A name stands here
 * only where its parts have been compared with the original on real vocabularies, or are those of a name that has.
 */
#include "gguf_pre_tokenizers.h"

#include <string.h>

/* clang-format off */
#define GPT2    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" \
                "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN2   "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" \
                "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER   "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER   "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(end) \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" end "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" end
#define SPACES  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define O200K   CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?") "|\\p{N}{1,3}" SPACES
#define TEKKEN  CASED("") "|\\p{N}" SPACES
#define DEEPSEEK3_WORDS \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" \
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
#define CJK_KANA       "[\344\270\200-\351\276\245\343\201\200-\343\202\237\343\202\240-\343\203\277]+"
#define CJK_AND_HANGUL "[\344\270\200-\351\276\245\340\240\200-\344\270\200\352\260\200-\355\237\277]+"
/* The cased letters that DeepSeek LLM's expression spells out. */
#define DEEPSEEK_LETTERS "\\s?[A-Za-z\302\265\303\200-\303\226\303\230-\303\266\303\270-\306\272\306\274-\306\277\307\204-\312\223" \
    "\312\225-\312\257\315\260-\315\263\315\266\315\267\315\273-\315\275\315\277\316\206\316\210-" \
    "\316\212\316\214\316\216-\316\241\316\243-\317\265\317\267-\322\201\322\212-\324\257\324\261" \
    "-\325\226\341\202\240-\341\203\205\341\216\240-\341\217\265\341\217\270-\341\217\275\341\262" \
    "\220-\341\262\272\341\262\275-\341\262\277\341\264\200-\341\264\253\341\265\253-\341\265\267" \
    "\341\265\271-\341\266\232\341\270\200-\341\274\225\341\274\230-\341\274\235\341\274\240-\341" \
    "\275\205\341\275\210-\341\275\215\341\275\220-\341\275\227\341\275\231\341\275\233\341\275\235" \
    "\341\275\237-\341\275\275\341\276\200-\341\276\264\341\276\266-\341\276\274\341\276\276\341\277" \
    "\202-\341\277\204\341\277\206-\341\277\214\341\277\220-\341\277\223\341\277\226-\341\277\233" \
    "\341\277\240-\341\277\254\341\277\262-\341\277\264\341\277\266-\341\277\274\342\204\202\342\204" \
    "\207\342\204\212-\342\204\223\342\204\225\342\204\231-\342\204\235\342\204\244\342\204\246\342" \
    "\204\250\342\204\252-\342\204\255\342\204\257-\342\204\264\342\204\271\342\204\274-\342\204\277" \
    "\342\205\205-\342\205\211\342\205\216\342\206\203\342\206\204\342\260\200-\342\261\273\342\261" \
    "\276-\342\263\244\342\263\253-\342\263\256\342\263\262\342\263\263\352\231\200-\352\231\255\352" \
    "\232\200-\352\232\233\352\234\242-\352\235\257\352\235\261-\352\236\207\352\236\213-\352\236" \
    "\216\352\255\260-\352\256\277\357\254\200-\357\254\206\357\254\223-\357\254\227\357\274\241-" \
    "\357\274\272\357\275\201-\357\275\232\360\220\220\200-\360\220\221\217\360\220\222\260-\360\220" \
    "\223\223\360\220\223\230-\360\220\223\273\360\220\262\200-\360\220\262\262\360\220\263\200-\360" \
    "\220\263\262\360\221\242\240-\360\221\243\237\360\236\244\200-\360\236\245\203]+"
#define DEEPSEEK_PUNCTUATION "\\s?[!-/:-~\357\274\201-\357\274\217\357\274\232-\357\275\236\342\200\230-\342\200\237\343\200\200-\343\200\202]+"
/* clang-format on */

static const pm_gguf_pre_tokenizer pre_tokenizers[] = {
    {.names = "gpt-2 phi-2 olmo mpt jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe gigachat "
              "a.x-4.0 mellum modern-bert jais trillion granite-docling",
     .use_regex = 1},
    {.names = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 lfm2 pixtral midm-2.0",
     .splits = {LLAMA3},
     .ignore_merges = 1,
     .adds_bos = 1},
    {.names = "dbrx smaug-bpe glm4 chatglm-bpe", .splits = {LLAMA3}},
    {.names = "qwen2", .splits = {QWEN2}, .normalizer = "NFC"},
    {.names = "deepseek-r1-qwen stablelm2 hunyuan megrez grok-2 solar-open", .splits = {QWEN2}},
    {.names = "smollm starcoder refact codeshell exaone minerva-7b mellum2", .single_digits = 1, .use_regex = 1},
    {.names = "command-r", .single_digits = 1, .use_regex = 1, .normalizer = "NFC"},
    {.names = "gpt-4o llama4 kanana2 minimax-m2", .splits = {O200K}},
    {.names = "tekken", .splits = {TEKKEN}, .ignore_merges = 1},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm", .splits = {"\\p{N}{1,3}", CJK_KANA, DEEPSEEK3_WORDS}},
    {.names = "deepseek-llm",
     .splits = {"[\r\n]", DEEPSEEK_LETTERS, DEEPSEEK_PUNCTUATION, "\\s+$", CJK_AND_HANGUL, "\\p{N}+"}},
    {.names = "deepseek-coder", .splits = {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK_AND_HANGUL, "\\p{N}"}},
    {.names = "default", .splits = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
};

static int is_in_list(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; *at;) {
        size_t word = strcspn(at, " ");
        if (word == length && memcmp(at, name, word) == 0)
            return 1;
        at += word + (at[word] == ' ');
    }
    return 0;
}

const pm_gguf_pre_tokenizer *pm_gguf_pre_tokenizer_find(const char *name)
{
    for (size_t i = 0; i < sizeof pre_tokenizers / sizeof pre_tokenizers[0]; i++)
        if (is_in_list(pre_tokenizers[i].names, name))
            return &pre_tokenizers[i];
    return NULL;
}

static int is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int cuts_alike(const pm_gguf_pre_tokenizer *a, const pm_gguf_pre_tokenizer *b)
{
    for (size_t i = 0; i < sizeof a->splits / sizeof a->splits[0]; i++)
        if (!is_same_text(a->splits[i], b->splits[i]))
            return 0;
    return !a->single_digits == !b->single_digits && !a->use_regex == !b->use_regex;
}

const pm_gguf_pre_tokenizer *pm_gguf_pre_tokenizer_match(const pm_gguf_pre_tokenizer *wanted)
{
    const pm_gguf_pre_tokenizer *nearest = NULL;
    int most = -1;
    for (size_t i = 0; i < sizeof pre_tokenizers / sizeof pre_tokenizers[0]; i++) {
        const pm_gguf_pre_tokenizer *one = &pre_tokenizers[i];
        if (!cuts_alike(one, wanted))
            continue;
        int likeness = is_same_text(one->normalizer, wanted->normalizer) +
                       (!one->ignore_merges == !wanted->ignore_merges);
        if (likeness > most) {
            most = likeness;
            nearest = one;
        }
    }
    return nearest;
}
