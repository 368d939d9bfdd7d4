/* The roofline: over operations a byte of memory, on logarithmic axes, what the device allows (the slope is its
 * memory, the levels its kinds of arithmetic) and what each op reaches. A mark's area is the op's share of the
 * time. Source: Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model". */
#include <math.h>
#include <string.h>

#include "report.h"

enum { WIDTH = 720, HEIGHT = 400, LEFT = 62, RIGHT = 20, TOP = 14, BOTTOM = 44, MAX_MARKS = 160, LABELS = 4 };

static const char *const peaks[] = {"f32_flops_per_s", "f16_flops_per_s", "i8_ops_per_s", "matrix_flops_per_s"};
enum { N_PEAKS = sizeof peaks / sizeof peaks[0] };

typedef struct axes {
    double x0, x1, y0, y1; /* logarithms to the base 10 */
} axes;

typedef struct mark {
    double x, y, share; /* intensity, operations a second, of its profile's time */
    int series;
    const json_t *row, *profile;
} mark;

typedef struct box {
    double x0, y0, x1, y1;
} box;

static double at_x(const axes *a, double value)
{
    return LEFT + (log10(value) - a->x0) / (a->x1 - a->x0) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const axes *a, double value)
{
    return HEIGHT - BOTTOM - (log10(value) - a->y0) / (a->y1 - a->y0) * (HEIGHT - TOP - BOTTOM);
}

/* Ops with no arithmetic have no place here; ones that take no time to speak of would hide the others. */
static size_t collect(const report_run *run, mark *marks)
{
    size_t p, r, n = 0;
    json_t *profile, *row;
    json_array_foreach(json_object_get(run->device, "ops"), p, profile)
    {
        json_array_foreach(json_object_get(profile, "rows"), r, row)
        {
            double seconds = report_number(row, "seconds"), ops = report_number(row, "ops"),
                   bytes = report_number(row, "bytes"), share = seconds / report_number(profile, "seconds");
            if (ops > 0 && bytes > 0 && seconds > 0 && share > 0.002 && n < MAX_MARKS)
                marks[n++] = (mark){ops / bytes, ops / seconds, share, p > 0, row, profile};
        }
    }
    return n;
}

static axes choose_axes(const json_t *ceilings, const mark *marks, size_t n)
{
    double x_low = 0.1, x_high = 100, y_high = 1e9, y_low = 1e12;
    for (size_t i = 0; i < N_PEAKS; i++) {
        double peak = report_number(ceilings, peaks[i]);
        y_high = fmax(y_high, peak);
        x_high = fmax(x_high, 4 * peak / report_number(ceilings, "read_bytes_per_s"));
    }
    for (size_t i = 0; i < n; i++) {
        x_low = fmin(x_low, marks[i].x);
        x_high = fmax(x_high, marks[i].x);
        y_low = fmin(y_low, marks[i].y);
        y_high = fmax(y_high, marks[i].y);
    }
    return (axes){floor(log10(x_low)), ceil(log10(x_high)), floor(log10(y_low)), ceil(log10(y_high * 1.2))};
}

static void grid(FILE *out, const axes *a)
{
    for (int e = (int)a->x0; e <= (int)a->x1; e++)
        fprintf(out,
                "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text class=\"tick\" x=\"%.1f\" y=\"%d\" "
                "text-anchor=\"middle\">%g</text>\n",
                at_x(a, pow(10, e)), TOP, HEIGHT - BOTTOM, at_x(a, pow(10, e)), HEIGHT - BOTTOM + 16, pow(10, e));
    for (int e = (int)a->y0; e <= (int)a->y1; e++)
        fprintf(out,
                "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"tick\" x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">%g</text>\n",
                LEFT, at_y(a, pow(10, e)), WIDTH - RIGHT, LEFT - 6, at_y(a, pow(10, e)) + 4, pow(10, e - 9));
    fprintf(out,
            "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">operations a byte of memory</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
    fprintf(
        out,
        "<text class=\"tick\" transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">GFLOP/s</text>\n",
        (TOP + HEIGHT - BOTTOM) / 2);
}

static void level(FILE *out, const axes *a, double bandwidth, double peak, const char *name, double *last_y)
{
    if (peak <= 0)
        return;
    double y = at_y(a, peak), label_y = y - 4;
    fprintf(out, "<path class=\"roof\" d=\"M%.1f %.1fH%d\"/>", at_x(a, peak / bandwidth), y, WIDTH - RIGHT);
    if (fabs(label_y - *last_y) < 12)
        label_y = y + 12; /* two levels close to each other */
    fprintf(out, "<text class=\"rooflabel\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s %.0f</text>\n",
            WIDTH - RIGHT - 2, label_y, name, peak * 1e-9);
    *last_y = label_y;
}

static void roofs(FILE *out, const axes *a, const json_t *c)
{
    double read = report_number(c, "read_bytes_per_s"), f32 = report_number(c, "f32_flops_per_s"),
           f16 = report_number(c, "f16_flops_per_s"), i8 = report_number(c, "i8_ops_per_s"),
           matrix = report_number(c, "matrix_flops_per_s"), top = fmax(fmax(f32, f16), fmax(i8, matrix));
    double x0 = pow(10, a->x0), y0 = read * x0, last_y = -100;
    if (y0 < pow(10, a->y0)) { /* the slope comes in from below */
        y0 = pow(10, a->y0);
        x0 = y0 / read;
    }
    double from_x = at_x(a, x0), from_y = at_y(a, y0), to_x = at_x(a, top / read), to_y = at_y(a, top);
    double angle = atan2(to_y - from_y, to_x - from_x) * 180 / 3.14159265358979;
    fprintf(out, "<path class=\"roof\" d=\"M%.1f %.1fL%.1f %.1f\"/>", from_x, from_y, to_x, to_y);
    fprintf(out,
            "<text class=\"rooflabel\" transform=\"translate(%.1f %.1f) rotate(%.1f)\">memory %.1f GB/s</text>\n",
            from_x + 0.06 * (to_x - from_x), from_y + 0.06 * (to_y - from_y) - 5, angle, read * 1e-9);
    level(out, a, read, matrix, "cooperative matrix", &last_y);
    level(out, a, read, i8, "8-bit dot products", &last_y);
    level(out, a, read, f16, "fp16", &last_y);
    level(out, a, read, f32, "fp32", &last_y);
}

static void draw_mark(FILE *out, const axes *a, const mark *m)
{
    double x = at_x(a, m->x), y = at_y(a, m->y), size = 4 + 14 * sqrt(m->share);
    fputs("<g class=\"mark\"><title>", out);
    report_text(out, report_string(m->profile, "name"));
    fputs(": ", out);
    report_text(out, report_string(m->row, "op"));
    fputs(" ", out);
    report_text(out, report_string(m->row, "shape"));
    fprintf(out, ", %.1f %% of the time, %.3g GFLOP/s at %.3g operations a byte, %.0f %% of the ceiling</title>",
            100 * m->share, m->y * 1e-9, m->x, 100 * report_number(m->row, "share_of_ceiling"));
    if (m->series == 0)
        fprintf(out, "<circle class=\"c0\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/></g>\n", x, y, size / 2);
    else
        fprintf(out, "<path class=\"c1\" d=\"M%.1f %.1fl%.1f %.1fl-%.1f %.1fl-%.1f -%.1fz\"/></g>\n", x,
                y - size * 0.62, size * 0.62, size * 0.62, size * 0.62, size * 0.62, size * 0.62, size * 0.62);
}

static int is_free(const box *boxes, size_t n, box b)
{
    if (b.x1 > WIDTH - RIGHT || b.x0 < LEFT || b.y0 < TOP)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (b.x0 < boxes[i].x1 && b.x1 > boxes[i].x0 && b.y0 < boxes[i].y1 && b.y1 > boxes[i].y0)
            return 0;
    return 1;
}

/* The op's name beside the few that take the most time (rows come in that order), where there is room. */
static void labels(FILE *out, const axes *a, const json_t *ceilings, const mark *marks, size_t n)
{
    box taken[MAX_MARKS + 2 * LABELS + 4];
    size_t n_taken = 0;
    int given[2] = {0, 0};
    for (size_t i = 0; i < N_PEAKS; i++) /* the levels' own */
        if (report_number(ceilings, peaks[i]) > 0) {
            double y = at_y(a, report_number(ceilings, peaks[i]));
            taken[n_taken++] = (box){WIDTH - RIGHT - 150, y - 16, WIDTH - RIGHT, y + 2};
        }
    for (size_t i = 0; i < n; i++) {
        double x = at_x(a, marks[i].x), y = at_y(a, marks[i].y), r = 2 + 7 * sqrt(marks[i].share);
        taken[n_taken++] = (box){x - r, y - r, x + r, y + r};
    }
    for (size_t i = 0; i < n; i++) {
        char text[64];
        if (given[marks[i].series]++ >= LABELS)
            continue;
        snprintf(text, sizeof text, "%s %.40s", report_string(marks[i].row, "op"),
                 report_string(marks[i].row, "shape"));
        double x = at_x(a, marks[i].x), y = at_y(a, marks[i].y), r = 4 + 8 * sqrt(marks[i].share),
               w = 6.1 * (double)strlen(text);
        const box places[] = {{x + r, y - 8, x + r + w, y + 4},         {x - r - w, y - 8, x - r, y + 4},
                              {x + r, y - 20, x + r + w, y - 8},        {x + r, y + 4, x + r + w, y + 16},
                              {x - r - w, y + 4, x - r, y + 16},        {x - r - w, y - 20, x - r, y - 8},
                              {x - w / 2, y + r, x + w / 2, y + r + 12}};
        for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
            if (is_free(taken, n_taken, places[p])) {
                fprintf(out, "<text class=\"marklabel\" x=\"%.1f\" y=\"%.1f\">", places[p].x0 + 1,
                        places[p].y1 - 2);
                report_text(out, text);
                fputs("</text>\n", out);
                taken[n_taken++] = places[p];
                break;
            }
    }
}

void report_roofline(FILE *out, const report_run *run)
{
    const json_t *ceilings = json_object_get(run->device, "ceilings"), *ops = json_object_get(run->device, "ops");
    mark marks[MAX_MARKS];
    size_t n = collect(run, marks);
    if (report_number(ceilings, "read_bytes_per_s") <= 0 || report_number(ceilings, "f32_flops_per_s") <= 0 ||
        n == 0)
        return;
    axes a = choose_axes(ceilings, marks, n);
    fputs("<figure><figcaption>Roofline</figcaption><p class=\"legend\">", out);
    for (size_t p = 0; p < json_array_size(ops) && p < 2; p++) {
        fprintf(out, "<span><i class=\"%s b%zu\"></i>", p == 0 ? "dot" : "diamond", p);
        report_text(out, report_string(json_array_get(ops, p), "name"));
        fprintf(out, p == 0 ? " (a long pass)</span> " : " (one token)</span> ");
    }
    fprintf(out,
            "<span>area: share of the time</span></p>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" "
            "aria-label=\"Roofline\">\n",
            WIDTH, HEIGHT);
    grid(out, &a);
    roofs(out, &a, ceilings);
    for (size_t i = n; i-- > 0;) /* the small ones on top */
        draw_mark(out, &a, &marks[n - 1 - i]);
    labels(out, &a, ceilings, marks, n);
    fprintf(out, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/></svg></figure>\n", LEFT, TOP, HEIGHT - BOTTOM,
            WIDTH - RIGHT);
}
