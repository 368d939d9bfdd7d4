/* Pre-tokenizers: cutting text into the pieces that a model sees one at a time.
 *
 * A splitter is a list of stages. Each stage looks for its pattern in every piece that the stage before left;
 * matches and the stretches between them become the pieces of the next stage (the "isolated" behaviour of Hugging
 * Face's Split). A stage sees its piece as a text of its own: nothing looks beyond the ends. Most patterns are
 * hand-written scanners and runs of one character set, all linear in the text; the rest are ICU regular
 * expressions.
 *
 * The splitter is immutable; what changes during a call lives in a pm_split_run.
 */
#ifndef PUMICE_PARTS_SPLITTER_H
#define PUMICE_PARTS_SPLITTER_H

#include "parts/plugin_fail.h"

typedef struct pm_splitter pm_splitter;
typedef struct pm_split_run pm_split_run;

/* Errors: PM_PLUGIN_UNSUPPORTED (a name that is not known: the message says so), PM_PLUGIN_FORMAT (a bad regular
 * expression). A spec with neither name nor patterns gives a splitter that leaves each text whole. */
pm_plugin_code pm_splitter_create(const pm_pretokenizer_spec *spec, pm_splitter **out,
                                  const pm_plugin_message *message);
void pm_splitter_destroy(pm_splitter *splitter);

/* The state of one call over one text, which must stay until pm_split_run_end. */
pm_plugin_code pm_split_run_begin(const pm_splitter *splitter, const char *text, size_t n_text, pm_split_run **out,
                                  const pm_plugin_message *message);
void pm_split_run_end(pm_split_run *run); /* NULL is fine */

/* Receives the pieces text[begin, end) in order; none is empty. Anything but PM_PLUGIN_OK ends the splitting. */
typedef pm_plugin_code (*pm_piece_sink)(void *context, size_t begin, size_t end);

/* Cuts text[begin, end) as a text of its own. */
pm_plugin_code pm_split(pm_split_run *run, size_t begin, size_t end, pm_piece_sink sink, void *context,
                        const pm_plugin_message *message);

#endif
