/* embedding on the cpu backend: rows are read from the table as the model file has it. */
#include "backends/cpu/cpu_backend.h"

#include <string.h>

#include "formats/block_types.h"

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    const pm_tensor *table = step->node->in[0];
    const int32_t *ids = step->in[1];
    int64_t n = table->dim[0];
    size_t row_bytes = pm_type_row_bytes(table->type, n);
    (void)context;
    for (int64_t t = begin; t < end; t++) {
        const char *from = (const char *)step->in[0] + (size_t)pm_cpu_clamp(ids[t], table->dim[1]) * row_bytes;
        if (table->type == PM_TYPE_F32)
            memcpy((float *)step->out + t * n, from, row_bytes);
        else
            pm_dequantize_row(table->type, from, (float *)step->out + t * n, n);
    }
}

const pm_cpu_step_kind pm_cpu_step_embedding = {.name = "embedding", .items = pm_cpu_rows_of_out, .run = run};
