/* pm_device_measure: passes the question on to the backend. */
#include "backends/backend.h"

pm_status pm_device_measure(pm_device *device, pm_ceilings *out, pm_error *err)
{
    *out = (pm_ceilings){0};
    return device->backend->measure ? device->backend->measure(device, out, err) : PM_OK;
}
