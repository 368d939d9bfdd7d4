/* Finding, loading and checking plugins.
 *
 * Each handle is one dlopen of its own; the system counts them, so a plugin stays loaded exactly as long as
 * somebody holds a handle, and a file that has been replaced (by renaming) loads beside the old one. There is no
 * global list.
 */
#ifndef PUMICE_PLUGIN_LOADER_H
#define PUMICE_PLUGIN_LOADER_H

#include "pumice/plugin.h"
#include "pumice/status.h"

typedef struct pm_plugin_handle {
    void *library;
    const pm_plugin *plugin; /* valid until the unload */
    char *path;              /* the file that was loaded */
} pm_plugin_handle;

/* Loads a plugin by name or by file, as described at pm_tokenizer_options, and checks that it is one of this ABI
 * version and kind. `dirs` may be NULL. */
pm_status pm_plugin_load(const char *name, const char *dirs, pm_plugin_kind kind, pm_plugin_handle *out,
                         pm_error *err);
void pm_plugin_unload(pm_plugin_handle *handle); /* fine on one that is all zero */

/* Turns a plugin's code and message into a pm_error "CONTEXT: message"; PM_OK for PM_PLUGIN_OK. */
pm_status pm_plugin_error(pm_error *err, pm_plugin_code code, const char *context, const char *message);

#endif
