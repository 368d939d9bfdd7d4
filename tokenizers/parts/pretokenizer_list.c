/* The table of known pre-tokenizers: see pretokenizer_list.h.
 *
 * Sources: the pre_tokenizer parts of the tokenizer.json files that the models were released with; the names are
 * the values of GGUF's tokenizer.ggml.pre that stand for them. A name is here only where its stages have been
 * compared with the original on real vocabularies, or are the same as those of a name that has.
 */
#include "parts/pretokenizer_list.h"

#include <string.h>

/* The cased letters that DeepSeek LLM's expression spells out. */
#define DEEPSEEK_LETTERS                                                                                                                                                                       \
    "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-"               \
    "Ὅὐ-ὗὙὛὝ\\u1F5F-\\u1F7D"                                                                                                                                                       \
    "ᾀ-ᾴᾶ-ᾼ\\u1FBEῂ-ῄῆ-ῌ\\u1FD0-\\u1FD3\\u1FD6-\\u1FDBῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\\u2126ℨ\\u212A-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-" \
    "ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿ"                                                                                                                                      \
    "ﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]"
#define DEEPSEEK_PUNCTUATION "[!-/\\:-~！-／：-～‘-‟\\u3000-。]"
#define CJK_AND_HANGUL       "[一-龥ࠀ-一가-퟿]"

#define SCAN(function)                                                                                            \
    {                                                                                                             \
        PM_STAGE_SCAN, function, NULL, 0, 0                                                                       \
    }
#define RUN(set)                                                                                                  \
    {                                                                                                             \
        PM_STAGE_RUN, NULL, set, 0, 0                                                                             \
    }
#define SINGLE(set)                                                                                               \
    {                                                                                                             \
        PM_STAGE_RUN, NULL, set, 1, 0                                                                             \
    }
#define SPACE_RUN(set)                                                                                            \
    {                                                                                                             \
        PM_STAGE_RUN, NULL, set, 0, 1                                                                             \
    }
#define TRAILING_WHITE_SPACE                                                                                      \
    {                                                                                                             \
        PM_STAGE_TRAILING, NULL, NULL, 0, 0                                                                       \
    }
#define REGEX(pattern)                                                                                            \
    {                                                                                                             \
        PM_STAGE_REGEX, NULL, pattern, 0, 0                                                                       \
    }

static const pm_pretokenizer pretokenizers[] = {
    {"gpt-2 phi-2 olmo mpt", {SCAN(pm_scan_gpt2)}},
    {"llama-bpe llama3 llama-v3", {SCAN(pm_scan_llama3)}},
    {"qwen2 deepseek-r1-qwen", {SCAN(pm_scan_qwen2)}},
    {"smollm starcoder refact codeshell exaone", {SINGLE("[\\p{N}]"), SCAN(pm_scan_gpt2)}},
    {"deepseek-llm",
     {SINGLE("[\\r\\n]"), SPACE_RUN(DEEPSEEK_LETTERS), SPACE_RUN(DEEPSEEK_PUNCTUATION), TRAILING_WHITE_SPACE,
      RUN(CJK_AND_HANGUL), RUN("[\\p{N}]")}},
    {"deepseek-coder",
     {SINGLE("[\\r\\n]"), SPACE_RUN("[\\p{L}]"), SPACE_RUN("[\\p{P}]"), RUN(CJK_AND_HANGUL), SINGLE("[\\p{N}]")}},
    {"default", {RUN("[\\p{P}\\$\\+<=>\\^~\\|]"), SCAN(pm_scan_gpt2), RUN("[\\p{N}]"), REGEX("[0-9][0-9][0-9]")}},
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

const pm_pretokenizer *pm_pretokenizer_find(const char *name)
{
    for (size_t i = 0; i < sizeof pretokenizers / sizeof pretokenizers[0]; i++)
        if (is_in_list(pretokenizers[i].names, name))
            return &pretokenizers[i];
    return NULL;
}
