/* The one list of model families; each is engine/models/<name>.c and defines pm_family_<name>. */
#ifndef PUMICE_MODELS_FAMILIES_H
#define PUMICE_MODELS_FAMILIES_H

#include "models/family.h"

#define PM_FAMILY_LIST(X) X(llama) X(gpt2) X(gemma) X(glm4) X(bert) X(t5) X(transformer)

#define PM_FAMILY_DECLARE(name) extern const pm_family pm_family_##name;
PM_FAMILY_LIST(PM_FAMILY_DECLARE)
#undef PM_FAMILY_DECLARE

#endif
