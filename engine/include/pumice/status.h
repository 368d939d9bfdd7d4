/* Status codes and the error record that every fallible function fills in.
 *
 * A pm_error lives with the caller (on its stack, usually) and never needs freeing. Pass NULL where only the
 * status matters. The message is one sentence a user can act on: what, where (file, tensor, byte offset), what to do.
 */
#ifndef PUMICE_STATUS_H
#define PUMICE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* The one list of errors: enumerator, short text. */
#define PM_STATUS_LIST(X)                                                                                         \
    X(PM_OK, "ok")                                                                                                \
    X(PM_ERR_ARGUMENT, "invalid argument")                                                                        \
    X(PM_ERR_IO, "input/output error")                                                                            \
    X(PM_ERR_FORMAT, "malformed data")                                                                            \
    X(PM_ERR_UNSUPPORTED, "not supported")                                                                        \
    X(PM_ERR_NOT_FOUND, "not found")                                                                              \
    X(PM_ERR_MEMORY, "out of memory")                                                                             \
    X(PM_ERR_DEVICE_MEMORY, "out of device memory")                                                               \
    X(PM_ERR_DEVICE_LOST, "device lost")                                                                          \
    X(PM_ERR_DEVICE, "device error")                                                                              \
    X(PM_ERR_LIMIT, "limit exceeded")                                                                             \
    X(PM_ERR_CANCELLED, "cancelled")                                                                              \
    X(PM_ERR_DIVERGED, "result differs from the reference")                                                       \
    X(PM_ERR_INTERNAL, "internal error")

typedef enum pm_status {
#define PM_STATUS_ENUM(name, text) name,
    PM_STATUS_LIST(PM_STATUS_ENUM)
#undef PM_STATUS_ENUM
    PM_STATUS_COUNT
} pm_status;

typedef struct pm_error {
    pm_status status;
    char message[512]; /* UTF-8, NUL-terminated, truncated if longer */
} pm_error;

/* The short text of a status ("out of memory"); "unknown status" for a value outside the list. Static storage. */
const char *pm_status_text(pm_status status);

#ifdef __cplusplus
}
#endif
#endif
