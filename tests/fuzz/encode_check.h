/* Text through tokenizers of every make: what the fuzzers of encoding and decoding share.
 *
 * The first bytes of an input choose a tokenizer (model, normaliser, pre-tokenizer, added tokens), which is made once and
 * kept; the rest is text, and ids to decode.
 */
#ifndef PUMICE_TESTS_ENCODE_CHECK_H
#define PUMICE_TESTS_ENCODE_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* 1 where everything is as it should be; 0 after saying on standard error what is not. */
int encode_check(const uint8_t *bytes, size_t size);

/* The tokenizers that were made are closed. */
void encode_check_end(void);

/* How many of the checks so far went all the way: texts that were encoded, and those that came back to the byte. */
extern size_t encode_check_n_encoded, encode_check_n_lossless;

#endif
