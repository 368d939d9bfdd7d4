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
    pm_states *states;
    int32_t n_past;
    int32_t *tokens;    /* [n_ctx]: the timeline */
    int32_t *positions; /* [n_batch]: scratch for the input of a pass */
    int32_t *rows;      /* [n_batch]: likewise */
    int32_t n_plans;
    pm_session_plan plans[PM_SESSION_MAX_PLANS];
    struct pm_check *check; /* with options.check */
};

/* The plan for a pass of n_tokens with n_outputs rows of logits, compiled at first use. */
pm_status pm_session_plan_get(pm_session *session, int32_t n_tokens, int32_t n_outputs, bool sample,
                              const pm_session_plan **out, pm_error *err);
void pm_session_plans_free(pm_session *session);

/* The most rows of logits of one pass. */
int32_t pm_session_max_outputs(const pm_session *session);

/* Running a plan node by node, each compared with the reference: check.c. */
typedef struct pm_check pm_check;
pm_status pm_check_create(pm_check **out, pm_error *err);
void pm_check_destroy(pm_check *check); /* NULL is fine */
pm_status pm_check_run(pm_check *check, const pm_session *session, const pm_session_plan *plan,
                       const pm_run_params *params, const pm_run_options *options, pm_error *err);

#endif
