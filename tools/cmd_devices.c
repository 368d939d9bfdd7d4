/* `pumice devices`: every device of this machine, and why those that cannot be used cannot. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "options.h"
#include "pumice/device.h"
#include "terminal.h"
#include "text.h"

typedef struct devices_options {
    int json;
} devices_options;

static const cli_option rows[] = {
    {.name = "json", .letter = 'j', .kind = CLI_FLAG, .offset = offsetof(devices_options, json),
     .help = "write one JSON document"},
};

/* The limits in the order of pm_device_limits: field, unit ("B" for bytes), what it is called in the table. */
#define LIMIT_LIST(X)                                                                                             \
    X(max_storage_buffer_range, "B", "storage buffer range")                                                     \
    X(max_allocation, "B", "allocation")                                                                         \
    X(max_shared_memory, "B", "shared memory")                                                                   \
    X(max_push_constants, "B", "push constants")                                                                 \
    X(max_storage_buffers, "", "storage buffers a stage")                                                        \
    X(max_workgroup_invocations, "", "workgroup invocations")                                                    \
    X(subgroup_size, "", "subgroup size")                                                                        \
    X(min_storage_alignment, "B", "storage alignment")

#define FEATURE_LIST(X)                                                                                           \
    X(subgroup_arithmetic)                                                                                        \
    X(storage_16bit)                                                                                              \
    X(storage_8bit)                                                                                               \
    X(float16)                                                                                                    \
    X(int8)                                                                                                       \
    X(integer_dot_product)                                                                                        \
    X(cooperative_matrix)                                                                                         \
    X(timestamps)

static int has_limits(const pm_device_info *info)
{
    return info->limits.max_storage_buffer_range > 0;
}

static json_t *tier_json(pm_tier tier)
{
    return tier == PM_TIER_BEST ? json_null() : json_sprintf("T%d", (int)tier - (int)PM_TIER_T0);
}

static json_t *limits_json(const pm_device_limits *limits)
{
    json_t *object = json_object();
#define ADD_LIMIT(field, unit, title) json_object_set_new(object, #field, json_integer((json_int_t)limits->field));
    LIMIT_LIST(ADD_LIMIT)
#undef ADD_LIMIT
    const uint32_t *size = limits->max_workgroup_size, *count = limits->max_workgroup_count;
    json_object_set_new(object, "max_workgroup_size",
                        json_pack("[I,I,I]", (json_int_t)size[0], (json_int_t)size[1], (json_int_t)size[2]));
    json_object_set_new(object, "max_workgroup_count",
                        json_pack("[I,I,I]", (json_int_t)count[0], (json_int_t)count[1], (json_int_t)count[2]));
#define ADD_FEATURE(field) json_object_set_new(object, #field, json_boolean(limits->field));
    FEATURE_LIST(ADD_FEATURE)
#undef ADD_FEATURE
    return object;
}

static json_t *device_json(const pm_device_info *info)
{
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string(info->name));
    json_object_set_new(object, "title", cli_json_text(info->title, strlen(info->title)));
    json_object_set_new(object, "driver", cli_json_text(info->driver, strlen(info->driver)));
    json_object_set_new(object, "api_version", json_string(info->api_version));
    json_object_set_new(object, "kind", json_string(pm_device_kind_name(info->kind)));
    json_object_set_new(object, "tier", tier_json(info->tier));
    json_object_set_new(object, "vendor_id", json_integer(info->vendor_id));
    json_object_set_new(object, "device_id", json_integer(info->device_id));
    json_object_set_new(object, "driver_version", json_integer(info->driver_version));
    json_object_set_new(object, "memory_total", json_integer((json_int_t)info->memory_total));
    json_object_set_new(object, "memory_free", json_integer((json_int_t)info->memory_free));
    json_object_set_new(object, "unified_memory", json_boolean(info->unified_memory));
    json_object_set_new(object, "usable", json_boolean(!info->unusable[0]));
    json_object_set_new(object, "unusable",
                        info->unusable[0] ? cli_json_text(info->unusable, strlen(info->unusable)) : json_null());
    json_object_set_new(object, "tuning",
                        info->tuning_file[0] ? json_pack("{s:o,s:I}", "file",
                                                         cli_json_text(info->tuning_file, strlen(info->tuning_file)),
                                                         "products", (json_int_t)info->n_tuned)
                                             : json_null());
    json_object_set_new(object, "limits", has_limits(info) ? limits_json(&info->limits) : json_null());
    return object;
}

static void print_memory(const pm_device_info *info)
{
    char total[32], available[32];
    if (info->memory_total == 0)
        return;
    printf("  memory    %s", cli_format_bytes((double)info->memory_total, total, sizeof total));
    if (info->memory_free)
        printf(", %s free", cli_format_bytes((double)info->memory_free, available, sizeof available));
    printf("%s\n", info->unified_memory ? ", shared with the host" : "");
}

static void print_limits(const pm_device_limits *limits)
{
    const char *before = "  limits    ";
    char text[32];
#define PRINT_LIMIT(field, unit, title)                                                                           \
    if (limits->field) {                                                                                          \
        if (unit[0])                                                                                              \
            cli_format_bytes((double)limits->field, text, sizeof text);                                           \
        else                                                                                                      \
            snprintf(text, sizeof text, "%" PRIu64, (uint64_t)limits->field);                                     \
        printf("%s%-24s %s\n", before, title, text);                                                              \
        before = "            ";                                                                                  \
    }
    LIMIT_LIST(PRINT_LIMIT)
#undef PRINT_LIMIT
    const uint32_t *size = limits->max_workgroup_size, *count = limits->max_workgroup_count;
    printf("%s%-24s %" PRIu32 " x %" PRIu32 " x %" PRIu32 "\n", before, "workgroup size", size[0], size[1], size[2]);
    printf("%s%-24s %" PRIu32 " x %" PRIu32 " x %" PRIu32 "\n", before, "workgroup count", count[0], count[1],
           count[2]);
    printf("  features ");
#define PRINT_FEATURE(field)                                                                                      \
    if (limits->field)                                                                                            \
        printf(" %s", #field);
    FEATURE_LIST(PRINT_FEATURE)
#undef PRINT_FEATURE
    putchar('\n');
}

static void print_device(const pm_device_info *info, int is_auto)
{
    printf("%s%s%s  %s%s\n", cli_bold(stdout), info->name, cli_plain(stdout), info->title,
           is_auto ? "  (what --device auto takes)" : "");
    if (info->unusable[0])
        printf("  unusable  %s\n", info->unusable);
    printf("  kind      %s\n", pm_device_kind_name(info->kind));
    if (info->tier != PM_TIER_BEST)
        printf("  tier      T%d\n", (int)info->tier - (int)PM_TIER_T0);
    if (info->driver[0])
        printf("  driver    %s\n", info->driver);
    if (info->api_version[0])
        printf("  vulkan    %s\n", info->api_version);
    print_memory(info);
    if (info->tuning_file[0])
        printf("  tuning    %" PRIu32 " product%s measured, %s\n", info->n_tuned, info->n_tuned == 1 ? "" : "s",
               info->tuning_file);
    if (has_limits(info))
        print_limits(&info->limits);
}

int cmd_devices(int argc, char **argv)
{
    devices_options options = {0};
    const cli_group group = {"Options", rows, CLI_COUNT(rows), &options};
    const cli_spec spec = {
        .command = "devices",
        .synopsis = "[--json]",
        .about = "Lists the devices that models can run on, best first: what --device takes, the capability tier, memory,\n"
                 "driver and limits; and of those that cannot be used, the reason.",
        .groups = &group,
        .n_groups = 1,
    };
    int n_arguments, status = cli_parse(&spec, argc, argv, &n_arguments);
    if (status >= 0)
        return status;

    pm_error err = {0};
    pm_device_info *list = NULL;
    size_t n = 0;
    if (pm_device_list(&list, &n, &err) != PM_OK)
        return cli_report("devices", &err);
    json_t *document = json_array();
    int auto_found = 0;
    for (size_t i = 0; i < n; i++) {
        int is_auto = !auto_found && !list[i].unusable[0];
        auto_found |= is_auto;
        if (options.json)
            json_array_append_new(document, device_json(&list[i]));
        else
            print_device(&list[i], is_auto);
    }
    pm_device_list_free(list);
    if (options.json)
        return cli_print_json("devices", document);
    json_decref(document);
    return CLI_OK;
}
