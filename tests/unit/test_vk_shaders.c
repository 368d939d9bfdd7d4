/* Every shader binary of this build, read word by word: what it uses is what its line in shaders/CMakeLists.txt
 * says it needs, and its resources are where the runtime binds them. No device is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backends/vulkan/vk_lower.h"

enum { OP_CAPABILITY = 17, OP_DECORATE = 71 };
enum {
    DECORATION_SPEC_ID = 1,
    DECORATION_BUILT_IN = 11,
    DECORATION_BINDING = 33,
    DECORATION_SET = 34,
    BUILT_IN_WORKGROUP_SIZE = 25
};

/* SPIR-V capabilities (the specification's numbers) and what a device must have for them. */
static const struct {
    uint32_t capability, needs;
} capabilities[] = {
    {1, 0}, /* Shader */
    {9, PM_VK_NEEDS_FLOAT16},
    {11, PM_VK_NEEDS_INT64},
    {22, PM_VK_NEEDS_INT16},
    {46, 0}, /* SampledBuffer: uniform texel buffers, which every device has */
    {39, PM_VK_NEEDS_INT8},
    {61, PM_VK_NEEDS_SUBGROUP},
    {62, PM_VK_NEEDS_SUBGROUP_BALLOT},
    {63, PM_VK_NEEDS_SUBGROUP},
    {64, PM_VK_NEEDS_SUBGROUP_BALLOT},
    {65, PM_VK_NEEDS_SUBGROUP_SHUFFLE},
    {66, PM_VK_NEEDS_SUBGROUP_SHUFFLE},
    {4433, PM_VK_NEEDS_STORAGE16}, /* StorageBuffer16BitAccess; for uniform buffers and push constants: not here */
    {4448, PM_VK_NEEDS_STORAGE8},
    {5345, PM_VK_NEEDS_COOP}, /* VulkanMemoryModel */
    {6016, PM_VK_NEEDS_DOT},
    {6017, PM_VK_NEEDS_DOT},
    {6018, PM_VK_NEEDS_DOT},
    {6019, PM_VK_NEEDS_DOT},
    {6022, PM_VK_NEEDS_COOP},
};

typedef struct resource { /* of an id */
    uint32_t set, binding;
    int has_set, has_binding;
} resource;

typedef struct findings {
    uint32_t needs, n_storage, n_uniform;
    int workgroup_size, local_size_constant;
    const char *mistake;
} findings;

static void look_at_capability(findings *f, uint32_t capability)
{
    for (size_t i = 0; i < sizeof capabilities / sizeof capabilities[0]; i++)
        if (capabilities[i].capability == capability) {
            f->needs |= capabilities[i].needs;
            return;
        }
    f->mistake = "it has a capability that no device is asked for";
}

static void look_at_bindings(findings *f, const resource *ids, uint32_t n_ids)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < n_ids; i++) {
        if (!ids[i].has_set && !ids[i].has_binding)
            continue;
        if (ids[i].set == 0 && ids[i].binding == 0)
            f->n_uniform++;
        else if (ids[i].set == 1 && ids[i].binding < PM_VK_MAX_BIND)
            seen |= 1u << ids[i].binding; /* two views of one buffer may share a binding */
        else
            f->mistake = "it has a resource outside of set 0, binding 0 and set 1, bindings 0 ..";
    }
    while (seen & (1u << f->n_storage))
        f->n_storage++;
    if (seen >> f->n_storage)
        f->mistake = "its bindings have a gap";
}

static findings examine(const pm_shader_info *info, const uint32_t *words)
{
    findings f = {0};
    if (info->n_words < 5 || words[0] != 0x07230203) {
        f.mistake = "it is no SPIR-V";
        return f;
    }
    uint32_t n_ids = words[3];
    resource *ids = calloc(n_ids, sizeof *ids);
    assert_non_null(ids);
    for (size_t at = 5; at < info->n_words; at += words[at] >> 16) {
        const uint32_t *w = words + at;
        if (!(w[0] >> 16) || at + (w[0] >> 16) > info->n_words) {
            f.mistake = "an instruction has a wrong length";
            break;
        }
        uint32_t op = w[0] & 0xffff;
        if (op == OP_CAPABILITY)
            look_at_capability(&f, w[1]);
        if (op != OP_DECORATE || w[1] >= n_ids)
            continue;
        if (w[2] == DECORATION_SET)
            ids[w[1]].set = w[3], ids[w[1]].has_set = 1;
        if (w[2] == DECORATION_BINDING)
            ids[w[1]].binding = w[3], ids[w[1]].has_binding = 1;
        if (w[2] == DECORATION_BUILT_IN && w[3] == BUILT_IN_WORKGROUP_SIZE)
            f.workgroup_size = 1;
        if (w[2] == DECORATION_SPEC_ID && w[3] == 0)
            f.local_size_constant = 1;
    }
    look_at_bindings(&f, ids, n_ids);
    free(ids);
    return f;
}

static void every_shader_is_what_its_line_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < PM_SHADER_COUNT; i++) {
        const pm_shader_info *info = &pm_shader_infos[i];
        uint32_t *words = pm_shader_unpack((pm_shader)i);
        assert_non_null(words);
        findings f = examine(info, words);
        free(words);
        if (f.mistake)
            fail_msg("shader %s: %s", info->name, f.mistake);
        if (f.needs & ~info->needs)
            fail_msg("shader %s uses features 0x%x that its NEEDS do not name", info->name,
                     f.needs & ~info->needs);
        if (f.n_storage < 1 || f.n_uniform > 1)
            fail_msg("shader %s has %u storage and %u uniform buffers", info->name, f.n_storage, f.n_uniform);
        if (!f.workgroup_size || !f.local_size_constant)
            fail_msg("shader %s: its local size is not specialization constant 0", info->name);
    }
}

static void names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < PM_SHADER_COUNT; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(pm_shader_infos[i].name, pm_shader_infos[j].name);
}

/* A device without any feature can use exactly the shaders that need none. */
static void usable_goes_by_features(void **state)
{
    (void)state;
    pm_vk_caps none = {0}, all = {.features = UINT32_MAX};
    for (size_t i = 0; i < PM_SHADER_COUNT; i++) {
        const pm_shader_info *info = &pm_shader_infos[i];
        assert_int_equal(pm_vk_usable(&none, (pm_shader)i), !info->needs);
        assert_true(pm_vk_usable(&all, (pm_shader)i));
    }
    assert_false(pm_vk_usable(&all, PM_SHADER_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shader_is_what_its_line_says),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(usable_goes_by_features),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
