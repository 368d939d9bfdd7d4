/* The models for text that has been cut into words: WordPiece and WordLevel.
 *
 * WordPiece: a word is the longest token that it begins with, then the longest continuation (a token that begins
 * with continuing_subword_prefix, "##") that follows, and so on. Where none follows, and where the word is too
 * long, all of it is the unknown token. WordLevel: a word is a token, or unknown.
 *
 * Options of the models, as in tokenizer.json:
 *
 *   unk_token                  bytes of the unknown token; counts where the spec names none
 *   continuing_subword_prefix  "##"
 *   max_input_chars_per_word   100
 *
 * CONTROL, UNKNOWN and UNUSED tokens are not in the trie: text does not become them.
 */
#ifndef PUMICE_PLUGIN_WORDPIECE_H
#define PUMICE_PLUGIN_WORDPIECE_H

#include "parts/byte_trie.h"
#include "parts/token_model.h"

extern const pm_model_kind wordpiece_kind;
extern const pm_model_kind wordlevel_kind;

#endif
