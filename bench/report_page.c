/* The page of a report: style, models one after the other, then devices. */
#include "report_page.h"

#include <string.h>

/* Colours of devices, for light and for dark grounds; the same eight hues. Text never has them. */
static const char *const style =
    "<style>\n"
    ":root{color-scheme:light "
    "dark;--ground:#fcfcfb;--card:#fff;--ink:#1c1b1a;--soft:#5d5b57;--line:#e4e2dd;--roof:#8a8780;"
    "--wrong:#b3261e;--c0:#2a78d6;--c1:#eb6834;--c2:#1baf7a;--c3:#c98500;--c4:#d55f93;--c5:#008300;--c6:#4a3aa7;--"
    "c7:#e34948}\n"
    "@media(prefers-color-scheme:dark){:root{--ground:#171716;--card:#1f1f1d;--ink:#f1efe9;--soft:#aaa79f;--line:#"
    "353431;"
    "--roof:#8f8c84;--wrong:#ff8a80;--c0:#3987e5;--c1:#d95926;--c2:#199e70;--c3:#c98500;--c4:#d55181;--c5:#3f9b3f;"
    "--c6:#9085e9;--c7:#e66767}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\n"
    "main{max-width:1160px;margin:0 auto;padding:32px 20px 64px}\n"
    "h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:44px 0 12px;padding-top:20px;border-top:1px solid "
    "var(--line)}\n"
    "h3{font-size:16px;margin:28px 0 8px}p{margin:6px 0}.soft,caption,figcaption+p{color:var(--soft)}\n"
    "figure{margin:14px 0;padding:14px 16px 10px;background:var(--card);border:1px solid "
    "var(--line);border-radius:8px}\n"
    "figcaption{font-weight:600}svg.bars{max-width:560px}svg{display:block;width:100%;height:auto;}\n"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:0 16px}\n"
    ".device{display:grid;grid-template-columns:minmax(260px,1fr) minmax(0,2.2fr);gap:0 20px;align-items:start}"
    "@media(max-width:760px){.device{grid-template-columns:1fr}}\n"
    ".scroll{overflow-x:auto;margin:14px 0}table{border-collapse:collapse;font-size:13.5px;min-width:60%}\n"
    "caption{text-align:left;padding:0 0 6px}th,td{padding:4px 10px;border-bottom:1px solid "
    "var(--line);text-align:right;"
    "white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    "thead "
    "th{color:var(--soft);font-weight:500;border-bottom-color:var(--roof)}th[scope=row],td.text,th:first-child{"
    "text-align:left}th[scope=row]{font-weight:500}td small,td.none{color:var(--soft)}\n"
    ".legend{font-size:13px;color:var(--soft)}.legend span{margin-right:14px;white-space:nowrap}\n"
    "i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}i.dot{border-radius:50%}"
    "i.diamond{transform:rotate(45deg);border-radius:0}i.limitkey{width:2px;height:12px;background:var(--ink);"
    "border-radius:0;"
    "vertical-align:-2px}\n"
    "text{font:11px system-ui,-apple-system,'Segoe "
    "UI',Roboto,sans-serif;fill:var(--ink)}.tick,.rooflabel{fill:var(--soft)}\n"
    ".name{font-size:12px}.value{font-variant-numeric:tabular-nums}.marklabel{font-size:10.5px;paint-order:stroke;"
    "stroke:var(--card);stroke-width:3px}\n"
    ".grid{stroke:var(--line);fill:none}.axis{stroke:var(--roof);fill:none}.roof{stroke:var(--roof);stroke-width:"
    "2;fill:none}"
    ".limit{stroke:var(--ink);stroke-width:1.5;fill:none}\n"
    ".mark circle,.mark path{stroke:var(--card);stroke-width:1.5;fill-opacity:.85}.bar:hover path,.mark:hover "
    "*{opacity:.75}\n"
    "details{margin:8px "
    "0}summary{cursor:pointer;font-weight:500}dl{display:grid;grid-template-columns:max-content 1fr;"
    "gap:2px 16px;margin:8px 0;font-size:13.5px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    ".alarm{border:2px solid var(--wrong);border-radius:8px;padding:10px 16px;margin:16px 0}.wrong,.alarm strong{"
    "color:var(--wrong)}\n"
    "@media print{main{max-width:none}details{display:block}}\n";

static void colours(FILE *out)
{
    for (int i = 0; i < REPORT_COLOURS; i++)
        fprintf(out, ".c%d{fill:var(--c%d)}.b%d{background:var(--c%d)}\n", i, i, i, i);
    fputs("</style>\n", out);
}

static const report_run *first_of(const report *r, int model)
{
    for (size_t i = 0; i < r->n_runs; i++)
        if (r->runs[i].model == model)
            return &r->runs[i];
    return r->runs;
}

static void alarms(FILE *out, const report *r)
{
    for (size_t i = 0; i < r->n_runs; i++) {
        const json_t *check = json_object_get(r->runs[i].device, "verify");
        if (!json_is_true(json_object_get(check, "wrong")))
            continue;
        fputs("<p class=\"alarm\"><strong>WRONG RESULTS</strong> on ", out);
        report_text(out, r->runs[i].label);
        fputs(" with ", out);
        report_text(out, r->runs[i].model_name);
        fprintf(out, ": its logits are not those of the reference (error %.2g). Its speed means nothing.</p>\n",
                report_number(check, "nmse"));
    }
}

static void model_section(FILE *out, const report *r, int model)
{
    const report_run *first = first_of(r, model);
    const json_t *what = json_object_get(first->document, "model");
    fputs("<h2>", out);
    report_text(out, first->model_name);
    fputs("</h2>\n<p class=\"soft\">architecture ", out);
    report_text(out, report_string(what, "architecture"));
    fprintf(out,
            ", %.0f M weights, %.1f MB, mostly %s. pp: a prompt of so many tokens; tg: so many tokens decoded one "
            "by one, "
            "after @ so many others; enc: sequences encoded; x: so many at once.</p>\n",
            report_number(what, "n_weights") * 1e-6, report_number(what, "weight_bytes") * 1e-6,
            report_string(what, "type"));
    fputs("<div class=\"pair\">\n", out);
    report_bars(out, r, model, "prompt", "Prompts, tokens a second");
    report_bars(out, r, model, "decode", "Decoding, tokens a second");
    report_bars(out, r, model, "encode", "Encoding, tokens a second");
    fputs("</div>\n", out);
    report_table_rates(out, r, model);
    report_table_start(out, r, model);
    report_table_check(out, r, model);
    for (size_t i = 0; i < r->n_runs; i++) {
        if (r->runs[i].model != model)
            continue;
        fputs("<h3>", out);
        report_text(out, r->runs[i].label);
        fputs("</h3>\n", out);
        fputs("<div class=\"device\">\n", out);
        report_table_device(out, &r->runs[i]);
        report_roofline(out, &r->runs[i]);
        fputs("</div>\n", out);
        report_table_ops(out, &r->runs[i]);
    }
}

void report_page(FILE *out, const report *r)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>pumice: "
          "benchmarks</title>\n",
          out);
    fputs(style, out);
    colours(out);
    fputs("</head><body><main>\n<h1>Benchmarks</h1>\n", out);
    fprintf(out, "<p class=\"soft\">pumice %s: %zu run%s of %zu model%s, from %zu file%s</p>\n",
            r->n_documents > 0 ? report_string(r->documents[0], "pumice") : "", r->n_runs,
            r->n_runs == 1 ? "" : "s", r->n_models, r->n_models == 1 ? "" : "s", r->n_documents,
            r->n_documents == 1 ? "" : "s");
    alarms(out, r);
    for (size_t m = 0; m < r->n_models; m++)
        model_section(out, r, (int)m);
    if (r->n_peers > 0)
        fputs("<h2>Side by side with others</h2>\n", out);
    for (size_t i = 0; i < r->n_peers; i++)
        report_table_peer(out, r->peers[i]);
    fputs("</main></body></html>\n", out);
}
