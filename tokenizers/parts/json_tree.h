/* A small JSON document as a tree: the description of a pipeline (not vocabularies, which are read as they pass by
 * with json_reader.h). The text is hostile: nesting is bounded, numbers and escapes are checked, strings are
 * UTF-8.
 */
#ifndef PUMICE_PARTS_JSON_TREE_H
#define PUMICE_PARTS_JSON_TREE_H

#include "parts/plugin_fail.h"

typedef enum pm_json_type {
    PM_JSON_NULL = 0,
    PM_JSON_FALSE,
    PM_JSON_TRUE,
    PM_JSON_NUMBER,
    PM_JSON_STRING,
    PM_JSON_ARRAY,
    PM_JSON_OBJECT
} pm_json_type;

typedef struct pm_json pm_json;
struct pm_json {
    pm_json_type type;
    const char *key; /* of a member of an object, NUL-terminated (and may hold NULs); otherwise NULL */
    size_t n_key;
    const char *string; /* STRING: escapes undone, NUL-terminated (and may hold NULs) */
    size_t n_string;
    double number;
    const pm_json *first; /* ARRAY, OBJECT: the first element; NULL: empty */
    const pm_json *next;  /* the next element of the same array or object */
};

typedef struct pm_json_tree pm_json_tree; /* owns everything that its values point to */

/* PM_PLUGIN_FORMAT with the byte offset in the message where the text is no JSON (RFC 8259). */
pm_plugin_code pm_json_tree_parse(const char *text, size_t n, pm_json_tree **out,
                                  const pm_plugin_message *message);
void pm_json_tree_destroy(pm_json_tree *tree); /* NULL is fine */
const pm_json *pm_json_root(const pm_json_tree *tree);

/* Members of an object; NULL and defaults where `object` is NULL, no object, or has no such member. A member that
 * is null counts as absent. Of members with the same key the last one counts. */
const pm_json *pm_json_member(const pm_json *object, const char *key);
const pm_json *pm_json_member_n(const pm_json *object, const char *key, size_t n); /* of any n bytes */
const char *pm_json_text(const pm_json *object, const char *key, const char *otherwise);
double pm_json_number(const pm_json *object, const char *key, double otherwise);
int pm_json_flag(const pm_json *object, const char *key, int otherwise);
int pm_json_is(const pm_json *object, const char *key, const char *text); /* member is this string */
size_t pm_json_count(const pm_json *array);

#endif
