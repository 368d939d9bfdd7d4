/* The document of bench_run as a table for people. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "terminal.h"

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static void print_rates(const json_t *device)
{
    size_t index;
    json_t *rate;
    json_array_foreach(json_object_get(device, "rates"), index, rate)
    {
        const json_t *samples = json_object_get(rate, "samples");
        double low = 0, high = 0;
        for (size_t i = 0; i < json_array_size(samples); i++) {
            double value = json_number_value(json_array_get(samples, i));
            low = i == 0 || value < low ? value : low;
            high = i == 0 || value > high ? value : high;
        }
        printf("  %-12s %10.1f tokens/s   (%.1f to %.1f)", string(rate, "name"), number(rate, "tokens_per_s"), low,
               high);
        if (json_object_get(rate, "limit_tokens_per_s"))
            printf("   limit %.0f, reached %.0f %%", number(rate, "limit_tokens_per_s"),
                   100 * number(rate, "share_of_limit"));
        printf("\n");
    }
    json_array_foreach(json_object_get(device, "skipped"), index, rate)
        printf("  %-12s left out: %s\n", string(rate, "name"), string(rate, "why"));
}

static void print_ceilings(const json_t *c)
{
    static const struct {
        const char *key, *text;
    } arithmetic[] = {{"f32_flops_per_s", "fp32"},
                      {"f16_flops_per_s", "fp16"},
                      {"i8_ops_per_s", "8-bit dot"},
                      {"matrix_flops_per_s", "cooperative matrix"}};
    printf("  ceilings     read %.1f, copy %.1f GB/s", number(c, "read_bytes_per_s") * 1e-9,
           number(c, "copy_bytes_per_s") * 1e-9);
    for (size_t i = 0; i < sizeof arithmetic / sizeof arithmetic[0]; i++)
        if (number(c, arithmetic[i].key) > 0)
            printf("%s %s %.0f", i ? "," : ";", arithmetic[i].text, number(c, arithmetic[i].key) * 1e-9);
    printf(" Gop/s\n");
}

static void print_start(const json_t *start, const char *which, const char *label)
{
    const json_t *s = json_object_get(start, which), *memory = json_object_get(s, "memory");
    if (string(s, "error")[0])
        printf("  %-12s failed: %s\n", label, string(s, "error"));
    if (!json_object_get(s, "total_s"))
        return;
    printf("  %-12s %.3f s: device %.3f, weights %.3f, compiling %.3f, first pass %.3f\n", label,
           number(s, "total_s"), number(s, "open_device_s"), number(s, "load_model_s"), number(s, "compile_s"),
           number(s, "first_pass_s"));
    if (memory && strcmp(which, "warm") == 0)
        printf("  memory       peak of the process %.0f MiB; on the device: weights %.0f, session %.0f MiB "
               "(context %.0f)\n",
               number(memory, "host_peak_bytes") / 1048576, number(memory, "weights_on_device_bytes") / 1048576,
               number(memory, "session_on_device_bytes") / 1048576, number(memory, "n_ctx"));
}

static void print_check(const json_t *check)
{
    if (!check)
        return;
    printf("  reference    %.1f times as fast; %.0f tokens: error %.2g (nmse), of the worst %.2g, largest %.2g of "
           "%.3g, same choice %.0f\n",
           number(check, "speedup"), number(check, "tokens"), number(check, "nmse"),
           number(check, "worst_row_nmse"), number(check, "largest_error"), number(check, "largest_value"),
           number(check, "same_choice"));
    if (json_is_true(json_object_get(check, "wrong")))
        printf("  %s!!! WRONG RESULTS: this device computes something else than the reference (nmse of a token "
               "above %g). "
               "Its speed means nothing; find out where with `pumice score --check`.%s\n",
               cli_bold(stdout), number(check, "wrong_above_nmse"), cli_plain(stdout));
}

static void print_ops(const json_t *device)
{
    size_t p, r;
    json_t *profile, *row;
    json_array_foreach(json_object_get(device, "ops"), p, profile)
    {
        double seconds = number(profile, "seconds");
        printf("  ops of %s, %.3f ms a pass\n", string(profile, "name"), seconds * 1e3);
        printf("    %-20s %-22s %6s %9s %6s %8s %9s %8s\n", "op", "shape", "calls", "us each", "time", "GB/s",
               "GFLOP/s", "ceiling");
        json_array_foreach(json_object_get(profile, "rows"), r, row)
        {
            double s = number(row, "seconds");
            printf("    %-20s %-22s %6.4g %9.2f %5.1f%% %8.2f %9.2f %6.0f %%%s\n", string(row, "op"),
                   string(row, "shape"), number(row, "calls"), s / number(row, "calls") * 1e6, 100 * s / seconds,
                   number(row, "bytes") / s * 1e-9, number(row, "ops") / s * 1e-9,
                   100 * number(row, "share_of_ceiling"), string(row, "bound")[0] == 'm' ? " m" : " a");
        }
        if (json_array_size(json_object_get(profile, "rows")) == 0)
            printf("    (the device has no timestamps)\n");
    }
}

static void print_device(const json_t *device, int with_ops)
{
    printf("\n%s%s%s", cli_bold(stdout), string(device, "name"), cli_plain(stdout));
    if (string(device, "title")[0])
        printf("  %s, %s", string(device, "title"), string(device, "driver"));
    if (json_object_get(device, "tier"))
        printf(", tier T%.0f", number(device, "tier"));
    printf("\n");
    if (json_object_get(device, "ceilings"))
        print_ceilings(json_object_get(device, "ceilings"));
    print_rates(device);
    print_start(json_object_get(device, "start"), "cold", "first start");
    print_start(json_object_get(device, "start"), "warm", "first token");
    print_check(json_object_get(device, "verify"));
    if (with_ops)
        print_ops(device);
    if (string(device, "error")[0])
        printf("  failed: %s\n", string(device, "error"));
    if (json_object_get(device, "stopped"))
        printf("  stopped: this is what was measured until then\n");
}

void bench_print(const json_t *document, int with_ops)
{
    const json_t *model = json_object_get(document, "model"), *host = json_object_get(document, "machine"),
                 *reference = json_object_get(document, "reference");
    printf("pumice %s, %s\n%s, %.1f MB; %s, %.0f cores\n", string(document, "pumice"), string(document, "date"),
           string(model, "name"), number(model, "file_bytes") * 1e-6, string(host, "processor"),
           number(host, "cores"));
    if (string(reference, "error")[0])
        printf("reference: failed: %s\n", string(reference, "error"));
    size_t index;
    json_t *device;
    json_array_foreach(json_object_get(document, "devices"), index, device) print_device(device, with_ops);
}
