/* The cpu backend's own types: device, weights, states, and programs as lists of steps.
 *
 * A graph is lowered to steps (cpu_program.c). A step is a kernel over a number of items that are independent of
 * each other. Each thread of the pool has a run of them, which it takes in chunks that become smaller towards its
 * end, so that it reads its weights as one stream; then it takes from the runs of the others, so that a thread
 * that loses its core for a while holds up nobody. Steps that need nothing of each other form an epoch and run
 * into each other; an epoch begins when all items of the one before are done. It is also the unit of the memory
 * plan.
 */
#ifndef PUMICE_CPU_BACKEND_H
#define PUMICE_CPU_BACKEND_H

#include <stdatomic.h>

#include "backends/host_memory.h"
#include "backends/cpu/cpu_kernels.h"
#include "base/threads.h"
#include "ops/ops.h"

typedef struct pm_cpu_device {
    pm_device base;
    pm_threads *threads;
    const pm_cpu_kernels *kernels;
} pm_cpu_device;

typedef struct pm_cpu_weight {
    const void *host; /* in the model file */
    size_t n_bytes;
    const void *plain;    /* of plain F32 weights: the same, aligned */
    pm_cpu_panels panels; /* data NULL: there are none */
} pm_cpu_weight;

struct pm_weights {
    size_t n;
    pm_cpu_weight *list;
    void *panel_data, *plain_data;
    uint64_t bytes;
};

typedef struct pm_cpu_step pm_cpu_step;

/* What a kernel knows of the run and of the thread that it is on. */
typedef struct pm_cpu_context {
    const pm_cpu_kernels *kernels;
    const pm_run_params *params;
    int n_threads;
    float *scratch; /* this thread's, as large as the program's steps ask for */
} pm_cpu_context;

typedef struct pm_cpu_step_kind {
    const char *name;
    int64_t (*items)(const pm_cpu_step *step, const pm_cpu_context *context);
    void (*run)(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end);
    /* The least items that are worth taking; NULL: rows of some thousand values together. */
    int64_t (*grain)(const pm_cpu_step *step, const pm_cpu_context *context);
    size_t (*scratch)(const pm_cpu_step *step); /* floats; NULL: none */
} pm_cpu_step_kind;

enum { PM_CPU_STEP_READS = 8, PM_CPU_STEP_WRITES = 3, PM_CPU_ATTENTION_PARTS = 16, PM_CPU_MAX_RUNS = 16 };

/* The number of the pass in the upper half, a count in the lower: nobody has to set it back. */
typedef struct pm_cpu_counter {
    _Alignas(64) atomic_ullong value;
} pm_cpu_counter;

struct pm_cpu_step {
    const pm_cpu_step_kind *kind;
    const pm_node *node;
    const pm_node *fused; /* rope into the cache: the kv_store, of which `node` is the rope */
    int32_t node_index;   /* the last node that it does */
    int32_t epoch;
    int64_t k, made_k; /* row length of the quantised or packed activations that it reads, that it makes */
    /* Buffers by number: a tensor's storage by its id, then the program's own; -1: none. `made`: the result in 8
     * bits. */
    int32_t reads[PM_CPU_STEP_READS], writes[PM_CPU_STEP_WRITES], extra, made;
    /* Where they are. */
    const void *in[PM_MAX_INPUTS];
    void *out; /* NULL where only the quantised form is wanted and rows can be made one by one */
    pm_cpu_acts acts, made_acts;
    float *packed; /* read or made; of attention: room for parts */
    const pm_cpu_panels *panels;
    pm_cpu_counter *taken; /* [n_runs] items of each run of them */
    atomic_int *done;      /* of attention: parts finished, by kv head */
};

typedef struct pm_cpu_extra { /* a buffer of the program's own */
    size_t bytes;
    const pm_tensor *of; /* the activation that it is another form of; NULL: none */
    int64_t k;
} pm_cpu_extra;

struct pm_program {
    pm_cpu_device *device;
    const pm_graph *graph;
    const pm_weights *weights;
    pm_states *states;
    bool by_node;
    pm_cpu_step *steps;
    size_t n_steps, cap_steps;
    pm_cpu_extra *extras;
    size_t n_extras, cap_extras;
    pm_cpu_counter *counters; /* of the steps' items that are taken and the epochs' that are done */
    pm_cpu_counter *epochs;   /* [n_epochs] */
    int32_t n_epochs, n_runs; /* runs that a step's items are in: threads, up to PM_CPU_MAX_RUNS */
    uint32_t pass;            /* the number of the pass that runs */
    unsigned char **data;     /* by buffer number */
    unsigned char *arena;
    size_t arena_bytes;
    float *scratch;        /* of all threads */
    size_t scratch_floats; /* a thread */
    atomic_int *done;
    size_t n_done;
};

/* One kind of step for each op, in engine/backends/cpu/<op>_cpu.c, and those that no op has. */
#define PM_CPU_STEP_KIND(upper, lower) extern const pm_cpu_step_kind pm_cpu_step_##lower;
PM_OP_LIST(PM_CPU_STEP_KIND)
#undef PM_CPU_STEP_KIND
extern const pm_cpu_step_kind pm_cpu_step_quantize;   /* activations to 8 bits */
extern const pm_cpu_step_kind pm_cpu_step_pack;       /* activations to tiles for float weights */
extern const pm_cpu_step_kind pm_cpu_step_rope_store; /* rope whose result goes to the cache only */
extern const pm_cpu_step_kind pm_cpu_step_reference;  /* what has no kernel here: the reference kernel */

/* Panels of weights (cpu_panels.c). _describe fills in all but data and says whether matrix products with such a
 * weight have panels; _pack fills panels [begin, end) from rows in the file's layout. */
bool pm_cpu_panels_describe(pm_type type, int64_t k, int64_t n, pm_cpu_panels *out);
size_t pm_cpu_panels_bytes(const pm_cpu_panels *panels);
void pm_cpu_panels_pack(const pm_cpu_panels *panels, const void *rows, int64_t begin, int64_t end);

pm_status pm_cpu_weights_create(pm_device *device, const pm_weight *weights, size_t n, pm_progress_fn progress,
                                void *user, pm_weights **out, pm_error *err);
void pm_cpu_weights_destroy(pm_device *device, pm_weights *weights);

/* Programs: cpu_program.c makes them, cpu_lower.c lists their steps, cpu_run.c runs them. */
pm_status pm_cpu_program_create(pm_device *device, const pm_graph *graph, const pm_weights *weights,
                                pm_states *states, const pm_program_options *options, pm_program **out,
                                pm_error *err);
void pm_cpu_program_destroy(pm_device *device, pm_program *program);
pm_status pm_cpu_lower(pm_program *program, pm_error *err);
pm_status pm_cpu_program_run(pm_device *device, pm_program *program, const pm_run_params *params,
                             const pm_run_options *options, pm_error *err);
pm_status pm_cpu_measure(pm_device *device, pm_ceilings *out, pm_error *err);

/* Bytes of n rows of k quantised activations. */
size_t pm_cpu_acts_bytes(int64_t k, int64_t n);
/* Quantises n values, from value `first` of row t on, of what the step makes; both are multiples of 32. */
void pm_cpu_quantize_part(const pm_cpu_step *step, const pm_cpu_context *context, const float *x, int64_t t,
                          int64_t first, int64_t n);

/* A row of n floats into a KV cache of this type. */
void pm_cpu_store_row(const pm_cpu_context *context, pm_type type, const float *row, int64_t n, void *out);

static inline int64_t pm_cpu_clamp(int64_t index, int64_t n)
{
    return index < 0 ? 0 : index >= n ? n - 1 : index;
}

/* Items of steps that go row by row of their output. */
int64_t pm_cpu_rows_of_out(const pm_cpu_step *step, const pm_cpu_context *context);
int64_t pm_cpu_rows_of_in(const pm_cpu_step *step, const pm_cpu_context *context); /* one value out of each row */
int64_t pm_cpu_grain_one(const pm_cpu_step *step, const pm_cpu_context *context);

#endif
