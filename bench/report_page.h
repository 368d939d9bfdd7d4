/* The page of a report, around its plots. */
#ifndef PUMICE_BENCH_REPORT_PAGE_H
#define PUMICE_BENCH_REPORT_PAGE_H

#include "report.h"

void report_page(FILE *out, const report *r);

/* Tables: report_tables.c. */
void report_table_rates(FILE *out, const report *r, int model);
void report_table_start(FILE *out, const report *r, int model);
void report_table_check(FILE *out, const report *r, int model);
void report_table_ops(FILE *out, const report_run *run);
void report_table_device(FILE *out, const report_run *run);
void report_table_peer(FILE *out, const json_t *document);

#endif
