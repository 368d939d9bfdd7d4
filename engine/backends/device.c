/* Devices of all backends as one list, and the choice among them. See pumice/device.h.
 *
 * The list is sorted by kind, which the enum has in the order of preference; within a kind a backend's own order
 * stays. Devices that cannot be used come last, with the reason.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "base/error.h"

enum { MAX_DEVICES = 64 };

static const pm_backend *const backends[] = {
#ifdef PUMICE_VULKAN
    &pm_backend_vulkan,
#endif
    &pm_backend_cpu,
    &pm_backend_reference,
};

enum { N_BACKENDS = sizeof backends / sizeof backends[0] };

typedef struct found_device {
    pm_device_info info;
    const pm_backend *backend;
    size_t index; /* in its backend's list */
} found_device;

static int by_preference(const void *a, const void *b)
{
    const found_device *x = a, *y = b;
    int x_bad = x->info.unusable[0] != '\0', y_bad = y->info.unusable[0] != '\0';
    if (x_bad != y_bad)
        return x_bad - y_bad;
    if (x->info.kind != y->info.kind)
        return x->info.kind < y->info.kind ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Whether the name ("vulkan:1") begins with the backend's name. */
static bool is_of_backend(const char *name, const pm_backend *backend)
{
    size_t length = strlen(backend->name);
    return strncmp(name, backend->name, length) == 0 && (name[length] == '\0' || name[length] == ':');
}

/* All devices (of the backend that `name` begins with, where it is not NULL), best first; *found is the caller's
 * to free. */
static pm_status find_devices(const char *name, found_device **found, size_t *n, pm_error *err)
{
    *n = 0;
    *found = NULL;
    found_device *list = calloc(MAX_DEVICES, sizeof *list);
    pm_device_info *infos = calloc(MAX_DEVICES, sizeof *infos);
    pm_status status =
        list && infos ? PM_OK : pm_fail_memory(err, MAX_DEVICES * sizeof *list, "the list of devices");
    for (size_t b = 0; b < N_BACKENDS && status == PM_OK; b++) {
        size_t n_own = 0;
        if (name && !is_of_backend(name, backends[b]))
            continue;
        status = backends[b]->list(infos, MAX_DEVICES - *n, &n_own, err);
        for (size_t i = 0; i < n_own && status == PM_OK; i++)
            list[(*n)++] = (found_device){infos[i], backends[b], i};
    }
    free(infos);
    if (status != PM_OK) {
        free(list);
        return status;
    }
    qsort(list, *n, sizeof *list, by_preference);
    *found = list;
    return PM_OK;
}

pm_status pm_device_list(pm_device_info **out, size_t *n, pm_error *err)
{
    found_device *found;
    *out = NULL;
    PM_TRY(find_devices(NULL, &found, n, err));
    *out = calloc(*n + 1, sizeof **out);
    for (size_t i = 0; *out && i < *n; i++)
        (*out)[i] = found[i].info;
    free(found);
    return *out ? PM_OK : pm_fail_memory(err, (*n + 1) * sizeof **out, "the list of devices");
}

void pm_device_list_free(pm_device_info *list)
{
    free(list);
}

static void describe_all(const found_device *found, size_t n, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n && used < capacity; i++) {
        int length = snprintf(text + used, capacity - used, "%s%s (%.60s)", i ? ", " : "", found[i].info.name,
                              found[i].info.title);
        used += length < 0 ? 0 : (size_t)length;
    }
}

/* Whether a device answers to a name other than "auto". "vulkan" is the first Vulkan device. */
static bool answers_to(const found_device *device, const char *name)
{
    if (strcmp(device->info.name, name) == 0)
        return true;
    return strcmp(device->backend->name, name) == 0 && device->info.unusable[0] == '\0';
}

static pm_status open_found(const found_device *device, const pm_device_options *options, pm_device **out,
                            pm_error *err)
{
    if (device->info.unusable[0] != '\0')
        return pm_fail(err, PM_ERR_UNSUPPORTED, "device %s (%s) cannot be used: %s", device->info.name,
                       device->info.title, device->info.unusable);
    return device->backend->open(options, device->index, out, err);
}

/* The best device that opens. One that does not (a driver that computes wrongly, say) is reported and passed over.
 */
static pm_status open_best(const found_device *found, size_t n, const pm_device_options *options, pm_device **out,
                           pm_error *err)
{
    pm_error failure = {.status = PM_ERR_NOT_FOUND, .message = "there is no device to choose from"};
    for (size_t i = 0; i < n; i++) {
        if (found[i].info.kind == PM_DEVICE_REFERENCE || found[i].info.unusable[0] != '\0')
            continue;
        if (open_found(&found[i], options, out, &failure) == PM_OK)
            return PM_OK;
        char line[sizeof failure.message + 64];
        snprintf(line, sizeof line, "device %s is passed over: %s", found[i].info.name, failure.message);
        if (options->log)
            options->log(options->log_user, line);
    }
    if (err)
        *err = failure;
    return failure.status;
}

static pm_status no_such_device(const char *name, pm_error *err)
{
    found_device *found;
    size_t n;
    char all[400];
    PM_TRY(find_devices(NULL, &found, &n, err));
    describe_all(found, n, all, sizeof all);
    free(found);
    bool vulkan = strncmp(name, "vulkan", 6) == 0 && (name[6] == '\0' || name[6] == ':');
#ifndef PUMICE_VULKAN
    if (vulkan)
        return pm_fail(err, PM_ERR_NOT_FOUND, "no device '%.32s': this build has no Vulkan; there are: %s", name,
                       all);
#endif
    return pm_fail(err, PM_ERR_NOT_FOUND, "%s '%.32s'; there are: %s", vulkan ? "no Vulkan device" : "no device",
                   name, all);
}

/* Asks only the backend that is named: --device cpu must not wait for Vulkan drivers to load. */
static pm_status find_named(const char *name, found_device *out, pm_error *err)
{
    found_device *found;
    size_t n, i = 0;
    PM_TRY(find_devices(name, &found, &n, err));
    while (i < n && !answers_to(&found[i], name))
        i++;
    pm_status status = i < n ? PM_OK : no_such_device(name, err);
    if (i < n)
        *out = found[i];
    free(found);
    return status;
}

static bool is_auto(const char *name)
{
    return !name || strcmp(name, "auto") == 0;
}

pm_status pm_device_find(const char *name, pm_error *err)
{
    found_device device;
    return is_auto(name) ? PM_OK : find_named(name, &device, err);
}

pm_status pm_device_open(const pm_device_options *options, pm_device **out, pm_error *err)
{
    static const pm_device_options defaults = {0};
    options = options ? options : &defaults;
    *out = NULL;
    if (!is_auto(options->name)) {
        found_device device;
        PM_TRY(find_named(options->name, &device, err));
        return open_found(&device, options, out, err);
    }
    found_device *found;
    size_t n;
    PM_TRY(find_devices(NULL, &found, &n, err));
    pm_status status = open_best(found, n, options, out, err);
    free(found);
    return status;
}

void pm_device_close(pm_device *device)
{
    if (device)
        device->backend->close(device);
}

const pm_device_info *pm_device_get_info(const pm_device *device)
{
    return &device->info;
}

const char *pm_device_kind_name(pm_device_kind kind)
{
    static const char *const names[] = {
        [PM_DEVICE_DISCRETE_GPU] = "discrete GPU", [PM_DEVICE_INTEGRATED_GPU] = "integrated GPU",
        [PM_DEVICE_VIRTUAL_GPU] = "virtual GPU",   [PM_DEVICE_CPU] = "CPU",
        [PM_DEVICE_SOFTWARE_GPU] = "software GPU", [PM_DEVICE_REFERENCE] = "reference",
    };
    unsigned index = (unsigned)kind;
    return index < sizeof names / sizeof names[0] ? names[index] : "?";
}
