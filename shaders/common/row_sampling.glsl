// The sampling settings of a row: the run's, or the row's own. Wants the buffer `settings` (ints).
#ifndef PM_ROW_SAMPLING_GLSL
#define PM_ROW_SAMPLING_GLSL

layout(constant_id = 2) const uint PM_OWN_SETTINGS = 0; // each row has settings of its own

pm_row_sampling pm_row_settings(uint row)
{
    if (PM_OWN_SETTINGS == 0)
        return pm_row_sampling(run.n_history, run.repeat_penalty, run.temperature, run.top_k, run.top_p, run.min_p,
                               run.seed_lo, run.seed_hi, run.draw + row);
    uint at = row * PM_ROW_SAMPLING_WORDS;
    return pm_row_sampling(settings[at], intBitsToFloat(settings[at + 1]), intBitsToFloat(settings[at + 2]),
                           settings[at + 3], intBitsToFloat(settings[at + 4]), intBitsToFloat(settings[at + 5]),
                           uint(settings[at + 6]), uint(settings[at + 7]), uint(settings[at + 8]));
}

#endif
