/* What the files of the runtime share: the insides of a model and of a session, and the running of one pass. */
#ifndef PUMICE_RUNTIME_RUNTIME_H
#define PUMICE_RUNTIME_RUNTIME_H

#include "models/family.h"
#include "pumice/session.h"

struct pm_model {
    pm_device *device; /* borrowed */
    pm_gguf *file;
    pm_model_def *def;
    pm_weights *weights;
};

/* One graph compiled for one shape. */
typedef struct pm_session_plan {
    pm_graph_shape shape;
    pm_graph *graph;
    pm_graph_io io;
    pm_program *program;
} pm_session_plan;

/* Shapes are rounded up to buckets, so that few plans serve every prompt: see bucket_of in session_plan.c. */
enum { PM_SESSION_MAX_PLANS = 24, PM_SESSION_HISTORY = 1024 };

struct pm_session {
    pm_model *model;
    pm_session_options options; /* with the defaults filled in */
    pm_paging paging;           /* of a batch (batch.c); else all zero */
    pm_states *states;
    uint64_t state_bytes;
    int32_t n_past;
    uint64_t step_ns; /* what the last decode step took; 0: there was none */
    int32_t n_source; /* encoder-decoder: tokens of the source; 0: none yet */
    int32_t *tokens;  /* [n_ctx]: the timeline */
    int32_t *scratch; /* [8 * the most tokens of a pass]: the inputs of a pass, see pm_pass_inputs */
    int32_t n_plans;
    pm_session_plan plans[PM_SESSION_MAX_PLANS];
    struct pm_check *check; /* with options.check */
    struct pm_profiler *profiler; /* between pm_session_profile_begin and _end */
};

/* A session whose timeline is not used: what a batch runs its passes with. options.n_ctx: of each sequence. */
pm_status pm_session_create_paged(pm_model *model, const pm_session_options *options, const pm_paging *paging,
                                  pm_session **out, pm_error *err);

/* The number of tokens of a context that was not given: what the model was trained on, at most 4096. */
int32_t pm_session_default_ctx(const pm_model *model);
/* What all of a session's graphs have in common; one token and one output. */
pm_graph_shape pm_session_shape(const pm_session_options *options, const pm_paging *paging);

/* PM_ERR_ARGUMENT where a setting is outside its range. */
pm_status pm_sampling_check(const pm_sampling *sampling, pm_error *err);

/* A sampling's settings for the token behind the first n of a timeline, with the defaults filled in; n_history is
 * how many of the last tokens its repetition window has, 0 where the penalty is off. */
struct pm_row_sampling pm_sampling_settings(const pm_sampling *sampling, int32_t n);

/* PM_ERR_LIMIT where a session's KV cache would not fit beside the model's weights, which need not be loaded yet. */
pm_status pm_session_check_fit(pm_model *model, const pm_session_options *options, pm_error *err);

/* Bytes of the KV cache of a session with these options; paging all zero: one timeline. */
pm_status pm_session_cache_bytes(const pm_model *model, const pm_session_options *options, const pm_paging *paging,
                                 uint64_t *bytes, pm_error *err);

/* The parameters of a run after which the timeline has n tokens. */
void pm_session_params(int32_t n, int32_t n_tokens, int32_t n_outputs, const pm_sampling *sampling,
                       pm_run_params *params);

/* The tokens can be put at the end of the timeline. */
pm_status pm_session_check_tokens(const pm_session *session, const int32_t *tokens, size_t n, pm_error *err);

/* There is at least one token, and all are of the vocabulary. */
pm_status pm_session_check_ids(const pm_session *session, const int32_t *tokens, size_t n, pm_error *err);

/* The plan for a pass of shape->n_tokens with n_outputs rows, and its pass, head, sample and layers, compiled at
 * first use; the rest of the shape is the session's. */
pm_status pm_session_plan_get(pm_session *session, const pm_graph_shape *wanted, const pm_session_plan **out,
                              pm_error *err);
/* The plan that pm_session_next uses for a pass of n_tokens, or that of an encoder. */
pm_status pm_session_sampling_plan(pm_session *session, int32_t n_tokens, const pm_session_plan **plan,
                                   pm_error *err);
void pm_session_plans_free(pm_session *session);

/* The inputs of one pass, in the session's scratch; those that the plan's graph does not have are passed over. */
typedef struct pm_pass_inputs {
    const int32_t *tokens;
    int32_t *positions, *slots, *types, *spans, *source_spans, *rows;
    int32_t *places; /* in the place of spans */
} pm_pass_inputs;
pm_pass_inputs pm_session_inputs(pm_session *session);

/* Writes the inputs and runs the plan with the counts of params; result: where the rows of plan->io.result go, or
 * of plan->io.next where the plan samples; NULL: nowhere. */
pm_status pm_session_run(pm_session *session, const pm_session_plan *plan, const pm_pass_inputs *inputs,
                         const pm_run_params *params, void *result, size_t result_bytes, pm_error *err);

/* Reads what the layers of the plan's last run gave: layers[0 .. L][total][n_embd], rows from `first` on. */
pm_status pm_session_read_layers(pm_session *session, const pm_session_plan *plan, int32_t n_tokens, size_t first,
                                 size_t total, float *layers, pm_error *err);

/* The most tokens of one pass. */
int32_t pm_session_max_tokens(const pm_session *session);

/* The most rows of logits of one pass. */
int32_t pm_session_max_outputs(const pm_session *session);

/* Running a plan node by node, each compared with the reference: check.c. */
typedef struct pm_check pm_check;
pm_status pm_check_create(pm_check **out, pm_error *err);
void pm_check_destroy(pm_check *check); /* NULL is fine */
pm_status pm_check_run(pm_check *check, const pm_session *session, const pm_session_plan *plan,
                       const pm_run_params *params, const pm_run_options *options, pm_error *err);

/* Running a plan with its ops timed: profile.c. */
typedef struct pm_profiler pm_profiler;
void pm_profiler_destroy(pm_profiler *profiler); /* NULL is fine */
pm_status pm_profiler_run(pm_profiler *profiler, const pm_session *session, const pm_session_plan *plan,
                          const pm_run_params *params, const pm_run_options *options, pm_error *err);

#endif
