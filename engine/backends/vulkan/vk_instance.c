/* The Vulkan instance: which devices there are, and the validation layer when PUMICE_VK_VALIDATION=1 asks for it.
 *
 * An instance belongs to whoever opened it (a device, or a listing); there is no global one. The validation
 * layer's messages are counted: they are printed as they come and make the next call that checks them fail. */
#include "backends/vulkan/vk_runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)severity, (void)types;
    pm_vk_messages *messages = user;
    const char *text = data->pMessage ? data->pMessage : "(no text)";
    if (!messages->count++)
        snprintf(messages->first, sizeof messages->first, "%s", text);
    fprintf(stderr, "vulkan validation: %s\n", text);
    if (messages->log)
        messages->log(messages->log_user, text);
    return VK_FALSE;
}

static bool layer_present(const char *name)
{
    uint32_t n = 0;
    if (vkEnumerateInstanceLayerProperties(&n, NULL) < 0 || !n)
        return false;
    VkLayerProperties *list = calloc(n, sizeof *list);
    bool found = false;
    if (list && vkEnumerateInstanceLayerProperties(&n, list) >= 0)
        for (uint32_t i = 0; i < n && !found; i++)
            found = !strcmp(list[i].layerName, name);
    free(list);
    return found;
}

static VkResult create_instance(pm_vk_instance *instance, uint32_t version, bool validate)
{
    static const char *const layer = "VK_LAYER_KHRONOS_validation";
    const char *extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    VkValidationFeatureEnableEXT enables[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                        .enabledValidationFeatureCount = 1,
                                        .pEnabledValidationFeatures = enables};
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .pNext = &features,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = on_message,
        .pUserData = instance->messages};
    VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                             .pApplicationName = "pumice",
                             .pEngineName = "pumice",
                             .apiVersion = version};
    VkInstanceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app};
    if (validate) {
        create.pNext = &messenger;
        create.enabledLayerCount = 1;
        create.ppEnabledLayerNames = &layer;
        create.enabledExtensionCount = 1;
        create.ppEnabledExtensionNames = &extension;
    }
    VkResult result = vkCreateInstance(&create, NULL, &instance->handle);
    if (result < 0 || !validate)
        return result;
    PFN_vkCreateDebugUtilsMessengerEXT make = (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
        instance->handle, "vkCreateDebugUtilsMessengerEXT");
    messenger.pNext = NULL;
    return make ? make(instance->handle, &messenger, NULL, &instance->messenger) : VK_ERROR_EXTENSION_NOT_PRESENT;
}

/* The kinds in their order of preference; equal ones stay in the driver's order. */
static void sort_devices(pm_vk_instance *instance)
{
    for (uint32_t i = 1; i < instance->n_devices; i++)
        for (uint32_t j = i; j > 0 && instance->facts[j].kind < instance->facts[j - 1].kind; j--) {
            pm_vk_facts facts = instance->facts[j];
            instance->facts[j] = instance->facts[j - 1];
            instance->facts[j - 1] = facts;
            VkPhysicalDevice device = instance->devices[j];
            instance->devices[j] = instance->devices[j - 1];
            instance->devices[j - 1] = device;
        }
}

static pm_status find_devices(pm_vk_instance *instance, uint32_t version, pm_error *err)
{
    uint32_t n = PM_VK_MAX_DEVICES;
    if (vkEnumeratePhysicalDevices(instance->handle, &n, instance->devices) < 0)
        n = 0; /* drivers that fail to start are the same to us as none */
    if (!n)
        return PM_OK;
    instance->facts = calloc(n, sizeof *instance->facts);
    if (!instance->facts)
        return pm_fail_memory(err, n * sizeof *instance->facts, "the list of Vulkan devices");
    for (uint32_t i = 0; i < n; i++)
        pm_vk_facts_query(instance->handle, instance->devices[i], version, &instance->facts[i]);
    instance->n_devices = n;
    sort_devices(instance);
    return PM_OK;
}

pm_status pm_vk_instance_open(pm_vk_instance *instance, void (*log)(void *user, const char *line), void *log_user,
                              pm_error *err)
{
    memset(instance, 0, sizeof *instance);
    const char *wish = getenv("PUMICE_VK_VALIDATION");
    bool validate = wish && !strcmp(wish, "1");
    if (validate && !layer_present("VK_LAYER_KHRONOS_validation"))
        return pm_fail(err, PM_ERR_NOT_FOUND,
                       "PUMICE_VK_VALIDATION=1 is set but the Khronos validation layer is not installed; install "
                       "vulkan-validationlayers or unset the variable");
    uint32_t version = VK_API_VERSION_1_0;
    if (vkEnumerateInstanceVersion(&version) < 0 || version < VK_API_VERSION_1_1)
        return PM_OK;
    const uint32_t newest = VK_MAKE_API_VERSION(0, 1, 3, 0xfff); /* that we know how to use */
    if (version > newest)
        version = newest;

    instance->messages = calloc(1, sizeof *instance->messages);
    if (!instance->messages)
        return pm_fail_memory(err, sizeof *instance->messages, "the Vulkan instance");
    instance->messages->log = log;
    instance->messages->log_user = log_user;
    VkResult result = create_instance(instance, version, validate);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER || result == VK_ERROR_INITIALIZATION_FAILED) {
        pm_vk_instance_close(instance); /* a loader without a driver */
        return PM_OK;
    }
    pm_status status = PM_OK;
    if (result < 0)
        status =
            pm_fail(err, PM_ERR_DEVICE,
                    "Vulkan could not be started (VkResult %d); check the driver with vulkaninfo", (int)result);
    if (status == PM_OK)
        status = find_devices(instance, newest, err);
    if (status != PM_OK)
        pm_vk_instance_close(instance);
    return status;
}

void pm_vk_instance_close(pm_vk_instance *instance)
{
    if (instance->messenger) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy = (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
            instance->handle, "vkDestroyDebugUtilsMessengerEXT");
        destroy(instance->handle, instance->messenger, NULL);
    }
    if (instance->handle)
        vkDestroyInstance(instance->handle, NULL);
    free(instance->facts);
    free(instance->messages);
    memset(instance, 0, sizeof *instance);
}

pm_status pm_vk_check_messages(const pm_vk_device *device, pm_error *err)
{
    const pm_vk_messages *messages = device->instance.messages;
    if (!messages->count)
        return PM_OK;
    return pm_fail(err, PM_ERR_DEVICE, "the Vulkan validation layer reported %d message(s), the first: %s",
                   messages->count, messages->first);
}
