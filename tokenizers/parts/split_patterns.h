/* From the text of a regular expression to a hand-written scanner that cuts text where the expression would.
 *
 * Used by the Split and ByteLevel pre-tokenizers: ask for a scanner first, and take ICU where there is none. A
 * scanner equals its expression with leftmost, first-alternative matching in time linear in the text, for any
 * bytes: a byte that is not part of well-formed UTF-8 counts as one U+FFFD.
 *
 * A call cuts many pieces, so a caller's loop has no call per piece:
 *
 *     uint32_t ends[PM_SPLIT_BLOCK];
 *     for (size_t at = 0, begin = 0, k; (k = pm_split_scan(scanner, text, n, &at, ends, PM_SPLIT_BLOCK)) > 0;)
 *         for (size_t i = 0; i < k; begin = ends[i++] & ~PM_SPLIT_GAP)
 *             piece(text + begin, (ends[i] & ~PM_SPLIT_GAP) - begin, a match unless ends[i] & PM_SPLIT_GAP);
 *
 * Scanners that are complete never set PM_SPLIT_GAP. Pieces are never empty; together they are the whole text.
 */
#ifndef PUMICE_PARTS_SPLIT_PATTERNS_H
#define PUMICE_PARTS_SPLIT_PATTERNS_H

#include <stddef.h>
#include <stdint.h>

#include "parts/plugin_fail.h"

enum { PM_SPLIT_BLOCK = 256 }; /* a good number of ends to ask for at once */

#define PM_SPLIT_GAP UINT32_C(0x80000000) /* the piece lies between two matches */

/* What ByteLevel cuts by when use_regex is on. */
#define PM_SPLIT_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef struct pm_split_scanner pm_split_scanner; /* immutable: any number of threads may use it */

/* The scanner for an expression of n bytes, in any spelling that released tokenizers use: the GPT-2, cl100k and
 * LLaMA 3, o200k, tekken, Qwen, DeepSeek patterns, and any \s?[set]+, [set], [set]{1,3} (\p{N}{1,3}, [\r\n],
 * \s?\p{L}+, [\u4E00-\u9FA5]+ ...). *out is NULL where there is no scanner for it; that is no error.
 * Expressions mean what Oniguruma (Hugging Face's tokenizers) makes of them, but for those that are only found in
 * tiktoken (possessive quantifiers, \s++$), which mean what tiktoken makes of them. */
pm_plugin_code pm_split_scanner_create(const char *pattern, size_t n, pm_split_scanner **out,
                                       const pm_plugin_message *message);
void pm_split_scanner_destroy(pm_split_scanner *scanner); /* NULL is fine */

/* What the pre-tokenizer Whitespace cuts by: \w+|[^\w\s]+ with \w as in Rust, which is not Oniguruma's. */
pm_plugin_code pm_split_scanner_create_words(pm_split_scanner **out, const pm_plugin_message *message);

/* One scanner for a chain of n of them in which each stage cuts every piece, match or not, that the stage before
 * left (Splits that are Isolated): \p{N} and GPT-2's; the three of DeepSeek-V3. It is complete. *out is NULL where
 * there is none for the chain. The stages stay the caller's. */
pm_plugin_code pm_split_scanner_create_chain(const pm_split_scanner *const *stages, size_t n,
                                             pm_split_scanner **out, const pm_plugin_message *message);

/* 1: every character of any text belongs to a match. */
int pm_split_scanner_is_complete(const pm_split_scanner *scanner);

/* Cuts text[*at, n), a text of its own of at most INT32_MAX bytes: writes the ends of the next pieces, at most
 * `most` (at least 1), into ends, moves *at to the last of them and returns how many there are; 0 at the end. *at
 * is 0 at first, then what the call before left. */
size_t pm_split_scan(const pm_split_scanner *scanner, const char *text, size_t n, size_t *at, uint32_t *ends,
                     size_t most);

#endif
