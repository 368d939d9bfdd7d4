/* The document of bench_run as a table for people. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

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
    json_array_foreach(json_object_get(device, "rates"), index, rate) {
        const json_t *samples = json_object_get(rate, "samples");
        double low = 0, high = 0;
        for (size_t i = 0; i < json_array_size(samples); i++) {
            double value = json_number_value(json_array_get(samples, i));
            low = i == 0 || value < low ? value : low;
            high = i == 0 || value > high ? value : high;
        }
        printf("  %-8s %10.1f tokens/s   (%.1f to %.1f)", string(rate, "name"), number(rate, "tokens_per_s"), low, high);
        if (json_object_get(rate, "limit_tokens_per_s"))
            printf("   limit %.0f, reached %.0f %%", number(rate, "limit_tokens_per_s"),
                   100 * number(rate, "share_of_limit"));
        printf("\n");
    }
}

static void print_device(const json_t *device)
{
    printf("\n%s", string(device, "name"));
    if (string(device, "title")[0])
        printf("  %s, %s", string(device, "title"), string(device, "driver"));
    if (json_object_get(device, "tier"))
        printf(", tier T%.0f", number(device, "tier"));
    printf("\n");
    const json_t *ceilings = json_object_get(device, "ceilings"), *first = json_object_get(device, "first_token_s"),
                 *memory = json_object_get(device, "memory_bytes"), *check = json_object_get(device, "verify");
    if (number(ceilings, "read_bytes_per_s") > 0) {
        printf("  ceilings: read %.1f GB/s, fp32 %.0f GFLOP/s", number(ceilings, "read_bytes_per_s") * 1e-9,
               number(ceilings, "f32_flops_per_s") * 1e-9);
        if (number(ceilings, "i8_ops_per_s") > 0)
            printf(", 8-bit dot products %.0f Gop/s", number(ceilings, "i8_ops_per_s") * 1e-9);
        printf("\n");
    }
    print_rates(device);
    if (first)
        printf("  first token after %.2f s: device %.2f, weights %.2f, compiling %.2f, prompt %.2f\n",
               number(first, "total"), number(first, "open_device"), number(first, "load_model"),
               number(first, "compile"), number(first, "prompt"));
    if (memory)
        printf("  peak memory of the process %.0f MiB; weights %.0f MiB, session %.0f MiB on the device\n",
               number(memory, "host_peak") / 1048576, number(memory, "weights_on_device") / 1048576,
               number(memory, "session_on_device") / 1048576);
    if (check)
        printf("  logits of %.0f tokens against the reference: normalised mean squared error %.2g\n",
               number(check, "tokens"), number(check, "logits_nmse"));
    if (string(device, "error")[0])
        printf("  failed: %s\n", string(device, "error"));
}

void bench_print(const json_t *document)
{
    const json_t *model = json_object_get(document, "model"), *host = json_object_get(document, "machine");
    printf("pumice %s, %s\n%s, %.1f MB; %s, %.0f cores\n", string(document, "pumice"), string(document, "date"),
           string(model, "name"), number(model, "file_bytes") * 1e-6, string(host, "processor"), number(host, "cores"));
    size_t index;
    json_t *device;
    json_array_foreach(json_object_get(document, "devices"), index, device)
        print_device(device);
}
