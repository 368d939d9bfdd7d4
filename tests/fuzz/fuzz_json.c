/* The libFuzzer target for JSON: any bytes are refused with a reason or read to the end, by the reader and by the
 * tree alike. */
#include <stdlib.h>
#include <string.h>

#include "parts/json_reader.h"
#include "parts/json_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads all events and undoes all escapes; 1 where the document is good. */
static int read_events(const char *text, size_t size)
{
    pm_json_reader reader;
    pm_json_event event;
    pm_json_reader_start(&reader, text, size);
    while ((event = pm_json_next(&reader)) != PM_JSON_EVENT_DONE && event != PM_JSON_EVENT_ERROR) {
        if (event != PM_JSON_EVENT_KEY && event != PM_JSON_EVENT_STRING)
            continue;
        char *plain = malloc(reader.n_string > 0 ? reader.n_string : 1);
        if (plain && pm_json_unescape(reader.string, reader.n_string, plain) > reader.n_string)
            abort();
        free(plain);
    }
    if (event == PM_JSON_EVENT_ERROR && !reader.error)
        abort();
    return event == PM_JSON_EVENT_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy: only malloc's end is guarded to the byte. */
    char *text = malloc(size > 0 ? size : 1), sentence[200] = "";
    if (!text)
        return 0;
    memcpy(text, data, size);
    pm_plugin_message message = {sentence, sizeof sentence};
    pm_json_tree *tree = NULL;
    int is_good = read_events(text, size);
    pm_plugin_code code = pm_json_tree_parse(text, size, &tree, &message);
    /* They agree, but for NULs in names, which only the tree refuses. */
    if ((code == PM_PLUGIN_OK) != (tree != NULL) || (code == PM_PLUGIN_OK && !is_good) ||
        (code == PM_PLUGIN_FORMAT && is_good && !strstr(sentence, "NUL")) ||
        (code != PM_PLUGIN_OK && !sentence[0]))
        abort();
    pm_json_tree_destroy(tree);
    free(text);
    return 0;
}
