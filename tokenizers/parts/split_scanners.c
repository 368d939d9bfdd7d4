/* Scanners for the families of patterns: see split_scanners.h.
 *
 * A family is one function, from the start of a match to its end, inlined with its options into a loop that cuts a
 * block of text.
 */
#include "parts/split_scanners.h"

#include "parts/split_patterns.h"
#include "parts/split_steps.h"

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
PM_STEP size_t gpt2_end(const unsigned char *text, size_t at, size_t end, pm_cut cut)
{
    size_t length;
    uint32_t bit = pm_look(text, at, end, &length, cut);
    size_t word = at;
    if (text[at] == ' ') {
        word = at + 1;
        bit = pm_look(text, word, end, &length, cut);
    } else if (text[at] == '\'') {
        size_t contraction = pm_step_contraction(text, at, end);
        if (contraction > 0)
            return at + contraction;
    }
    if (bit & PM_SET_LETTER)
        return pm_step_letters(text, word, end, PM_SET_LETTER, cut);
    if (bit & PM_SET_OTHER)
        return pm_step_run(text, word + length, end, PM_SET_OTHER, cut);
    if (cut == PM_CUT_NOTHING && (bit & PM_SET_NUMBER))
        return pm_step_run(text, word + length, end, PM_SET_NUMBER, cut);
    return pm_step_white_space(text, at, end, cut);
}

typedef struct llama3_options {
    unsigned digits;   /* \p{N}{1,digits} */
    uint32_t mark_set; /* what counts as a letter beside letters */
    int whole_end;     /* \s++$ comes before \s*[\r\n] */
} llama3_options;

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+ */
PM_STEP size_t llama3_end(const unsigned char *text, size_t at, size_t end, llama3_options options)
{
    const uint32_t letter = PM_SET_LETTER | options.mark_set;
    const uint32_t other = PM_SET_OTHER & ~options.mark_set;
    size_t length, next_length;
    uint32_t bit = pm_look(text, at, end, &length, PM_CUT_NOTHING);
    if (bit & letter)
        return pm_step_letters(text, at, end, letter, PM_CUT_NOTHING);
    if (bit & PM_SET_NUMBER)
        return pm_step_few(text, at + length, end, PM_SET_NUMBER, options.digits - 1);
    if (text[at] == '\'') {
        size_t contraction = pm_step_contraction_any_case(text, at, end);
        if (contraction > 0)
            return at + contraction;
    }
    uint32_t next = pm_look(text, at + length, end, &next_length, PM_CUT_NOTHING);
    if ((next & letter) && !(bit & PM_SET_LINE_BREAK))
        return pm_step_letters(text, at + length, end, letter, PM_CUT_NOTHING);
    if ((bit & other) || (text[at] == ' ' && (next & other)))
        return pm_step_breaks(text, pm_step_run(text, at + length, end, other, PM_CUT_NOTHING), end, 0);
    return pm_step_lines(text, at, end, options.whole_end, PM_CUT_NOTHING);
}

#define SET_UPPER (PM_SET(LU) | PM_SET(LT) | PM_SET(LM) | PM_SET(LO) | PM_SET_MARK)
#define SET_LOWER (PM_SET(LL) | PM_SET(LM) | PM_SET(LO) | PM_SET_MARK)

/* U*L+ at `at`, where U is SET_UPPER and L is SET_LOWER: its end, 0 where it does not match. *upper_end is the end
 * of U* alone. The run of U is given back only as far as its last character that is in L too; nothing in L follows
 * it. */
PM_STEP size_t upper_lower(const unsigned char *text, size_t at, size_t end, size_t *upper_end)
{
    size_t length, both_end = 0;
    uint32_t bit;
    for (;;) {
        size_t run = pm_step_kana_and_ideographs(text, at, end); /* which are in both */
        if (run > at)
            both_end = at = run;
        bit = pm_look(text, at, end, &length, PM_CUT_NOTHING);
        if (!(bit & SET_UPPER))
            break;
        at += length;
        if (bit & SET_LOWER)
            both_end = at;
    }
    *upper_end = at;
    return bit & SET_LOWER ? pm_step_lower(text, at, end, SET_LOWER, PM_CUT_NOTHING) : both_end;
}

typedef struct o200k_options {
    unsigned digits;
    int contractions; /* words end in (?i:'s|'t|'re|'ve|'m|'ll|'d)? */
} o200k_options;

/* [^\r\n\p{L}\p{N}]?U*L+|[^\r\n\p{L}\p{N}]?U+L* at `at`, whose character is in `bit`; 0 where there is no match.
 */
PM_STEP size_t o200k_word(const unsigned char *text, size_t at, size_t end, uint32_t bit, size_t length)
{
    int has_prefix = !(bit & (PM_SET_LETTER | PM_SET_NUMBER | PM_SET_LINE_BREAK));
    if (!has_prefix && !(bit & PM_SET_LETTER))
        return 0;
    size_t word = has_prefix ? at + length : at;
    size_t upper_end;
    size_t stop = upper_lower(text, word, end, &upper_end);
    if (stop > 0)
        return stop;
    /* The first alternative without its prefix: a mark is in L itself. */
    if (bit & PM_SET_MARK)
        return at + length;
    return upper_end > word ? upper_end : 0;
}

/* The words above, each with contractions; \p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
PM_STEP size_t o200k_end(const unsigned char *text, size_t at, size_t end, o200k_options options)
{
    size_t length, next_length;
    uint32_t bit = pm_look(text, at, end, &length, PM_CUT_NOTHING);
    size_t word = o200k_word(text, at, end, bit, length);
    if (word > 0) {
        if (options.contractions && word < end && text[word] == '\'')
            return word + pm_step_contraction_any_case(text, word, end);
        return word;
    }
    if (bit & PM_SET_NUMBER)
        return pm_step_few(text, at + length, end, PM_SET_NUMBER, options.digits - 1);
    if ((bit & PM_SET_OTHER) ||
        (text[at] == ' ' && (pm_look(text, at + 1, end, &next_length, PM_CUT_NOTHING) & PM_SET_OTHER)))
        return pm_step_breaks(text, pm_step_run(text, at + length, end, PM_SET_OTHER, PM_CUT_NOTHING), end, 1);
    return pm_step_lines(text, at, end, 0, PM_CUT_NOTHING);
}

/* [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+; `at` where nothing matches: a number or a control character without a word behind it.
 * (The first set is all of ASCII's punctuation and symbols.) */
PM_STEP size_t deepseek3_end(const unsigned char *text, size_t at, size_t end, pm_cut cut)
{
    const uint32_t word = PM_SET_LETTER | PM_SET_MARK;
    const uint32_t sign = PM_SET_PUNCTUATION | PM_SET_SYMBOL;
    size_t length, next_length;
    uint32_t bit = pm_look(text, at, end, &length, cut);
    if (bit & word)
        return pm_step_letters(text, at, end, word, cut);
    uint32_t next = pm_look(text, at + length, end, &next_length, cut);
    if (bit & sign) {
        size_t stop = at + length;
        if (text[at] < 0x80)
            while (stop < end && (unsigned)((text[stop] | 0x20) - 'a') < 26)
                stop++;
        if (stop > at + length)
            return stop;
        stop = pm_step_run(text, stop, end, sign, cut);
        return cut == PM_CUT_ALL_BUT_CJK ? stop : pm_step_breaks(text, stop, end, 0);
    }
    if ((next & word) && !(bit & PM_SET_LINE_BREAK))
        return pm_step_letters(text, at + length, end, word, cut);
    if (text[at] == ' ' && (next & sign))
        return pm_step_breaks(text, pm_step_run(text, at + 1, end, sign, cut), end, 0);
    return bit & PM_SET_SPACE ? pm_step_lines(text, at, end, 0, cut) : at;
}

/* ---- Blocks ---- */

#define BLOCK_SCANNER(name, match_end)                                                                            \
    size_t name(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most)                     \
    {                                                                                                             \
        size_t k = 0, begin = *at;                                                                                \
        while (k < most && begin < n) {                                                                           \
            begin = match_end;                                                                                    \
            ends[k++] = (uint32_t)begin;                                                                          \
        }                                                                                                         \
        *at = begin;                                                                                              \
        return k;                                                                                                 \
    }

#define LLAMA3(...) llama3_end(text, begin, n, (llama3_options){__VA_ARGS__})
#define O200K(...)  o200k_end(text, begin, n, (o200k_options){__VA_ARGS__})

BLOCK_SCANNER(pm_scan_block_gpt2, gpt2_end(text, begin, n, PM_CUT_NOTHING))
BLOCK_SCANNER(pm_scan_block_llama3, LLAMA3(.digits = 3))
BLOCK_SCANNER(pm_scan_block_qwen2, LLAMA3(.digits = 1))
BLOCK_SCANNER(pm_scan_block_cl100k, LLAMA3(.digits = 3, .whole_end = 1))
BLOCK_SCANNER(pm_scan_block_qwen35, LLAMA3(.digits = 1, .mark_set = PM_SET_MARK))
BLOCK_SCANNER(pm_scan_block_o200k, O200K(.digits = 3, .contractions = 1))
BLOCK_SCANNER(pm_scan_block_tekken, O200K(.digits = 1))

size_t pm_scan_block_deepseek3(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most)
{
    size_t k = 0, begin = *at;
    while (k < most && begin < n) {
        size_t start = begin, stop = begin, length;
        while (start < n && (stop = deepseek3_end(text, start, n, PM_CUT_NOTHING)) == start) {
            (void)pm_look(text, start, n, &length, PM_CUT_NOTHING);
            start += length;
        }
        if (start > begin)
            ends[k++] = (uint32_t)start | PM_SPLIT_GAP;
        if (start < n && k < most)
            ends[k++] = (uint32_t)(start = stop);
        begin = start;
    }
    *at = begin;
    return k;
}

/* ---- Chains ---- */

/* \p{N}, each match a piece, then GPT-2's expression on what is between. */
PM_STEP size_t digits_gpt2_end(const unsigned char *text, size_t at, size_t end)
{
    size_t length;
    if (pm_look(text, at, end, &length, PM_CUT_NUMBERS) & PM_SET_CUT)
        return at + length;
    return gpt2_end(text, at, end, PM_CUT_NUMBERS);
}

BLOCK_SCANNER(pm_scan_block_digits_gpt2, digits_gpt2_end(text, begin, n))

/* The next match of DeepSeek-V3's words, or what lies before it. */
PM_STEP size_t deepseek3_piece_end(const unsigned char *text, size_t at, size_t end, pm_cut cut)
{
    size_t length;
    size_t stop = deepseek3_end(text, at, end, cut);
    if (stop > at)
        return stop;
    while (!pm_is_end(pm_look(text, at, end, &length, cut), cut) && deepseek3_end(text, at, end, cut) == at)
        at += length;
    return at;
}

/* \p{N}{1,3}, then [\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+, then the words of DeepSeek-V3, which cut what the
 * second stage matched too. */
PM_STEP size_t deepseek3_chain_end(const unsigned char *text, size_t at, size_t end)
{
    size_t length;
    if (!(pm_look(text, at, end, &length, PM_CUT_NUMBERS_AND_CJK) & PM_SET_CUT))
        return deepseek3_piece_end(text, at, end, PM_CUT_NUMBERS_AND_CJK);
    if (pm_look(text, at, end, &length, PM_CUT_NOTHING) & PM_SET_NUMBER)
        return pm_step_few(text, at + length, end, PM_SET_NUMBER, 2);
    return deepseek3_piece_end(text, at, end, PM_CUT_ALL_BUT_CJK);
}

BLOCK_SCANNER(pm_scan_block_deepseek3_chain, deepseek3_chain_end(text, begin, n))

/* ---- Words ---- */

typedef enum word_part { PART_END, PART_WORD, PART_SPACE, PART_OTHER } word_part;

/* \w of Rust: Alphabetic, marks, decimal digits, connectors, joiners. Alphabetic is letters, letter numbers, and
 * the circled and squared letters, which are symbols. */
PM_STEP word_part look_word(const unsigned char *text, size_t at, size_t end, size_t *length)
{
    const uint32_t word = PM_SET_LETTER | PM_SET_MARK | PM_SET(ND) | PM_SET(NL) | PM_SET(PC);
    uint32_t bit = pm_look(text, at, end, length, PM_CUT_NOTHING);
    if (bit & word)
        return PART_WORD;
    if (bit & PM_SET_SPACE)
        return PART_SPACE;
    if (bit & (PM_SET(SO) | PM_SET(CF))) {
        uint32_t code = pm_read_multibyte(text + at, end - at).code;
        if ((code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
            (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189) || code == 0x200C ||
            code == 0x200D)
            return PART_WORD;
    }
    return bit ? PART_OTHER : PART_END;
}

size_t pm_scan_block_words(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most)
{
    size_t k = 0, begin = *at, length;
    while (k < most && begin < n) {
        word_part part = look_word(text, begin, n, &length);
        do {
            begin += length;
            while (part == PART_WORD && n - begin >= PM_ASCII_STEP) {
                size_t letters = pm_leading_letters(text + begin);
                begin += letters;
                if (letters < PM_ASCII_STEP)
                    break;
            }
        } while (look_word(text, begin, n, &length) == part);
        ends[k++] = (uint32_t)begin | (part == PART_SPACE ? PM_SPLIT_GAP : 0);
    }
    *at = begin;
    return k;
}
