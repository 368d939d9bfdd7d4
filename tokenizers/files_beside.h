/* What stands beside the file of a vocabulary in the directory of a released model: settings that are not in it.
 */
#ifndef PUMICE_FILES_BESIDE_H
#define PUMICE_FILES_BESIDE_H

#include "parts/json_tree.h"
#include "vocabulary.h"

/* Each is NULL where there is no such file. */
typedef struct pm_files_beside {
    pm_json_tree *tokenizer_config;   /* tokenizer_config.json */
    pm_json_tree *special_tokens_map; /* special_tokens_map.json */
    pm_json_tree *config;             /* config.json, the model's own */
    pm_json_tree *generation_config;  /* generation_config.json: how to write with it */
    pm_mapped_file chat_template;     /* chat_template.jinja */
} pm_files_beside;

/* Reads what there is in a directory; PM_ERR_FORMAT where it is malformed. Close it also after an error. */
pm_status pm_files_beside_open(const char *directory, pm_files_beside *out, pm_error *err);
void pm_files_beside_close(pm_files_beside *files);

/* Special ids and the chat template as these files say, where they say anything. */
pm_status pm_files_beside_apply(const pm_files_beside *files, pm_vocabulary *vocabulary, pm_error *err);

#endif
