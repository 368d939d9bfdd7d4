/* The types of push-constant structs, for <op>.push.h, which C and GLSL both include:
 *
 *     #include "common/push_types.h"
 *     struct pm_add_push {
 *         PM_U32 n;
 *     };
 *
 * and in the shader: layout(push_constant) uniform push_block { pm_add_push push; };
 * Only 4-byte members and at most 128 bytes, so that both languages lay the struct out alike.
 */
#ifndef PUMICE_PUSH_TYPES_H
#define PUMICE_PUSH_TYPES_H

#ifdef GL_core_profile
#define PM_U32 uint
#define PM_I32 int
#define PM_F32 float
#else
#include <stdint.h>
#define PM_U32 uint32_t
#define PM_I32 int32_t
#define PM_F32 float
#endif

#endif
