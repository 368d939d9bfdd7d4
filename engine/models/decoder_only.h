/* What decoder-only families share in reading their files and in their graphs. */
#ifndef PUMICE_MODELS_DECODER_ONLY_H
#define PUMICE_MODELS_DECODER_ONLY_H

#include "models/family.h"

/* An error where the number <architecture>.<suffix> is there and not 0: `what` is not run. */
pm_status pm_decoder_refuse(const pm_model_def *def, const char *suffix, const char *what, pm_error *err);

/* Layers, widths, heads and the context. */
pm_status pm_decoder_sizes(pm_model_def *def, pm_error *err);

/* How many values of a head RoPE turns: rope.dimension_count, or all. */
pm_status pm_decoder_rotary(const pm_model_def *def, int32_t *n_rot, pm_error *err);

/* No scaling; the base is rope.freq_base where pm_decoder_rope_scaling has read it. */
pm_rope_scaling pm_decoder_rope_default(const pm_model_def *def, int32_t n_rot);
pm_status pm_decoder_rope_scaling(const pm_model_def *def, pm_rope_scaling *scaling, pm_error *err);

/* The angles for up to four times the context that the model was trained on; sets n_ctx_max. */
pm_status pm_decoder_rope_table(pm_model_def *def, const pm_rope_scaling *scaling, const char *name, int32_t *slot,
                                pm_error *err);

/* W h (+ b) split into heads, [C, T] -> [D, n_heads, T], with an RMSNorm over each head unless norm is -1. */
pm_tensor *pm_decoder_heads(const pm_model_def *def, pm_graph *g, pm_tensor *h, int32_t weight, int32_t bias,
                            int32_t norm, int32_t n_heads, float eps);

/* The tail of the graph: hidden states or logits of `last`, softcap 0: as they are. */
void pm_decoder_outputs(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_tensor *last,
                        int32_t output, float softcap, pm_graph_io *io);

#endif
