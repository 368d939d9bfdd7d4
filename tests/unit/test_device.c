/* Devices: the list, its order, the choice by name, errors that say what there is; the reference backend's door.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "backends/backend.h"
#include "ops/ops.h"

static void the_list_is_sorted_and_complete(void **state)
{
    (void)state;
    pm_device_info *list;
    size_t n;
    int n_cpu = 0, n_reference = 0;
    pm_error err;
    assert_int_equal(pm_device_list(&list, &n, &err), PM_OK);
    assert_true(n >= 2);
    for (size_t i = 0; i < n; i++) {
        assert_true(list[i].name[0] != '\0' && list[i].title[0] != '\0');
        n_cpu += strcmp(list[i].name, "cpu") == 0;
        n_reference += strcmp(list[i].name, "reference") == 0;
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(list[k].name, list[i].name);
        if (i > 0 && list[i - 1].unusable[0] == '\0' && list[i].unusable[0] == '\0')
            assert_true(list[i - 1].kind <= list[i].kind);
        if (i > 0 && list[i - 1].unusable[0] != '\0')
            assert_true(list[i].unusable[0] != '\0');
    }
    assert_int_equal(n_cpu, 1);
    assert_int_equal(n_reference, 1);
    pm_device_list_free(list);
    pm_device_list_free(NULL);
}

static void named_devices_open(void **state)
{
    (void)state;
    static const char *const names[] = {"cpu", "reference"};
    for (int i = 0; i < 2; i++) {
        pm_device *device;
        pm_error err = {0};
        const pm_device_options options = {.name = names[i], .n_threads = 2, .no_cache = 1};
        if (pm_device_open(&options, &device, &err) != PM_OK)
            fail_msg("%s: %s", names[i], err.message);
        assert_string_equal(pm_device_get_info(device)->name, names[i]);
        assert_true(pm_device_get_info(device)->memory_total > 0);
        pm_device_close(device);
    }
    pm_device_close(NULL);
}

/* Whatever there is, "auto" is the first usable one of the list, and a software GPU comes after the processor. */
static void auto_is_the_best(void **state)
{
    (void)state;
    pm_device_info *list;
    size_t n;
    assert_int_equal(pm_device_list(&list, &n, NULL), PM_OK);
    static const char *const names[] = {NULL, "auto"};
    for (int i = 0; i < 2; i++) {
        pm_device *device;
        const pm_device_options options = {.name = names[i], .n_threads = 1, .no_cache = 1, .no_self_test = 1};
        assert_int_equal(pm_device_open(&options, &device, NULL), PM_OK);
        const pm_device_info *info = pm_device_get_info(device);
        assert_string_equal(info->name, list[0].name);
        assert_int_not_equal(info->kind, PM_DEVICE_REFERENCE);
        assert_int_not_equal(info->kind, PM_DEVICE_SOFTWARE_GPU);
        pm_device_close(device);
    }
    pm_device_list_free(list);
}

static void unknown_names_list_what_there_is(void **state)
{
    (void)state;
    static const char *const names[] = {
        "gpu", "", "vulkan:99", "vulkan:", "vulkan:x", "CPU", "cpu:0", "reference "};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        pm_device *device = (pm_device *)1;
        pm_error err = {0};
        const pm_device_options options = {.name = names[i]};
        if (pm_device_open(&options, &device, &err) != PM_ERR_NOT_FOUND)
            fail_msg("'%s': status %d", names[i], (int)err.status);
        assert_null(device);
        assert_non_null(strstr(err.message, names[i]));
        assert_non_null(strstr(err.message, "cpu ("));
        assert_non_null(strstr(err.message, "reference ("));
    }
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(pm_device_kind_name(PM_DEVICE_DISCRETE_GPU), "discrete GPU");
    assert_string_equal(pm_device_kind_name(PM_DEVICE_REFERENCE), "reference");
    assert_string_equal(pm_device_kind_name((pm_device_kind)77), "?");
    assert_string_equal(pm_device_kind_name((pm_device_kind)-1), "?");
}

/* ---- the reference backend ---------------------------------------------------------------------------------- */

typedef struct fixture {
    pm_device *device;
    pm_graph *g;
    pm_tensor *x, *middle, *y;
    pm_weights *weights;
    pm_states *states;
    pm_program *program;
    float weight[4];
} fixture;

static int open_fixture(void **state)
{
    static fixture f;
    static const int64_t dims[] = {4, 3}, row[] = {4};
    f = (fixture){.weight = {1, 2, 3, 4}};
    const pm_device_options options = {.name = "reference", .n_threads = 2};
    const pm_weight weight = {.name = "w",
                              .type = PM_TYPE_F32,
                              .n_dims = 1,
                              .dim = {4, 1, 1, 1},
                              .data = f.weight,
                              .n_bytes = sizeof f.weight,
                              .uses = PM_USE_PLAIN};
    if (pm_device_open(&options, &f.device, NULL) != PM_OK || pm_graph_create(&f.g, NULL) != PM_OK)
        return -1;
    const pm_backend *b = f.device->backend;
    f.x = pm_graph_input(f.g, PM_INPUT_TEST, PM_TYPE_F32, 2, dims, PM_ROWS_TOKENS, "x");
    f.middle = pm_add(f.g, f.x, f.x);
    f.y = pm_add(f.g, f.middle, pm_graph_weight(f.g, 0, PM_TYPE_F32, 1, row, f.weight, "w"));
    pm_graph_output(f.g, f.y);
    *state = &f;
    return b->weights_create(f.device, &weight, 1, NULL, NULL, &f.weights, NULL) == PM_OK &&
                   b->states_create(f.device, NULL, 0, &f.states, NULL) == PM_OK &&
                   b->program_create(f.device, f.g, f.weights, f.states, NULL, &f.program, NULL) == PM_OK
               ? 0
               : -1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    const pm_backend *b = f->device->backend;
    b->program_destroy(f->device, f->program);
    b->states_destroy(f->device, f->states);
    b->weights_destroy(f->device, f->weights);
    pm_device_close(f->device);
    pm_graph_destroy(f->g);
    return 0;
}

static void a_program_runs(void **state)
{
    fixture *f = *state;
    const pm_backend *b = f->device->backend;
    const float x[12] = {1, 1, 1, 1, 2, 2, 2, 2, 9, 9, 9, 9};
    float y[12] = {0};
    const pm_run_params params = {.n_tokens = 2};
    const pm_run_options options = {0};
    assert_int_equal(b->tensor_write(f->device, f->program, f->x, 0, x, sizeof x, NULL), PM_OK);
    assert_int_equal(b->program_run(f->device, f->program, &params, &options, NULL), PM_OK);
    assert_int_equal(b->tensor_read(f->device, f->program, f->y, 0, y, sizeof y, NULL), PM_OK);
    for (int i = 0; i < 8; i++)
        assert_true(y[i] == 2 * x[i] + f->weight[i % 4]);
    assert_int_equal(b->weights_bytes(f->weights), 16);
    assert_true(b->program_bytes(f->program) >= 3 * 48);
}

static void wrong_access_is_refused(void **state)
{
    fixture *f = *state;
    const pm_backend *b = f->device->backend;
    float y[12] = {0};
    pm_error err;
    const pm_tensor *weight = f->g->nodes[1]->in[1];
    assert_int_equal(b->tensor_read(f->device, f->program, f->middle, 0, y, 4, &err), PM_ERR_ARGUMENT);
    assert_int_equal(b->tensor_read(f->device, f->program, weight, 0, y, 4, &err), PM_ERR_ARGUMENT);
    assert_int_equal(b->tensor_write(f->device, f->program, f->y, 0, y, 4, &err), PM_ERR_ARGUMENT);
    assert_int_equal(b->tensor_read(f->device, f->program, f->y, 4, y, sizeof y, &err), PM_ERR_ARGUMENT);
    assert_int_equal(b->tensor_read(f->device, f->program, f->y, SIZE_MAX, y, 4, &err), PM_ERR_ARGUMENT);
    pm_program *program = NULL;
    f->g->nodes[1]->in[1] = NULL;
    assert_int_equal(b->program_create(f->device, f->g, NULL, f->states, NULL, &program, &err), PM_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "'w'"));
}

static int stop_now(void *user)
{
    ++*(int *)user;
    return 1;
}

static void a_run_can_be_stopped(void **state)
{
    fixture *f = *state;
    int polled = 0;
    pm_error err;
    const pm_run_params params = {.n_tokens = 3};
    const pm_run_options options = {.should_stop = stop_now, .stop_user = &polled};
    assert_int_equal(f->device->backend->program_run(f->device, f->program, &params, &options, &err),
                     PM_ERR_CANCELLED);
    assert_int_equal(polled, 1);
}

static void put_line(void *user, const char *line)
{
    char *text = user;
    strncat(text, line, 2000 - strlen(text) - 2);
    strcat(text, "\n");
}

static void a_program_explains_itself(void **state)
{
    fixture *f = *state;
    char text[2000] = "";
    f->device->backend->explain(f->device, f->program, put_line, text);
    assert_non_null(strstr(text, "2 nodes"));
    assert_non_null(strstr(text, "add"));
    assert_non_null(strstr(text, "F32 [4, 3]"));
    assert_non_null(strstr(text, " w F32 [4]"));
}

#define WITH_PROGRAM(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_is_sorted_and_complete),
        cmocka_unit_test(named_devices_open),
        cmocka_unit_test(auto_is_the_best),
        cmocka_unit_test(unknown_names_list_what_there_is),
        cmocka_unit_test(kinds_have_names),
        WITH_PROGRAM(a_program_runs),
        WITH_PROGRAM(wrong_access_is_refused),
        WITH_PROGRAM(a_run_can_be_stopped),
        WITH_PROGRAM(a_program_explains_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
