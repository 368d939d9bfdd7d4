/* The tuning table of the Vulkan backend: what was put into it is found, its file comes back and nothing else ever
 * does, processes may write it at once; choices from it are obeyed where the device can, and measuring fills it.
 * Software devices play GPUs here (PUMICE_VK_PLAY_GPU, PUMICE_VK_TUNING). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "backends/vulkan/matmul_variant.h"
#include "backends/vulkan/vk_selftest.h"
#include "ops/ops.h"

typedef struct fixture {
    char dir[64];
    pm_vk_cache cache;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->dir, "/tmp/pumice_tuning_XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    pm_vk_cache_open(&f->cache, f->dir, "device", "driver one");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    pm_vk_cache_close(&f->cache);
    free(f);
    return 0;
}

static bool has(const pm_vk_tuning *t, pm_vk_product p, uint32_t tile, uint32_t n_parts)
{
    pm_vk_tiling got = {99, 99};
    return pm_vk_tuning_find(t, &p, &got) && got.tile == tile && got.n_parts == n_parts;
}

static void put(pm_vk_tuning *t, pm_vk_product p, uint32_t tile, uint32_t n_parts)
{
    assert_true(pm_vk_tuning_put(t, &p, (pm_vk_tiling){tile, n_parts}));
}

static const pm_vk_product one = {4, 512, 4096, 1024}, other = {4, 512, 1024, 4096};

static void products_are_found_by_all_of_their_numbers(void **state)
{
    (void)state;
    pm_vk_tuning t = {0};
    pm_vk_tiling tiling;
    assert_false(pm_vk_tuning_find(&t, &one, &tiling));
    put(&t, one, 1, 2);
    put(&t, other, 0, 3);
    assert_true(has(&t, one, 1, 2) && has(&t, other, 0, 3));
    assert_true(has(&t, (pm_vk_product){4, 257, 4096, 1024}, 1, 2)); /* rows up to the same power of two */
    assert_false(pm_vk_tuning_find(&t, &(pm_vk_product){4, 513, 4096, 1024}, &tiling));
    assert_false(pm_vk_tuning_find(&t, &(pm_vk_product){4, 256, 4096, 1024}, &tiling));
    assert_false(pm_vk_tuning_find(&t, &(pm_vk_product){3, 512, 4096, 1024}, &tiling));
    assert_false(pm_vk_tuning_find(&t, &(pm_vk_product){4, 512, 4096, 1028}, &tiling));
    put(&t, one, 2, 1);
    assert_true(has(&t, one, 2, 1) && t.n == 2);
    for (uint32_t i = 0; i < 2 * PM_VK_MOST_TUNED; i++)
        pm_vk_tuning_put(&t, &(pm_vk_product){1, 64, 32 * (i + 1), 64}, (pm_vk_tiling){0, 1});
    assert_int_equal(t.n, PM_VK_MOST_TUNED); /* full, and what was there stays */
    assert_true(has(&t, one, 2, 1));
    pm_vk_tuning_clear(&t);
}

/* Reads the file into a table that has `one` already; true where something came of it. */
static bool reads(const pm_vk_cache *cache, size_t *n)
{
    pm_vk_tuning t = {0};
    put(&t, one, 2, 7);
    pm_vk_tuning_read(&t, cache, "tuning");
    assert_true(has(&t, one, 2, 7)); /* what a table has is not overwritten */
    *n = t.n;
    pm_vk_tuning_clear(&t);
    return *n > 1;
}

static void the_file_comes_back(void **state)
{
    fixture *f = *state;
    pm_vk_tuning t = {0};
    size_t n;
    assert_false(reads(&f->cache, &n));
    put(&t, one, 1, 2);
    put(&t, other, 0, 16);
    assert_true(pm_vk_tuning_write(&t, &f->cache, "tuning"));
    assert_true(reads(&f->cache, &n) && n == 2);
    pm_vk_tuning_clear(&t);
    pm_vk_tuning_read(&t, &f->cache, "tuning");
    assert_true(t.n == 2 && has(&t, one, 1, 2) && has(&t, other, 0, 16));
    pm_vk_tuning_clear(&t);
    pm_vk_cache foreign;
    pm_vk_cache_open(&foreign, f->dir, "device", "driver two");
    assert_false(reads(&foreign, &n));
    pm_vk_cache_close(&foreign);
    pm_vk_cache_open(&foreign, f->dir, "another device", "driver one");
    assert_false(reads(&foreign, &n));
    pm_vk_cache_close(&foreign);
    pm_vk_cache_remove(&f->cache, "tuning");
    assert_false(reads(&f->cache, &n));
    pm_vk_cache_remove(&f->cache, "tuning"); /* which is not there: nothing happens */
}

/* Damage below the checksum, as a mistake of ours would do it: all or nothing. */
static void contents_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    enum { WORDS = 2 + 2 * 6 };
    static const uint32_t good[WORDS] = {1, 2, 4, 512, 4096, 1024, 1, 2, 10, 32, 1, 1, 0, 1};
    static const struct {
        int word;
        uint32_t value;
    } bad[] = {{0, 0},          {0, 2},  {0, UINT32_MAX}, {1, 0},  {1, 1},        {1, 3},   {1, 0x0aaaaaac},
               {1, UINT32_MAX}, {2, 64}, {2, UINT32_MAX}, {3, 0},  {3, 16},       {3, 500}, {3, 1u << 21},
               {3, UINT32_MAX}, {4, 0},  {4, UINT32_MAX}, {5, 0},  {5, 1u << 31}, {6, 16},  {6, UINT32_MAX},
               {7, 0},          {7, 17}, {7, UINT32_MAX}, {8, 64}, {13, 0},       {13, 99}};
    pm_vk_tuning t = {0};
    assert_true(pm_vk_tuning_parse(&t, good, sizeof good));
    assert_int_equal(t.n, 2);
    pm_vk_tuning_clear(&t);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t words[WORDS];
        memcpy(words, good, sizeof words);
        words[bad[i].word] = bad[i].value;
        if (pm_vk_tuning_parse(&t, words, sizeof words) || t.n)
            fail_msg("word %d was %u and nobody minded", bad[i].word, bad[i].value);
    }
    for (size_t size = 0; size < sizeof good; size++) {
        char *cut = malloc(size + 1);
        memcpy(cut, good, size);
        assert_false(pm_vk_tuning_parse(&t, cut, size));
        free(cut);
    }
    pm_vk_tuning_clear(&t);
}

/* Any bytes: a table of sound entries or none, and no tiling that is beyond a device's limits. */
static void any_bytes_are_read_safely(void **state)
{
    (void)state;
    uint32_t words[2 + 6 * 8], random = 1;
    pm_vk_caps caps = {.limits = {.max_shared_memory = 65536,
                                  .max_workgroup_invocations = 1024,
                                  .max_workgroup_size = {1024, 1024, 64},
                                  .max_storage_buffer_range = 1u << 27}};
    int n_read = 0;
    for (int round = 0; round < 20000; round++) {
        words[0] = 1;
        words[1] = 8;
        for (size_t i = 2; i < sizeof words / sizeof *words; i++) {
            random = random * 1664525u + 1013904223u;
            words[i] = 32u << (random >> 29);
            if ((i - 2) % 6 >= 4 || (i - 2) % 6 == 0)
                words[i] = random >> 29;
            if (random >> 8 < 1u << 16)
                words[i] = random * 2654435761u;
        }
        pm_vk_tuning t = {0};
        n_read += pm_vk_tuning_parse(&t, words, sizeof words);
        for (size_t i = 0; i < t.n; i++) {
            const pm_vk_tuned *e = &t.list[i];
            const pm_vk_product p = {(int)e->type, e->n_rows, e->n_k, e->n_out};
            pm_vk_matmul_variant v;
            if (pm_vk_matmul_tiled(&caps, &p, e->tiling, true, &v))
                assert_true(v.n_parts <= (e->n_k + 31) / 32 &&
                            4ull * e->n_rows * e->n_out * (v.n_parts > 1 ? v.n_parts : 0) <= 1u << 27);
        }
        pm_vk_tuning_clear(&t);
    }
    assert_in_range(n_read, 1, 19999);
}

/* A made-up GPU with cooperative matrices: the rule takes what bench/NOTES.md says, and of what may be measured
 * all is possible, different and no more than there is room for. */
static void the_rule_and_what_is_measured_beside_it(void **state)
{
    (void)state;
    const pm_vk_caps caps = {.kind = PM_DEVICE_DISCRETE_GPU,
                             .features = UINT32_MAX,
                             .subgroup_min = 32,
                             .subgroup_max = 32,
                             .n_coop = 1,
                             .coop = {{16, 16, 16, 1}},
                             .limits = {.max_shared_memory = 49152,
                                        .max_workgroup_invocations = 1024,
                                        .max_workgroup_size = {1024, 1024, 64},
                                        .max_storage_buffer_range = 1ull << 32}};
    static const struct {
        pm_vk_product p;
        pm_vk_tiling rule;
        int n;
    } rows[] = {{{4, 512, 4096, 14336}, {0, 1}, 4}, /* 448 large tiles; in 2 parts; medium ones; small ones */
                {{4, 512, 14336, 4096}, {0, 3}, 7}, /* 128 large ones in 3 parts; in 1, 2, 4, 8; medium; small */
                {{4, 512, 4096, 4096}, {1, 1}, 6},
                {{4, 512, 4096, 1024}, {1, 2}, 10},
                {{4, 64, 4096, 1024}, {2, 6}, PM_VK_MOST_TILINGS},
                {{4, 64, 576, 192}, {2, 1}, 6}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pm_vk_tiling list[PM_VK_MOST_TILINGS];
        int n = pm_vk_matmul_tilings(&caps, &rows[i].p, list);
        assert_true(n > 0 && list[0].tile == rows[i].rule.tile && list[0].n_parts == rows[i].rule.n_parts);
        assert_int_equal(n, rows[i].n);
        for (int a = 0; a < n; a++) {
            pm_vk_matmul_variant v;
            assert_true(pm_vk_matmul_tiled(&caps, &rows[i].p, list[a], true, &v));
            assert_int_equal(v.x, PM_VK_X_HALVES);
            for (int b = 0; b < a; b++)
                assert_true(list[a].tile != list[b].tile || list[a].n_parts != list[b].n_parts);
        }
    }
}

/* Each process measures products of its own and writes again and again; readers never see half a file. */
static void processes_may_write_at_once(void **state)
{
    enum { PROCESSES = 6, ENTRIES = 20 };
    fixture *f = *state;
    pid_t children[PROCESSES];
    for (int c = 0; c < PROCESSES; c++) {
        children[c] = fork();
        if (children[c] != 0)
            continue;
        pm_vk_tuning t = {0};
        bool good = true;
        for (uint32_t i = 0; i < ENTRIES; i++) {
            const pm_vk_product p = {1, 64, 32 * (i + 1), 64u * ((uint32_t)c + 1)};
            good = good && pm_vk_tuning_put(&t, &p, (pm_vk_tiling){(uint32_t)c % 3, 1}) &&
                   pm_vk_tuning_write(&t, &f->cache, "tuning");
            pm_vk_tuning now = {0};
            pm_vk_tuning_read(&now, &f->cache, "tuning"); /* a whole table, whoever wrote it last */
            good = good && now.n > 0;
            pm_vk_tuning_clear(&now);
        }
        pm_vk_tuning_clear(&t);
        _exit(good ? 0 : 1);
    }
    for (int c = 0; c < PROCESSES; c++) {
        int status;
        assert_int_equal(waitpid(children[c], &status, 0), children[c]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    pm_vk_tuning t = {0};
    pm_vk_tuning_read(&t, &f->cache, "tuning");
    assert_in_range(t.n, ENTRIES, PROCESSES * ENTRIES); /* the last to write had all of its own */
    for (size_t i = 0; i < t.n; i++)
        assert_int_equal(t.list[i].tiling.tile, (t.list[i].n_out / 64 - 1) % 3);
    pm_vk_tuning_clear(&t);
}

/* ---- on devices --------------------------------------------------------------------------------------------- */

enum { K = 512, N = 96, ROWS = 40, MAX_DEVICES = 8 };

typedef struct said { /* what a device logs, and a program explains */
    int measured;     /* times that measuring was begun */
    int by_rule, by_table, sums;
} said;

static void on_log(void *user, const char *line)
{
    ((said *)user)->measured += strstr(line, "multiplies fastest") != NULL;
}

static void on_line(void *user, const char *line)
{
    said *s = user;
    s->by_rule += strstr(line, "; by rule") != NULL;
    s->by_table += strstr(line, "; measured") != NULL;
    s->sums += strstr(line, "adds up the parts") != NULL;
}

static void check(pm_status status, const pm_error *err)
{
    if (status != PM_OK)
        fail_msg("%s: %s", pm_status_text(status), err->message);
}

static pm_device *open_device(size_t index, const char *dir, pm_tuning tuning, said *s)
{
    pm_error err = {0};
    pm_device *device;
    pm_device_options options = {
        .cache_dir = dir, .no_cache = !dir, .no_self_test = 1, .tuning = tuning, .log = on_log, .log_user = s};
    check(pm_backend_vulkan.open(&options, index, &device, &err), &err);
    return device;
}

/* Compiles a product of many rows, with `forced` in the table where it is not NULL, and runs it. */
static void multiply(pm_device *device, const pm_vk_tiling *forced, said *s, float out[N * ROWS])
{
    pm_error err = {0};
    pm_vk_rig r = {.device = pm_vk_device_of(device)};
    check(pm_graph_create(&r.graph, &err), &err);
    const int64_t dims[2] = {K, ROWS};
    pm_tensor *w = pm_vk_rig_weight(&r, 0, "w", PM_TYPE_F32, K, N, 0, PM_USE_MATMUL);
    pm_tensor *x = pm_graph_input(r.graph, PM_INPUT_TEST, PM_TYPE_F32, 2, dims, PM_ROWS_TOKENS, "x");
    pm_tensor *y = pm_matmul(r.graph, w, x, NULL, NULL);
    pm_graph_output(r.graph, y);
    const pm_vk_product p = {0, ROWS, K, N};
    if (forced)
        assert_true(pm_vk_tuning_put(&r.device->tuning, &p, *forced));
    const pm_backend *b = &pm_backend_vulkan;
    check(b->weights_create(device, r.weights, r.n_weights, NULL, NULL, &r.stored, &err), &err);
    check(b->program_create(device, r.graph, r.stored, NULL, NULL, &r.program, &err), &err);
    b->explain(device, r.program, on_line, s);
    float *data = malloc(sizeof *data * K * ROWS);
    for (uint32_t i = 0; i < K * ROWS; i++)
        data[i] = pm_vk_rig_number(i);
    check(b->tensor_write(device, r.program, x, 0, data, sizeof *data * K * ROWS, &err), &err);
    const pm_run_params params = {.n_tokens = ROWS};
    check(b->program_run(device, r.program, &params, NULL, &err), &err);
    check(b->tensor_read(device, r.program, y, 0, out, sizeof *out * N * ROWS, &err), &err);
    free(data);
    b->program_destroy(device, r.program);
    b->weights_destroy(device, r.stored);
    pm_graph_destroy(r.graph);
    pm_vk_rig_free_data(&r);
}

static size_t n_devices(void)
{
    pm_device_info infos[MAX_DEVICES];
    size_t n = 0;
    pm_error err = {0};
    check(pm_backend_vulkan.list(infos, MAX_DEVICES, &n, &err), &err);
    return n;
}

static void close_to(const float *a, const float *b)
{
    for (int i = 0; i < N * ROWS; i++)
        if (!(a[i] - b[i] < 1e-4f && b[i] - a[i] < 1e-4f))
            fail_msg("value %d is %g and should be %g", i, (double)a[i], (double)b[i]);
}

static void choices_from_the_table_are_obeyed_where_they_can(void **state)
{
    (void)state;
    static const pm_vk_tiling rows[] = {{0, 1}, {0, 2}, {0, 3}, {0, 6}, {0, 16}, {0, 5}, {9, 1}, {0, 0}, {3, 99}};
    enum { POSSIBLE = 5 };
    static float want[N * ROWS], got[N * ROWS];
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        said s = {0};
        pm_device *device = open_device(d, NULL, PM_TUNING_ON, &s);
        multiply(device, NULL, &s, want);
        if (!s.by_rule) {
            pm_backend_vulkan.close(device);
            print_message("skip: %s multiplies F32 without tiles\n", "a device");
            continue;
        }
        assert_int_equal(s.by_table + s.measured, 0); /* without a place to keep it nothing is measured */
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            s = (said){0};
            multiply(device, &rows[i], &s, got);
            assert_true(i < POSSIBLE ? s.by_table > 0 && !s.by_rule : s.by_rule > 0 && !s.by_table);
            if (i < POSSIBLE)
                assert_int_equal(s.sums, rows[i].n_parts > 1);
            close_to(got, want);
        }
        pm_backend_vulkan.close(device);
    }
}

static void what_is_measured_is_kept(void **state)
{
    fixture *f = *state;
    static float want[N * ROWS], got[N * ROWS];
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        said s = {0};
        pm_device *device = open_device(d, f->dir, PM_TUNING_ON, &s);
        bool tunes = pm_vk_device_of(device)->tunes;
        multiply(device, NULL, &s, want);
        size_t n_kept = pm_vk_device_of(device)->tuning.n;
        pm_backend_vulkan.close(device);
        if (!tunes) {
            print_message("skip: a device without timestamps is not measured\n");
            assert_int_equal(s.measured + (int)n_kept, 0);
            continue;
        }
        assert_true(s.measured == 1 && n_kept == 1 && s.by_table > 0 && !s.by_rule);
        static const struct {
            pm_tuning mode;
            int measured;
        } again[] = {{PM_TUNING_ON, 0}, {PM_TUNING_OFF, 0}, {PM_TUNING_ANEW, 1}, {PM_TUNING_ON, 0}};
        for (size_t i = 0; i < sizeof again / sizeof *again; i++) {
            s = (said){0};
            device = open_device(d, f->dir, again[i].mode, &s);
            assert_int_equal(device->info.n_tuned, again[i].mode == PM_TUNING_ON);
            assert_true(again[i].mode == PM_TUNING_OFF ||
                        !strncmp(device->info.tuning_file, f->dir, strlen(f->dir)));
            multiply(device, NULL, &s, got);
            assert_int_equal(s.measured, again[i].measured);
            assert_true(again[i].mode == PM_TUNING_OFF ? s.by_rule && !s.by_table : s.by_table && !s.by_rule);
            close_to(got, want);
            pm_backend_vulkan.close(device);
        }
        setenv("PUMICE_VK_TUNING", "0",
               1); /* software devices are not measured unless asked to be; a table is read */
        s = (said){0};
        device = open_device(d, f->dir, PM_TUNING_ANEW, &s);
        multiply(device, NULL, &s, got);
        if (pm_vk_device_of(device)->facts.kind == PM_DEVICE_SOFTWARE_GPU)
            assert_true(s.measured == 0 && s.by_rule > 0);
        pm_backend_vulkan.close(device);
        setenv("PUMICE_VK_TUNING", "1", 1);
    }
}

int main(void)
{
    setenv("PUMICE_VK_PLAY_GPU", "1", 1);
    setenv("PUMICE_VK_TUNING", "1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_found_by_all_of_their_numbers),
        cmocka_unit_test_setup_teardown(the_file_comes_back, set_up, tear_down),
        cmocka_unit_test(contents_that_make_no_sense_are_refused),
        cmocka_unit_test(any_bytes_are_read_safely),
        cmocka_unit_test(the_rule_and_what_is_measured_beside_it),
        cmocka_unit_test_setup_teardown(processes_may_write_at_once, set_up, tear_down),
        cmocka_unit_test(choices_from_the_table_are_obeyed_where_they_can),
        cmocka_unit_test_setup_teardown(what_is_measured_is_kept, set_up, tear_down),
    };
    if (!n_devices())
        print_message("skip: this machine has no Vulkan device\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
