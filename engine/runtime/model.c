/* Opening a model: the file, its description, and its weights on a device. See pumice/model.h. */
#include "runtime/runtime.h"

#include <stdlib.h>

#include "base/error.h"
#include "models/hf_import.h"

pm_status pm_model_read(const char *path, pm_gguf **out, pm_error *err)
{
    return pm_hf_is_directory(path) ? pm_hf_open(path, out, err) : pm_gguf_open(path, out, err);
}

pm_status pm_model_open(const char *path, pm_device *device, const pm_model_options *options, pm_model **out,
                        pm_error *err)
{
    *out = NULL;
    pm_model *model = calloc(1, sizeof *model);
    if (!model)
        return pm_fail_memory(err, sizeof *model, "a model");
    model->device = device;
    pm_status status = pm_model_read(path, &model->file, err);
    if (status == PM_OK)
        status = pm_model_def_load(model->file, &model->def, err);
    if (status == PM_OK && options && options->planned)
        status = pm_session_check_fit(model, options->planned, err);
    if (status == PM_OK)
        status = device->backend->weights_create(device, model->def->weights, model->def->n_weights,
                                                 options ? options->progress : NULL, options ? options->user : NULL,
                                                 &model->weights, err);
    if (status != PM_OK) {
        pm_model_close(model);
        return status;
    }
    model->def->info.device_bytes = device->backend->weights_bytes(model->weights);
    *out = model;
    return PM_OK;
}

void pm_model_close(pm_model *model)
{
    if (!model)
        return;
    if (model->weights)
        model->device->backend->weights_destroy(model->device, model->weights);
    pm_model_def_free(model->def);
    pm_gguf_close(model->file);
    free(model);
}

const pm_model_info *pm_model_get_info(const pm_model *model)
{
    return &model->def->info;
}

const pm_gguf *pm_model_file(const pm_model *model)
{
    return model->file;
}

pm_device *pm_model_device(const pm_model *model)
{
    return model->device;
}
