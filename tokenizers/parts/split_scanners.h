/* Hand-written scanners for the patterns that most byte-level vocabularies are made with. Each equals its regular
 * expression (given at its definition) with "leftmost, first alternative" matching, in linear time; every
 * character belongs to a match. */
#ifndef PUMICE_PARTS_SPLIT_SCANNERS_H
#define PUMICE_PARTS_SPLIT_SCANNERS_H

#include <stddef.h>

/* The end of the match that starts at text[at], at < end. */
typedef size_t (*pm_scanner)(const char *text, size_t at, size_t end);

size_t pm_scan_gpt2(const char *text, size_t at, size_t end);
size_t pm_scan_llama3(const char *text, size_t at, size_t end); /* numbers in groups of up to three */
size_t pm_scan_qwen2(const char *text, size_t at, size_t end);  /* the same with single digits */

#endif
