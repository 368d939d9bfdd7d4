/* `pumice inspect`: metadata and tensors of a model file, and with --explain the plans that it compiles to. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "open_model.h"
#include "options.h"
#include "pumice/gguf.h"
#include "terminal.h"
#include "text.h"

enum { FEW_ELEMENTS = 8, EXPLAIN_TOKENS = 64, SHORT_TEXT = 200 };

typedef struct inspect_options {
    cli_engine_options engine;
    int json, full, explain, n_tokens;
} inspect_options;

static const cli_option rows[] = {
    {.name = "json", .letter = 'j', .kind = CLI_FLAG, .offset = offsetof(inspect_options, json),
     .help = "write one JSON document"},
    {.name = "full", .kind = CLI_FLAG, .offset = offsetof(inspect_options, full),
     .help = "show long arrays and texts whole"},
    {.name = "explain", .letter = 'e', .kind = CLI_FLAG, .offset = offsetof(inspect_options, explain),
     .help = "also show the compiled plans for one token and for many: ops, kernels and why, buffers"},
    {.name = "tokens", .kind = CLI_INT, .offset = offsetof(inspect_options, n_tokens), .value_name = "N", .min = 1,
     .max = 1 << 16, .help = "how many tokens `many` is (default: 64)"},
};

/* A scalar of the file, or an element of an array of it; NULL where the reader refuses it. */
static json_t *number_json(pm_gguf_type type, int64_t whole, double real)
{
    if (type == PM_GGUF_BOOL)
        return json_boolean(whole);
    if (type == PM_GGUF_FLOAT32 || type == PM_GGUF_FLOAT64)
        return json_real(real); /* NULL for infinities and NaN, which JSON does not have */
    return json_integer(whole);
}

static json_t *element_json(const pm_gguf *file, const pm_gguf_entry *entry, uint64_t index)
{
    pm_str text;
    int64_t whole = 0;
    double real = 0;
    int truth = 0;
    pm_status status;
    if (entry->elem_type == PM_GGUF_STRING) {
        status = pm_gguf_elem_str(file, entry, index, &text, NULL);
        return status == PM_OK ? cli_json_text(text.data, text.size) : NULL;
    }
    if (entry->elem_type == PM_GGUF_FLOAT32 || entry->elem_type == PM_GGUF_FLOAT64)
        status = pm_gguf_elem_f64(file, entry, index, &real, NULL);
    else if (entry->elem_type == PM_GGUF_BOOL) {
        status = pm_gguf_elem_bool(file, entry, index, &truth, NULL);
        whole = truth;
    } else
        status = pm_gguf_elem_i64(file, entry, index, &whole, NULL);
    return status == PM_OK ? number_json(entry->elem_type, whole, real) : NULL;
}

static json_t *scalar_json(const pm_gguf *file, const pm_gguf_entry *entry)
{
    pm_str text;
    int64_t whole = 0;
    int truth = 0;
    float real = 0;
    pm_status status;
    char *key = malloc(entry->key.size + 1);
    if (!key)
        return NULL;
    memcpy(key, entry->key.data, entry->key.size);
    key[entry->key.size] = '\0';
    json_t *value = NULL;
    if (entry->type == PM_GGUF_STRING) {
        if (pm_gguf_get_str(file, key, &text, NULL) == PM_OK)
            value = cli_json_text(text.data, text.size);
    } else {
        if (entry->type == PM_GGUF_BOOL)
            status = pm_gguf_get_bool(file, key, &truth, NULL);
        else if (entry->type == PM_GGUF_FLOAT32 || entry->type == PM_GGUF_FLOAT64)
            status = pm_gguf_get_f32(file, key, &real, NULL);
        else
            status = pm_gguf_get_i64(file, key, &whole, NULL);
        if (status == PM_OK)
            value = number_json(entry->type, entry->type == PM_GGUF_BOOL ? truth : whole, (double)real);
    }
    free(key);
    return value;
}

/* A value, or the first elements of a long array unless `full`; null where JSON cannot say it. */
static json_t *value_json(const pm_gguf *file, const pm_gguf_entry *entry, int full)
{
    json_t *value;
    if (entry->type == PM_GGUF_ARRAY) {
        uint64_t n = full || entry->count < FEW_ELEMENTS ? entry->count : FEW_ELEMENTS;
        value = json_array();
        for (uint64_t i = 0; i < n; i++) {
            json_t *element = element_json(file, entry, i);
            json_array_append_new(value, element ? element : json_null());
        }
    } else {
        value = scalar_json(file, entry);
    }
    return value ? value : json_null();
}

static json_t *entry_json(const pm_gguf *file, const pm_gguf_entry *entry, int full)
{
    json_t *object = json_object();
    json_object_set_new(object, "key", cli_json_text(entry->key.data, entry->key.size));
    json_object_set_new(object, "type", json_string(pm_gguf_type_name(entry->type)));
    if (entry->type == PM_GGUF_ARRAY) {
        json_object_set_new(object, "elem_type", json_string(pm_gguf_type_name(entry->elem_type)));
        json_object_set_new(object, "count", json_integer((json_int_t)entry->count));
        json_object_set_new(object, "cut", json_boolean(!full && entry->count > FEW_ELEMENTS));
    }
    json_object_set_new(object, "value", value_json(file, entry, full));
    return object;
}

static json_t *tensor_json(const pm_gguf_tensor *tensor)
{
    json_t *object = json_object(), *dims = json_array();
    json_object_set_new(object, "name", cli_json_text(tensor->name.data, tensor->name.size));
    json_object_set_new(object, "type", json_string(pm_type_name(tensor->type)));
    for (int i = 0; i < tensor->n_dims; i++)
        json_array_append_new(dims, json_integer((json_int_t)tensor->dim[i]));
    json_object_set_new(object, "dims", dims);
    json_object_set_new(object, "bytes", json_integer((json_int_t)tensor->n_bytes));
    json_object_set_new(object, "offset", json_integer((json_int_t)tensor->file_offset));
    return object;
}

static double count_weights(const pm_gguf *file)
{
    double n = 0;
    for (size_t i = 0; i < pm_gguf_n_tensors(file); i++) {
        const pm_gguf_tensor *t = pm_gguf_tensor_at(file, i);
        n += (double)t->dim[0] * (double)t->dim[1] * (double)t->dim[2] * (double)t->dim[3];
    }
    return n;
}

static json_t *file_json(const pm_gguf *file, int full)
{
    json_t *object = json_object(), *metadata = json_array(), *tensors = json_array();
    json_object_set_new(object, "path", cli_json_text(pm_gguf_path(file), strlen(pm_gguf_path(file))));
    json_object_set_new(object, "version", json_integer(pm_gguf_version(file)));
    json_object_set_new(object, "alignment", json_integer((json_int_t)pm_gguf_alignment(file)));
    json_object_set_new(object, "bytes", json_integer((json_int_t)pm_gguf_file_size(file)));
    json_object_set_new(object, "n_weights", json_integer((json_int_t)count_weights(file)));
    for (size_t i = 0; i < pm_gguf_n_entries(file); i++)
        json_array_append_new(metadata, entry_json(file, pm_gguf_entry_at(file, i), full));
    for (size_t i = 0; i < pm_gguf_n_tensors(file); i++)
        json_array_append_new(tensors, tensor_json(pm_gguf_tensor_at(file, i)));
    json_object_set_new(object, "metadata", metadata);
    json_object_set_new(object, "tensors", tensors);
    return object;
}

/* One value of the table: texts on one line, cut unless `full`. */
static void print_value(const json_t *value, int full)
{
    if (json_is_string(value)) {
        size_t size = json_string_length(value), n = full || size < SHORT_TEXT ? size : SHORT_TEXT;
        while (n < size && n > 0 && ((unsigned char)json_string_value(value)[n] & 0xC0) == 0x80)
            n--; /* cut between characters */
        cli_print_escaped(stdout, json_string_value(value), n);
        if (n < size)
            printf("... (%zu bytes)", size);
        return;
    }
    json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_REAL_PRECISION(7));
}

static void print_entry(const pm_gguf *file, const pm_gguf_entry *entry, int full)
{
    json_t *value = value_json(file, entry, full);
    fputs("  ", stdout);
    cli_print_escaped(stdout, entry->key.data, entry->key.size);
    if (entry->type == PM_GGUF_ARRAY)
        printf(" (%" PRIu64 " x %s)", entry->count, pm_gguf_type_name(entry->elem_type));
    fputs(" = ", stdout);
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            fputs(i ? ", " : "", stdout);
            print_value(json_array_get(value, i), full);
        }
        if (json_array_size(value) < entry->count)
            fputs(", ...", stdout);
    } else {
        print_value(value, full);
    }
    putchar('\n');
    json_decref(value);
}

static void print_tensor(const pm_gguf_tensor *tensor)
{
    char dims[96] = "", bytes[32];
    for (int i = 0; i < tensor->n_dims; i++) {
        size_t used = strlen(dims);
        snprintf(dims + used, sizeof dims - used, "%s%" PRId64, i ? " x " : "", tensor->dim[i]);
    }
    printf("  %-6s %-24s %12s  @%-12" PRIu64 " ", pm_type_name(tensor->type), dims,
           cli_format_bytes((double)tensor->n_bytes, bytes, sizeof bytes), tensor->file_offset);
    cli_print_escaped(stdout, tensor->name.data, tensor->name.size);
    putchar('\n');
}

static void print_file(const pm_gguf *file, int full)
{
    char bytes[32];
    printf("%s: GGUF version %" PRIu32 ", %s, alignment %" PRIu64 "\n", pm_gguf_path(file), pm_gguf_version(file),
           cli_format_bytes((double)pm_gguf_file_size(file), bytes, sizeof bytes), pm_gguf_alignment(file));
    printf("\n%zu metadata entries\n", pm_gguf_n_entries(file));
    for (size_t i = 0; i < pm_gguf_n_entries(file); i++)
        print_entry(file, pm_gguf_entry_at(file, i), full);
    printf("\n%zu tensors, %.4g million weights\n", pm_gguf_n_tensors(file), count_weights(file) / 1e6);
    for (size_t i = 0; i < pm_gguf_n_tensors(file); i++)
        print_tensor(pm_gguf_tensor_at(file, i));
}

static void print_plan_line(void *user, const char *line)
{
    (void)user;
    printf("  %s\n", line);
}

static void keep_plan_line(void *user, const char *line)
{
    json_array_append_new(user, cli_json_text(line, strlen(line)));
}

/* The plans for 1 and for n_tokens tokens, printed or put into `document`. */
static int explain(const inspect_options *options, json_t *document)
{
    cli_engine engine = {0};
    pm_error err = {0};
    int status = cli_engine_open(&engine, "inspect", &options->engine);
    if (status == CLI_OK)
        status = cli_engine_start(&engine);
    const int n_tokens[] = {1, options->n_tokens};
    json_t *plans = json_array();
    for (size_t i = 0; status == CLI_OK && i < CLI_COUNT(n_tokens) && (i == 0 || n_tokens[i] != 1); i++) {
        const char *device = pm_device_get_info(engine.device)->name;
        json_t *lines = json_array();
        if (!document)
            printf("\nplan for %d token%s on %s\n", n_tokens[i], n_tokens[i] == 1 ? "" : "s", device);
        if (pm_session_explain(engine.session, n_tokens[i], document ? keep_plan_line : print_plan_line, lines,
                               &err) != PM_OK)
            status = cli_report("inspect", &err);
        json_array_append_new(plans, json_pack("{s:s, s:i, s:o}", "device", device, "n_tokens", n_tokens[i], "lines",
                                               lines));
    }
    if (document)
        json_object_set(document, "plans", plans);
    json_decref(plans);
    return cli_engine_close(&engine, status);
}

int cmd_inspect(int argc, char **argv)
{
    inspect_options options = {.n_tokens = EXPLAIN_TOKENS};
    const cli_group groups[] = {
        {"Options", rows, CLI_COUNT(rows), &options},
        cli_file_group(&options.engine),
        cli_device_group(&options.engine),
        cli_session_group(&options.engine),
    };
    const cli_spec spec = {
        .command = "inspect",
        .synopsis = "[OPTION]... [FILE]",
        .about = "Shows the metadata and the tensors of a model file. With --explain, also puts the model on a device and\n"
                 "shows the plan that it is compiled to.",
        .examples = "  pumice inspect model.gguf\n"
                    "  pumice inspect --explain --device vulkan:0 --tokens 512 model.gguf",
        .groups = groups,
        .n_groups = CLI_COUNT(groups),
        .max_arguments = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;
    if (n_arguments == 1 && options.engine.model)
        return cli_usage(&spec, "two model files: '%s' and '%s'", options.engine.model, argv[0]);
    if (n_arguments == 1)
        options.engine.model = argv[0];

    char buffer[4096];
    pm_error err = {0};
    pm_gguf *file = NULL;
    const char *path = cli_choose_model("inspect", &options.engine, buffer, sizeof buffer);
    if (!path)
        return CLI_FAILURE;
    if (pm_model_read(path, &file, &err) != PM_OK)
        return cli_report("inspect", &err);
    json_t *document = options.json ? file_json(file, options.full) : NULL;
    if (!document)
        print_file(file, options.full);
    if (options.explain)
        status = explain(&options, document);
    else
        status = CLI_OK;
    pm_gguf_close(file);
    if (status == CLI_OK && options.json)
        return cli_print_json("inspect", document);
    json_decref(document);
    return status;
}
