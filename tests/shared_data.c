/* Finding shared data: see shared_data.h. */
#include "tests/shared_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *const shared_gguf_files[] = {
    "models/stories260k-f32.gguf",
    "tokenizers/ggml-vocab-bert-bge.gguf",
    "tokenizers/ggml-vocab-deepseek-coder.gguf",
    "tokenizers/ggml-vocab-deepseek-llm.gguf",
    "tokenizers/ggml-vocab-gpt-2.gguf",
    "tokenizers/ggml-vocab-llama-bpe.gguf",
    "tokenizers/ggml-vocab-llama-spm.gguf",
    "tokenizers/ggml-vocab-phi-3.gguf",
    "tokenizers/ggml-vocab-qwen2.gguf",
    NULL,
};

int shared_data_find(const char *relative, char *path, size_t capacity)
{
    snprintf(path, capacity, "%s/%s", PUMICE_SHARED_DATA, relative);
    if (access(path, R_OK) == 0)
        return 1;
    fprintf(stderr, "skip: %s is not there\n", path);
    if (getenv("PUMICE_REQUIRE_SHARED_DATA")) {
        fprintf(stderr, "FAILED: PUMICE_REQUIRE_SHARED_DATA is set, so it should be\n");
        exit(EXIT_FAILURE);
    }
    return 0;
}
