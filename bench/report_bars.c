/* Bars: for each test a group of them, one a device, from 0, with the value at the end and a mark at the device's
 * limit. */
#include <math.h>
#include <string.h>

#include "report.h"

enum { WIDTH = 500, LEFT = 98, RIGHT = 56, BAR = 16, GAP = 2, BETWEEN = 14, TOP = 6, MAX_TESTS = 32 };

typedef struct tests {
    const char *names[MAX_TESTS];
    size_t n;
} tests;

/* 1, 2 or 5 times a power of ten: about four steps to `most`. */
static double nice_step(double most)
{
    double rough = most / 4, power = pow(10, floor(log10(rough)));
    return power * (rough / power >= 5 ? 5 : rough / power >= 2 ? 2 : 1);
}

static void bar(FILE *out, const report_run *run, const json_t *rate, double most, int y)
{
    double value = report_number(rate, "tokens_per_s"), limit = report_number(rate, "limit_tokens_per_s");
    double scale = (WIDTH - LEFT - RIGHT) / most, width = fmax(value * scale, 1), r = width > 6 ? 3 : 0;
    fprintf(out, "<g class=\"bar\"><title>");
    report_text(out, run->label);
    fprintf(out, ", %s: %.4g tokens/s", report_string(rate, "name"), value);
    if (limit > 0)
        fprintf(out, ", %.0f %% of its limit of %.4g", 100 * value / limit, limit);
    fprintf(out, "</title><path class=\"c%d\" d=\"M%d %dh%.1fa%g %g 0 0 1 %g %gv%ga%g %g 0 0 1 -%g %gh-%.1fz\"/>",
            run->colour, LEFT, y, width - r, r, r, r, r, BAR - 2 * r, r, r, r, r, width - r);
    double text_x = LEFT + width + 6;
    if (limit > value && limit * scale <= WIDTH - LEFT - RIGHT) {
        double mark_x = LEFT + limit * scale;
        fprintf(out, "<path class=\"limit\" d=\"M%.1f %dv%d\"/>", mark_x, y, BAR);
        if (mark_x < text_x + 36) /* the mark would go through the value */
            text_x = mark_x + 5;
    }
    fprintf(out, "<text class=\"value\" x=\"%.1f\" y=\"%d\">%.*f</text></g>\n", text_x, y + BAR - 4,
            value < 10 ? 1 : 0, value);
}

static void legend(FILE *out, const report *r, int model)
{
    fputs("<p class=\"legend\">", out);
    for (size_t i = 0; i < r->n_runs; i++)
        if (r->runs[i].model == model) {
            fprintf(out, "<span><i class=\"b%d\"></i>", r->runs[i].colour);
            report_text(out, r->runs[i].label);
            fputs("</span> ", out);
        }
    fputs("<span><i class=\"limitkey\"></i>limit by the ceilings</span></p>\n", out);
}

void report_bars(FILE *out, const report *r, int model, const char *kind, const char *title)
{
    tests t;
    double most = 0;
    int height = TOP;
    t.n = report_rate_names(r, model, kind, t.names, MAX_TESTS);
    if (t.n == 0)
        return;
    for (size_t test = 0; test < t.n; test++, height += BETWEEN)
        for (size_t i = 0; i < r->n_runs; i++) {
            const json_t *rate = r->runs[i].model == model ? report_rate(&r->runs[i], t.names[test]) : NULL;
            most = fmax(most, report_number(rate, "tokens_per_s"));
            height += rate ? BAR + GAP : 0;
        }
    if (most <= 0)
        return;
    double step = nice_step(most), scale = (WIDTH - LEFT - RIGHT) / most;
    fprintf(out, "<figure><figcaption>%s</figcaption>\n", title);
    legend(out, r, model);
    fprintf(out, "<svg class=\"bars\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", WIDTH, height + 18,
            title);
    for (double at = 0; at <= most * 1.0001; at += step)
        fprintf(out,
                "<path class=\"grid\" d=\"M%.1f %dv%d\"/><text class=\"tick\" x=\"%.1f\" y=\"%d\" "
                "text-anchor=\"middle\">%g</text>\n",
                LEFT + at * scale, TOP - 4, height - TOP, LEFT + at * scale, height + 12, at);
    int y = TOP;
    for (size_t test = 0; test < t.n; test++, y += BETWEEN) {
        int begin = y;
        for (size_t i = 0; i < r->n_runs; i++) {
            const json_t *rate = r->runs[i].model == model ? report_rate(&r->runs[i], t.names[test]) : NULL;
            if (rate) {
                bar(out, &r->runs[i], rate, most, y);
                y += BAR + GAP;
            }
        }
        fprintf(out, "<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", LEFT - 8,
                (begin + y - GAP) / 2 + 4, t.names[test]);
    }
    fprintf(out, "<path class=\"axis\" d=\"M%d %dv%d\"/></svg></figure>\n", LEFT, TOP - 4, height - TOP);
}
