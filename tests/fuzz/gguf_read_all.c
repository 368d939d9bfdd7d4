/* Reading all of a GGUF file and checking the reader's promises: see gguf_read_all.h. */
#include "tests/fuzz/gguf_read_all.h"

#include <stdio.h>
#include <string.h>

#include "pumice/gguf.h"

/* The work goes on through all promises, so that one report shows everything that is wrong with a file. */
typedef struct promises {
    const char *name;
    int n_broken;
    uint64_t sum; /* of the bytes read, so that no read is optimised away */
} promises;

static void promise(promises *p, int kept, const char *what, size_t index)
{
    if (kept)
        return;
    fprintf(stderr, "%s: broken promise at %zu: %s\n", p->name, index, what);
    p->n_broken++;
}

static void read_bytes(promises *p, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        p->sum += bytes[i];
}

static int is_float(pm_gguf_type type)
{
    return type == PM_GGUF_FLOAT32 || type == PM_GGUF_FLOAT64;
}

static void read_element(promises *p, const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index)
{
    int64_t number = 0;
    double real = 0.0;
    pm_str text = {0};
    pm_status as_number = pm_gguf_elem_i64(file, entry, index, &number, NULL);
    pm_status as_real = pm_gguf_elem_f64(file, entry, index, &real, NULL);
    pm_status as_text = pm_gguf_elem_str(file, entry, index, &text, NULL);
    int truth = 0;
    pm_status as_bool = pm_gguf_elem_bool(file, entry, index, &truth, NULL);
    int integer =
        entry->elem_type != PM_GGUF_BOOL && entry->elem_type != PM_GGUF_STRING && !is_float(entry->elem_type);
    promise(p,
            integer ? as_number == PM_OK || (as_number == PM_ERR_LIMIT && entry->elem_type == PM_GGUF_UINT64)
                    : as_number == PM_ERR_FORMAT,
            "an element as an integer", (size_t)index);
    promise(p, as_bool == (entry->elem_type == PM_GGUF_BOOL ? PM_OK : PM_ERR_FORMAT) && (truth == 0 || truth == 1),
            "an element as a bool", (size_t)index);
    promise(p, as_real == (is_float(entry->elem_type) ? PM_OK : PM_ERR_FORMAT), "an element as a float",
            (size_t)index);
    promise(p, as_text == (entry->elem_type == PM_GGUF_STRING ? PM_OK : PM_ERR_FORMAT), "an element as a string",
            (size_t)index);
    read_bytes(p, text.data, text.size);
    p->sum += (uint64_t)number + (real > 0.0);
}

static void read_scalar(promises *p, const pm_gguf *file, const char *key, const pm_gguf_entry *entry,
                        size_t index)
{
    int64_t number = 0;
    uint32_t narrow = 0;
    float real = 0.0f;
    int flag = 0;
    pm_str text = {0};
    int n_read = (pm_gguf_get_i64(file, key, &number, NULL) != PM_ERR_FORMAT) +
                 (pm_gguf_get_f32(file, key, &real, NULL) != PM_ERR_FORMAT) +
                 (pm_gguf_get_bool(file, key, &flag, NULL) != PM_ERR_FORMAT) +
                 (pm_gguf_get_str(file, key, &text, NULL) != PM_ERR_FORMAT);
    promise(p, n_read == (entry->type != PM_GGUF_ARRAY), "a scalar is of one kind, an array of none", index);
    promise(p, flag == 0 || flag == 1, "a bool is 0 or 1", index);
    pm_status fits = pm_gguf_get_u32(file, key, &narrow, NULL);
    promise(p, fits != PM_OK || narrow == number, "narrow and wide integers agree", index);
    read_bytes(p, text.data, text.size);
}

static void read_entries(promises *p, const pm_gguf *file)
{
    static const size_t max_key = 65535;
    char key[65536];
    for (size_t i = 0; i < pm_gguf_n_entries(file); i++) {
        const pm_gguf_entry *entry = pm_gguf_entry_at(file, i);
        promise(p, entry->key.size >= 1 && entry->key.size <= max_key, "length of a key", i);
        memcpy(key, entry->key.data, entry->key.size);
        key[entry->key.size] = '\0';
        promise(p, strlen(key) == entry->key.size, "no zero byte in a key", i);
        promise(p, pm_gguf_find(file, key) == entry, "an entry is found by its key", i);
        promise(p, strcmp(pm_gguf_type_name(entry->elem_type), "?") != 0, "a known type", i);
        promise(p, entry->file_offset < pm_gguf_file_size(file), "an offset inside the file", i);
        read_scalar(p, file, key, entry, i);
        if (entry->type != PM_GGUF_ARRAY)
            continue;
        for (uint64_t k = 0; k < entry->count; k++)
            read_element(p, file, entry, k);
        int64_t unused;
        promise(p, pm_gguf_elem_i64(file, entry, entry->count, &unused, NULL) == PM_ERR_LIMIT,
                "nothing past the end of an array", i);
    }
    promise(p, !pm_gguf_entry_at(file, pm_gguf_n_entries(file)), "no entry past the last", 0);
}

static void read_tensors(promises *p, const pm_gguf *file, const uint8_t *bytes, size_t size)
{
    char name[65];
    for (size_t i = 0; i < pm_gguf_n_tensors(file); i++) {
        const pm_gguf_tensor *t = pm_gguf_tensor_at(file, i);
        promise(p, t->name.size >= 1 && t->name.size < sizeof name, "length of a name", i);
        snprintf(name, sizeof name, "%.*s", (int)t->name.size, t->name.data);
        promise(p, pm_gguf_find_tensor(file, name) == t, "a tensor is found by its name", i);
        promise(p, t->n_dims >= 1 && t->n_dims <= 4, "1 to 4 dimensions", i);
        size_t n_bytes = pm_type_row_bytes(t->type, t->dim[0]);
        for (int d = 0; d < 4; d++)
            promise(p, t->dim[d] >= 1 && (d < t->n_dims || t->dim[d] == 1), "positive dimensions", i);
        promise(p, t->n_bytes == n_bytes * (size_t)(t->dim[1] * t->dim[2] * t->dim[3]), "size of the data", i);
        promise(p,
                t->data == bytes + t->file_offset && t->file_offset <= size && t->n_bytes <= size - t->file_offset,
                "data inside the file", i);
        promise(p, t->file_offset % pm_gguf_alignment(file) == 0, "aligned data", i);
        read_bytes(p, t->data, t->n_bytes);
    }
    promise(p, !pm_gguf_tensor_at(file, pm_gguf_n_tensors(file)), "no tensor past the last", 0);
}

static void check_message(promises *p, pm_status status, const pm_error *err)
{
    promise(p, err->status == status, "the error holds the returned status", 0);
    promise(p, strncmp(err->message, p->name, strlen(p->name)) == 0, "the message names the file", 0);
    promise(p, strstr(err->message, " at byte ") != NULL, "the message names the byte", 0);
    promise(p, status == PM_ERR_FORMAT || status == PM_ERR_UNSUPPORTED, "malformed or not supported, nothing else",
            0);
    if (p->n_broken > 0)
        fprintf(stderr, "%s: the message is \"%s\"\n", p->name, err->message);
}

read_verdict gguf_read_all(const uint8_t *bytes, size_t size, const char *name)
{
    promises p = {.name = name};
    pm_error err = {0};
    pm_gguf *file = NULL;
    pm_status status = pm_gguf_open_memory(bytes, size, name, &file, &err);
    if (status != PM_OK) {
        check_message(&p, status, &err);
        return p.n_broken > 0 ? READ_BROKEN : READ_REJECTED;
    }
    read_entries(&p, file);
    read_tensors(&p, file, bytes, size);
    pm_gguf_close(file);
    volatile uint64_t sink = p.sum;
    (void)sink;
    return p.n_broken > 0 ? READ_BROKEN : READ_ACCEPTED;
}
