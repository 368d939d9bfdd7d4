/* The op test table's program: runs every case on a device and compares it with the reference.
 *
 *     op_test [--device NAME] [--tier N] [--op NAME] [--case TEXT] [--list] [--repeat N] [--threads N] [--quiet]
 *             [--golden FILE] [--no-big] [--max-skipped N]
 *
 * Prints a line a case, then "N passed, N failed, N skipped". Exit status: 0, 1 where a case failed (or more were
 * skipped than --max-skipped allows), 2 for wrong usage or a device that cannot be opened, 77 where the device has
 * no such tier. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op_case.h"

enum { NO_SUCH_TIER = 77 };

typedef struct options {
    pm_device_options device;
    const char *golden;
    bool no_big;
    int max_skipped; /* -1: any number */
} options;

static int usage(const char *problem, const char *argument)
{
    fprintf(
        stderr,
        "op_test: %s%s\n"
        "usage: op_test [--device NAME] [--tier N] [--op NAME] [--case TEXT] [--list] [--repeat N] [--threads N]\n"
        "               [--quiet] [--golden FILE] [--no-big] [--max-skipped N]\n",
        problem, argument);
    return 2;
}

static int parse_op(const char *name)
{
    for (int op = 0; op < PM_OP_COUNT; op++)
        if (strcmp(pm_op_name((pm_op)op), name) == 0)
            return op;
    return -1;
}

static bool parse_tier(const char *text, pm_tier *tier)
{
    bool best = strcmp(text, "best") == 0;
    *tier = best ? PM_TIER_BEST : (pm_tier)(PM_TIER_T0 + (text[0] - '0'));
    return best || (text[0] >= '0' && text[0] <= '3' && text[1] == '\0');
}

static int parse(int argc, char **argv, options *o, op_run *run)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--list") == 0) {
            run->list = true;
        } else if (strcmp(name, "--quiet") == 0) {
            run->quiet = true;
        } else if (strcmp(name, "--no-big") == 0) {
            o->no_big = true;
        } else if (i + 1 == argc) {
            return usage("unknown option, or its value is missing: ", name);
        } else if (strcmp(name, "--device") == 0) {
            o->device.name = argv[++i];
        } else if (strcmp(name, "--tier") == 0) {
            if (!parse_tier(argv[++i], &o->device.tier))
                return usage("--tier takes 0, 1, 2, 3 or best, not ", argv[i]);
        } else if (strcmp(name, "--op") == 0) {
            if ((run->only_op = parse_op(argv[++i])) < 0)
                return usage("no such op: ", argv[i]);
        } else if (strcmp(name, "--case") == 0) {
            run->only_case = argv[++i];
        } else if (strcmp(name, "--repeat") == 0) {
            run->repeat = atoi(argv[++i]);
        } else if (strcmp(name, "--threads") == 0) {
            o->device.n_threads = atoi(argv[++i]);
        } else if (strcmp(name, "--golden") == 0) {
            o->golden = argv[++i];
        } else if (strcmp(name, "--max-skipped") == 0) {
            o->max_skipped = atoi(argv[++i]);
        } else {
            return usage("unknown option: ", name);
        }
    }
    if (run->repeat < 1)
        return usage("--repeat is at least 1", "");
    return 0;
}

static void log_line(void *user, const char *line)
{
    op_run *run = user;
    fprintf(stderr, "device: %s\n", line);
    if (strstr(line, "VUID") || strstr(line, "SYNC-") || strstr(line, "UNASSIGNED") || strstr(line, "alidation"))
        run->n_messages++;
}

static void run_groups(op_run *run, const options *o)
{
    op_cases_rows(run);
    op_cases_embedding(run);
    op_cases_positions(run);
    op_cases_choice(run);
    op_cases_chains(run);
    op_cases_matmul(run);
    if (!o->no_big)
        op_cases_big(run);
}

static int open_devices(op_run *run, const options *o)
{
    pm_error err;
    const pm_device_options reference = {.name = "reference"};
    if (pm_device_open(&reference, &run->reference, &err) != PM_OK ||
        pm_device_open(&o->device, &run->device, &err) != PM_OK) {
        fprintf(stderr, "op_test: %s\n", err.message);
        return 2;
    }
    const pm_device_info *info = pm_device_get_info(run->device);
    printf("device %s: %s, %s", info->name, info->title, info->driver);
    if (info->tier != PM_TIER_BEST)
        printf(", tier T%d", (int)info->tier - (int)PM_TIER_T0);
    printf("\n");
    if (o->device.tier != PM_TIER_BEST && info->tier != o->device.tier) {
        printf("skip: the device has no tier T%d\n", (int)o->device.tier - (int)PM_TIER_T0);
        return NO_SUCH_TIER;
    }
    return 0;
}

int main(int argc, char **argv)
{
    op_run run = {.only_op = -1, .repeat = 1};
    options o = {.device = {.name = "reference", .no_cache = 1, .no_self_test = 1}, .max_skipped = -1};
    int status = parse(argc, argv, &o, &run);
    if (status != 0)
        return status;
    const char *validation = getenv("PUMICE_VK_VALIDATION");
    run.validation = validation && strcmp(validation, "1") == 0;
    o.device.log = log_line;
    o.device.log_user = &run;
    bool ready = run.list || (status = open_devices(&run, &o)) == 0;
    if (ready && o.golden)
        status = op_cases_golden(&run, o.golden);
    else if (ready)
        run_groups(&run, &o);
    pm_device_close(run.device);
    pm_device_close(run.reference);
    if (!ready)
        return status;
    if (run.list)
        return run.n_listed > 0 ? status : 1;
    if (run.validation && run.n_messages > 0) {
        printf("FAIL %d messages of the validation layer\n", run.n_messages);
        run.n_failed++;
    }
    if (o.max_skipped >= 0 && run.n_skipped > o.max_skipped) {
        printf("FAIL more cases skipped than the %d allowed\n", o.max_skipped);
        run.n_failed++;
    }
    printf("%d passed, %d failed, %d skipped\n", run.n_passed, run.n_failed, run.n_skipped);
    if (run.n_passed + run.n_failed + run.n_skipped == 0)
        return usage("no case has been chosen", "");
    return status != 0 ? status : run.n_failed > 0;
}
