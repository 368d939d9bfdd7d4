/* What a backend is: a table of functions over devices, weights, states and programs.
 *
 * A program is a graph compiled for one device together with the weights and states that it reads and writes; it runs
 * as a whole, or node by node when every node is to be checked. Opaque structs begin with the base structs below, so
 * that callers reach the functions through the device. Calls on one device come from one thread at a time.
 */
#ifndef PUMICE_BACKENDS_BACKEND_H
#define PUMICE_BACKENDS_BACKEND_H

#include "graph/graph.h"
#include "pumice/device.h"
#include "pumice/trace.h"

typedef struct pm_backend pm_backend;
typedef struct pm_weights pm_weights; /* the weights of a model, resident on a device, shared by its sessions */
typedef struct pm_states pm_states;   /* the states (KV caches) of a session */
typedef struct pm_program pm_program;

struct pm_device { /* every backend's device begins with this */
    const pm_backend *backend;
    pm_device_info info;
};

/* How the graphs of a model use a weight; a backend lays it out accordingly. */
enum { PM_USE_MATMUL = 1, PM_USE_EMBEDDING = 2, PM_USE_PLAIN = 4 /* norms, biases, tables: as it is, F32 */ };

typedef struct pm_weight {
    const char *name;
    pm_type type;
    int n_dims;
    int64_t dim[PM_MAX_DIMS];
    const void *data; /* host bytes in the file's layout; valid as long as the model */
    size_t n_bytes;
    unsigned uses;
    bool is_mapped; /* data lies in a mapped file: whoever has copied it elsewhere may call pm_mapped_drop */
} pm_weight;

typedef struct pm_state_desc {
    const char *name;
    pm_type type; /* F16 or F32 */
    int n_dims;
    int64_t dim[PM_MAX_DIMS];
    bool scattered; /* read in short pieces from all over, like the cache of many sequences: large pages pay */
} pm_state_desc;

/* Called as work goes on: done out of total bytes. Returning nonzero cancels (PM_ERR_CANCELLED). May be NULL. */
typedef int (*pm_progress_fn)(void *user, const char *what, uint64_t done, uint64_t total);

typedef struct pm_run_options {
    int32_t first_node, n_nodes;      /* the nodes to run; n_nodes 0: all from first_node on */
    pm_trace *trace;                  /* not NULL: write a span for each node */
    int (*should_stop)(void *user);   /* polled now and then, from any thread; nonzero: PM_ERR_CANCELLED. May be NULL */
    void *stop_user;
} pm_run_options;

/* How a program goes on by itself: what one run gives (`from`, an output of one I32) is the first element of the input
 * `token` in the next run, and element i of `history` (may be NULL) after run i of a series. */
typedef struct pm_feed {
    const pm_tensor *from, *token, *history;
} pm_feed;

typedef struct pm_program_options {
    bool by_node; /* it will be run node by node, with activations read in between: no storage is reused */
    pm_feed feed; /* from NULL: it will not be run in series */
} pm_program_options;

/* Runs of a program in a row, with nothing for the host to do in between: decode steps. */
enum { PM_SERIES_MOST = 16 };

typedef struct pm_series_input { /* an input that is not fed: data[n][size], its bytes in each run */
    const pm_tensor *tensor;
    const void *data;
    size_t size;
} pm_series_input;

typedef struct pm_series {
    int32_t n;                   /* runs: 1 .. PM_SERIES_MOST */
    const pm_run_params *params; /* [n] */
    const pm_series_input *inputs;
    size_t n_inputs;
    int32_t *results; /* [n]: what feed.from was after each run */
} pm_series;

struct pm_backend {
    const char *name;

    /* Appends this backend's devices to infos (room for cap) and sets *n to how many it added. */
    pm_status (*list)(pm_device_info *infos, size_t cap, size_t *n, pm_error *err);
    /* Opens device number `index` of list()'s order. */
    pm_status (*open)(const pm_device_options *options, size_t index, pm_device **out, pm_error *err);
    void (*close)(pm_device *device);

    /* Whether a node with this op, these types and optional inputs can be compiled; used by the fusion pass too. */
    bool (*supports)(const pm_device *device, const pm_node *node);

    /* slot i of the graphs' weights is weights[i]. */
    pm_status (*weights_create)(pm_device *device, const pm_weight *weights, size_t n, pm_progress_fn progress,
                                void *user, pm_weights **out, pm_error *err);
    void (*weights_destroy)(pm_device *device, pm_weights *weights);
    uint64_t (*weights_bytes)(const pm_weights *weights); /* memory they take on the device */

    /* slot i of the graphs' states is descs[i]; all zero at first. */
    pm_status (*states_create)(pm_device *device, const pm_state_desc *descs, size_t n, pm_states **out, pm_error *err);
    void (*states_destroy)(pm_device *device, pm_states *states);

    /* The graph must outlive the program; weights and states too. */
    pm_status (*program_create)(pm_device *device, const pm_graph *graph, const pm_weights *weights, pm_states *states,
                                const pm_program_options *options, pm_program **out, pm_error *err);
    void (*program_destroy)(pm_device *device, pm_program *program);
    pm_status (*program_run)(pm_device *device, pm_program *program, const pm_run_params *params,
                             const pm_run_options *options, pm_error *err);
    /* Runs a program with a feed several times in a row; the fed inputs of the first run are as tensor_write left them,
     * history's elements from 0 on are overwritten. Neither traced nor by node. NULL: the device would not gain by it. */
    pm_status (*program_run_series)(pm_device *device, pm_program *program, const pm_series *series,
                                    const pm_run_options *options, pm_error *err);
    /* Writes `size` bytes at byte `offset` of an input, or of a state (tests do); reads them from any tensor but a
     * weight, in the tensor's own type. Reading an activation that is no output needs a by_node program. */
    pm_status (*tensor_write)(pm_device *device, pm_program *program, const pm_tensor *tensor, size_t offset,
                              const void *data, size_t size, pm_error *err);
    pm_status (*tensor_read)(pm_device *device, pm_program *program, const pm_tensor *tensor, size_t offset, void *data,
                             size_t size, pm_error *err);

    /* Text for --explain: one line a launch (node, kernel variant and why, grid, buffers), appended by calling put. */
    void (*explain)(const pm_device *device, const pm_program *program, void (*put)(void *user, const char *line),
                    void *user);
    /* Measures the ceilings of the device; NULL: there is nothing worth measuring. */
    pm_status (*measure)(pm_device *device, pm_ceilings *out, pm_error *err);
    /* Bytes that a program holds on the device beside weights and states. */
    uint64_t (*program_bytes)(const pm_program *program);
};

extern const pm_backend pm_backend_reference;
extern const pm_backend pm_backend_cpu;
#ifdef PUMICE_VULKAN
extern const pm_backend pm_backend_vulkan;
#endif

#endif
