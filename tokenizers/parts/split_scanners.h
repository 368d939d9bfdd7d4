/* Hand-written scanners for the patterns that most byte-level vocabularies are made with. Each equals its regular
 * expression (given at its definition in split_scanners.c) with "leftmost, first alternative" matching, in linear
 * time. Which expression leads to which scanner: split_patterns.c. */
#ifndef PUMICE_PARTS_SPLIT_SCANNERS_H
#define PUMICE_PARTS_SPLIT_SCANNERS_H

#include <stddef.h>
#include <stdint.h>

/* Cuts text[*at, n) as pm_split_scan does. */
typedef size_t (*pm_block_scanner)(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);

size_t pm_scan_block_gpt2(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);

/* The cl100k family; numbers in groups of up to three, or single. */
size_t pm_scan_block_llama3(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);
size_t pm_scan_block_qwen2(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);
/* As tiktoken has it: white space at the end of the text is one piece, even with line breaks in it. */
size_t pm_scan_block_cl100k(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);
/* Qwen 3.5: marks belong to words. */
size_t pm_scan_block_qwen35(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);

size_t pm_scan_block_o200k(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);
size_t pm_scan_block_tekken(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);

/* The last of DeepSeek-V3's three; not complete: sets PM_SPLIT_GAP. */
size_t pm_scan_block_deepseek3(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);

/* \w+|[^\w\s]+ as Rust has it; not complete: white space lies between matches. */
size_t pm_scan_block_words(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);

/* Whole chains: each stage cuts what the stage before left. */
size_t pm_scan_block_digits_gpt2(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);
size_t pm_scan_block_deepseek3_chain(const unsigned char *text, size_t n, size_t *at, uint32_t *ends, size_t most);

#endif
