/* Reading results for a report: files, runs, models, labels and colours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "report.h"
#include "report_page.h"
#include "text.h"

double report_number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

const char *report_string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

void report_text(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

size_t report_rate_names(const report *r, int model, const char *kind, const char **names, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_runs; i++) {
        size_t index;
        json_t *rate;
        if (r->runs[i].model != model)
            continue;
        json_array_foreach(json_object_get(r->runs[i].device, "rates"), index, rate)
        {
            const char *name = report_string(rate, "name");
            size_t known = 0;
            while (known < n && strcmp(names[known], name) != 0)
                known++;
            if (known == n && n < most && (!kind || strcmp(report_string(rate, "kind"), kind) == 0))
                names[n++] = name;
        }
    }
    return n;
}

const json_t *report_rate(const report_run *run, const char *name)
{
    size_t index;
    json_t *rate;
    json_array_foreach(json_object_get(run->device, "rates"), index,
                       rate) if (strcmp(report_string(rate, "name"), name) == 0) return rate;
    return NULL;
}

/* "AMD Radeon RX 7600 (RADV NAVI33)", "cpu: AMD EPYC": what a reader knows the device by. */
static void make_label(const report *r, report_run *run)
{
    const char *name = report_string(run->device, "name"), *title = report_string(run->device, "title");
    if (strncmp(name, "vulkan", 6) == 0 && title[0])
        snprintf(run->label, sizeof run->label, "%.80s", title);
    else
        snprintf(run->label, sizeof run->label, "%.16s: %.64s", name,
                 title[0] ? title : report_string(json_object_get(run->document, "machine"), "processor"));
    size_t length = strlen(run->label);
    if (json_object_get(run->device, "tier") && report_number(run->device, "tier") >= 0 &&
        length + 5 < sizeof run->label)
        snprintf(run->label + length, sizeof run->label - length, ", T%.0f", report_number(run->device, "tier"));
    int same = 0; /* the same device and model again: from another day */
    for (const report_run *other = r->runs; other < run; other++)
        same += other->model == run->model && strncmp(other->label, run->label, strlen(run->label)) == 0;
    length = strlen(run->label);
    if (same > 0 && length + 16 < sizeof run->label)
        snprintf(run->label + length, sizeof run->label - length, " (%.10s, %d)",
                 report_string(run->document, "date"), same + 1);
}

static void choose_model_and_colour(report *r, report_run *run)
{
    run->model = -1;
    for (const report_run *other = r->runs; other < run && run->model < 0; other++)
        if (strcmp(other->model_name, run->model_name) == 0)
            run->model = other->model;
    if (run->model < 0)
        run->model = (int)r->n_models++;
    make_label(r, run);
    run->colour = -1;
    int next = 0;
    for (const report_run *other = r->runs; other < run; other++) {
        if (strcmp(other->label, run->label) == 0 && run->colour < 0)
            run->colour = other->colour;
        next = other->colour >= next ? other->colour + 1 : next;
    }
    if (run->colour < 0)
        run->colour = next % REPORT_COLOURS;
}

static pm_status add_runs(report *r, const json_t *document, const char *file, pm_error *err)
{
    size_t index;
    json_t *device;
    const char *model = report_string(json_object_get(document, "model"), "name");
    json_array_foreach(json_object_get(document, "devices"), index, device)
    {
        if (r->n_runs == REPORT_MAX_RUNS || r->n_models == REPORT_MAX_MODELS)
            return cli_fail(err, PM_ERR_LIMIT, "%s: a report takes %d devices and %d models at most", file,
                            REPORT_MAX_RUNS, REPORT_MAX_MODELS);
        report_run *run = &r->runs[r->n_runs];
        *run = (report_run){.document = document, .device = device};
        snprintf(run->model_name, sizeof run->model_name, "%.60s",
                 strncmp(model, "synthetic ", 10) == 0 ? model + 10 : model);
        if (!run->model_name[0])
            snprintf(run->model_name, sizeof run->model_name, "a model without a name");
        choose_model_and_colour(r, run);
        r->n_runs++;
    }
    return PM_OK;
}

/* Of `pumice bench --tokenizers` or bench/tokenizer_peers.py: bench/results has one, too. */
static int is_tokenizers(const json_t *document)
{
    const json_t *first = json_array_get(json_object_get(document, "rows"), 0);
    return json_is_array(json_object_get(document, "tokenizers")) || json_object_get(first, "MB_per_s");
}

static pm_status read_file(report *r, const char *file, pm_error *err)
{
    json_error_t mistake;
    if (r->n_documents == REPORT_MAX_FILES)
        return cli_fail(err, PM_ERR_LIMIT, "a report takes %d files at most", REPORT_MAX_FILES);
    json_t *document = json_load_file(file, 0, &mistake);
    if (!document)
        return cli_fail(err, mistake.line > 0 ? PM_ERR_FORMAT : PM_ERR_IO, "%s: %s", file, mistake.text);
    r->documents[r->n_documents++] = document;
    int is_peer =
        json_is_string(json_object_get(document, "peer")) && json_is_array(json_object_get(document, "rows"));
    if (is_tokenizers(document)) {
        fprintf(stderr, "pumice bench: %s: left out, as tokenizers have no plots\n", file);
        return PM_OK;
    }
    if (!is_peer && !json_is_array(json_object_get(document, "devices")))
        return cli_fail(err, PM_ERR_FORMAT,
                        "%s: this is not what `pumice bench --output` writes: there are no devices", file);
    if (report_number(document, "schema") != BENCH_SCHEMA)
        return cli_fail(err, PM_ERR_FORMAT,
                        "%s: its form is of version %.0f, but reports are made of version %d; measure again", file,
                        report_number(document, "schema"), BENCH_SCHEMA);
    if (!is_peer)
        return add_runs(r, document, file, err);
    r->peers[r->n_peers++] = document;
    return PM_OK;
}

pm_status bench_report(const char *const *files, size_t n_files, const char *path, pm_error *err)
{
    report *r = calloc(1, sizeof *r);
    pm_status status = r ? PM_OK : PM_ERR_MEMORY;
    for (size_t i = 0; i < n_files && status == PM_OK; i++)
        status = read_file(r, files[i], err);
    if (status == PM_OK && r->n_runs + r->n_peers == 0)
        status = cli_fail(err, PM_ERR_ARGUMENT, "%s: there are no devices in it, nor in others", files[0]);
    FILE *out = NULL;
    if (status == PM_OK) {
        out = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
        if (!out)
            status = cli_fail(err, PM_ERR_IO, "%s: cannot be written", path);
    }
    if (status == PM_OK) {
        report_page(out, r);
        int failed = ferror(out);
        if (out != stdout && fclose(out) != 0)
            failed = 1;
        if (failed)
            status = cli_fail(err, PM_ERR_IO, "%s: writing failed", path);
    }
    for (size_t i = 0; r && i < r->n_documents; i++)
        json_decref(r->documents[i]);
    free(r);
    return status;
}
