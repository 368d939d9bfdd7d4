/* The tables of a report: what its plots show, and what needs no plot. */
#include <string.h>

#include "report_page.h"

enum { MAX_NAMES = 64 };

static void cell(FILE *out, double value, int decimals)
{
    if (value > 0)
        fprintf(out, "<td>%.*f</td>", decimals, value);
    else
        fputs("<td class=\"none\">–</td>", out);
}

static void row_head(FILE *out, const report_run *run)
{
    fprintf(out, "<tr><th scope=\"row\"><i class=\"b%d\"></i>", run->colour);
    report_text(out, run->label);
    fputs("</th>", out);
}

static const char *why_skipped(const report_run *run, const char *name)
{
    size_t index;
    json_t *skipped;
    json_array_foreach(json_object_get(run->device, "skipped"), index,
                       skipped) if (strcmp(report_string(skipped, "name"), name) ==
                                    0) return report_string(skipped, "why");
    return "";
}

static void rate_cell(FILE *out, const report_run *run, const char *name)
{
    const json_t *rate = report_rate(run, name), *samples = json_object_get(rate, "samples");
    double low = 0, high = 0, value = report_number(rate, "tokens_per_s");
    if (!rate) {
        fputs("<td class=\"none\" title=\"", out);
        report_text(out, why_skipped(run, name));
        fputs("\">–</td>", out);
        return;
    }
    for (size_t i = 0; i < json_array_size(samples); i++) {
        double sample = json_number_value(json_array_get(samples, i));
        low = i == 0 || sample < low ? sample : low;
        high = i == 0 || sample > high ? sample : high;
    }
    fprintf(out, "<td title=\"%zu samples, %.4g to %.4g\">%.*f", json_array_size(samples), low, high,
            value < 100 ? 1 : 0, value);
    if (report_number(rate, "share_of_limit") > 0)
        fprintf(out, " <small>%.0f&nbsp;%%</small>", 100 * report_number(rate, "share_of_limit"));
    fputs("</td>", out);
}

void report_table_rates(FILE *out, const report *r, int model)
{
    const char *names[MAX_NAMES];
    size_t n = report_rate_names(r, model, NULL, names, MAX_NAMES);
    fputs("<div class=\"scroll\"><table><caption>Tokens a second (median), and the share of the limit that the "
          "device's own "
          "ceilings set</caption><thead><tr><th></th>",
          out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "<th>%s</th>", names[i]);
    fputs("</tr></thead><tbody>\n", out);
    for (size_t i = 0; i < r->n_runs; i++)
        if (r->runs[i].model == model) {
            row_head(out, &r->runs[i]);
            for (size_t k = 0; k < n; k++)
                rate_cell(out, &r->runs[i], names[k]);
            fputs("</tr>\n", out);
        }
    fputs("</tbody></table></div>\n", out);
}

void report_table_start(FILE *out, const report *r, int model)
{
    fputs("<div class=\"scroll\"><table><caption>Seconds to the first token, and memory: of the process at its "
          "peak, and on the device</caption><thead><tr><th></th>"
          "<th>first start</th><th>then</th><th>device</th><th>weights</th><th>compiling</th><th>first "
          "pass</th>"
          "<th>process, MiB</th><th>weights, MiB</th><th>session, MiB</th></tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < r->n_runs; i++) {
        if (r->runs[i].model != model)
            continue;
        const json_t *start = json_object_get(r->runs[i].device, "start"), *warm = json_object_get(start, "warm"),
                     *memory = json_object_get(warm, "memory");
        row_head(out, &r->runs[i]);
        cell(out, report_number(json_object_get(start, "cold"), "total_s"), 2);
        cell(out, report_number(warm, "total_s"), 2);
        cell(out, report_number(warm, "open_device_s"), 3);
        cell(out, report_number(warm, "load_model_s"), 3);
        cell(out, report_number(warm, "compile_s"), 3);
        cell(out, report_number(warm, "first_pass_s"), 3);
        cell(out, report_number(memory, "host_peak_bytes") / 1048576, 0);
        cell(out, report_number(memory, "weights_on_device_bytes") / 1048576, 0);
        cell(out, report_number(memory, "session_on_device_bytes") / 1048576, 0);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

void report_table_check(FILE *out, const report *r, int model)
{
    fputs("<div class=\"scroll\"><table><caption>Against the reference backend, which computes in double "
          "precision: how many "
          "times as fast, and how far the logits are "
          "off</caption><thead><tr><th></th><th>speed-up</th><th>tokens</th>"
          "<th>error (nmse)</th><th>largest error</th><th>largest value</th><th>same "
          "choice</th><th></th></tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < r->n_runs; i++) {
        const json_t *check = json_object_get(r->runs[i].device, "verify");
        if (r->runs[i].model != model)
            continue;
        row_head(out, &r->runs[i]);
        if (!check) {
            fputs("<td class=\"none\" colspan=\"7\">not compared</td></tr>\n", out);
            continue;
        }
        int wrong = json_is_true(json_object_get(check, "wrong"));
        fprintf(out,
                "<td>%.1f</td><td>%.0f</td><td>%.2g</td><td>%.2g</td><td>%.3g</td><td>%.0f</td><td>%s</td></tr>\n",
                report_number(check, "speedup"), report_number(check, "tokens"), report_number(check, "nmse"),
                report_number(check, "largest_error"), report_number(check, "largest_value"),
                report_number(check, "same_choice"), wrong ? "<strong class=\"wrong\">WRONG</strong>" : "right");
    }
    fputs("</tbody></table></div>\n", out);
}

void report_table_ops(FILE *out, const report_run *run)
{
    size_t p, i;
    json_t *profile, *row;
    json_array_foreach(json_object_get(run->device, "ops"), p, profile)
    {
        double seconds = report_number(profile, "seconds");
        fputs("<details><summary>Ops of ", out);
        report_text(out, report_string(profile, "name"));
        fprintf(out,
                ": %.*f ms a pass</summary><div "
                "class=\"scroll\"><table><thead><tr><th>op</th><th>shape</th><th>calls</th>"
                "<th>µs each</th><th>time</th><th>GB/s</th><th>GFLOP/s</th><th>of the "
                "ceiling</th><th>of</th></tr></thead>"
                "<tbody>\n",
                seconds < 0.1 ? 2 : 0, seconds * 1e3);
        json_array_foreach(json_object_get(profile, "rows"), i, row)
        {
            double s = report_number(row, "seconds");
            fputs("<tr><th scope=\"row\">", out);
            report_text(out, report_string(row, "op"));
            fputs("</th><td class=\"text\">", out);
            report_text(out, report_string(row, "shape"));
            fprintf(out,
                    "</td><td>%.4g</td><td>%.2f</td><td>%.1f&nbsp;%%</td><td>%.2f</td><td>%.2f</"
                    "td><td>%.0f&nbsp;%%</td>"
                    "<td class=\"text\">%s</td></tr>\n",
                    report_number(row, "calls"), s / report_number(row, "calls") * 1e6, 100 * s / seconds,
                    report_number(row, "bytes") / s * 1e-9, report_number(row, "ops") / s * 1e-9,
                    100 * report_number(row, "share_of_ceiling"), report_string(row, "bound"));
        }
        fputs("</tbody></table></div></details>\n", out);
    }
}

static void fact(FILE *out, const char *name, const char *value)
{
    if (!value[0])
        return;
    fprintf(out, "<dt>%s</dt><dd>", name);
    report_text(out, value);
    fputs("</dd>\n", out);
}

static void rate_fact(FILE *out, const json_t *object, const char *key, const char *name, const char *unit)
{
    if (report_number(object, key) > 0)
        fprintf(out, "<dt>%s</dt><dd>%.1f %s</dd>\n", name, report_number(object, key) * 1e-9, unit);
}

void report_table_device(FILE *out, const report_run *run)
{
    const json_t *machine = json_object_get(run->document, "machine"),
                 *limits = json_object_get(run->device, "limits"),
                 *ceilings = json_object_get(run->device, "ceilings");
    fputs("<dl>\n", out);
    fact(out, "driver", report_string(run->device, "driver"));
    fact(out, "Vulkan", report_string(run->device, "api_version"));
    rate_fact(out, ceilings, "read_bytes_per_s", "memory, reading", "GB/s");
    rate_fact(out, ceilings, "copy_bytes_per_s", "memory, copying", "GB/s");
    rate_fact(out, ceilings, "f32_flops_per_s", "fp32", "GFLOP/s");
    rate_fact(out, ceilings, "f16_flops_per_s", "fp16", "GFLOP/s");
    rate_fact(out, ceilings, "i8_ops_per_s", "8-bit dot products", "Gop/s");
    rate_fact(out, ceilings, "matrix_flops_per_s", "cooperative matrix", "GFLOP/s");
    if (limits)
        fprintf(
            out,
            "<dt>limits</dt><dd>subgroup %.0f, workgroup %.0f, shared memory %.0f KiB, buffers %.0f MiB</dd>\n",
            report_number(limits, "subgroup_size"), report_number(limits, "max_workgroup_invocations"),
            report_number(limits, "max_shared_memory") / 1024,
            report_number(limits, "max_storage_buffer_range") / 1048576);
    fprintf(out, "<dt>machine</dt><dd>");
    report_text(out, report_string(machine, "processor"));
    fprintf(out, ", %.0f cores, %.1f GiB, ", report_number(machine, "cores"),
            report_number(machine, "memory_bytes") / 1073741824);
    report_text(out, report_string(machine, "system"));
    fputs(" ", out);
    report_text(out, report_string(machine, "release"));
    fprintf(out, "</dd>\n<dt>build</dt><dd>pumice %s, compiler ", report_string(run->document, "pumice"));
    report_text(out, report_string(json_object_get(run->document, "build"), "compiler"));
    fputs("</dd>\n", out);
    fact(out, "date", report_string(run->document, "date"));
    fact(out, "error", report_string(run->device, "error"));
    fputs("</dl>\n", out);
}

void report_table_peer(FILE *out, const json_t *document)
{
    size_t index;
    json_t *row;
    fputs("<div class=\"scroll\"><table><caption>", out);
    report_text(out, report_string(document, "peer"));
    fputs("; ", out);
    report_text(out, report_string(document, "machine"));
    fputs(". Medians of rounds in turn; the ratio is pumice over the "
          "peer.</caption><thead><tr><th>model</th><th>device</th>"
          "<th>test</th><th>pumice</th><th>peer</th><th>unit</th><th>ratio</th></tr></thead><tbody>\n",
          out);
    json_array_foreach(json_object_get(document, "rows"), index, row)
    {
        int is_bytes = strcmp(report_string(row, "unit"), "bytes") == 0;
        double scale = is_bytes ? 1.0 / 1048576 : 1;
        int decimals = is_bytes ? 0 : strcmp(report_string(row, "unit"), "s") == 0 ? 3 : 1;
        fputs("<tr><th scope=\"row\">", out);
        report_text(out, report_string(row, "model"));
        fputs("</th><td class=\"text\">", out);
        report_text(out, report_string(row, "device"));
        fputs("</td><td class=\"text\">", out);
        report_text(out, report_string(row, "test"));
        fputs("</td>", out);
        cell(out, report_number(row, "pumice_median") * scale, decimals);
        cell(out, report_number(row, "peer_median") * scale, decimals);
        fputs("<td class=\"text\">", out);
        report_text(out, is_bytes ? "MiB" : report_string(row, "unit"));
        fputs("</td>", out);
        cell(out, report_number(row, "ratio"), 2);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}
