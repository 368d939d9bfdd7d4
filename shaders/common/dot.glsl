// Integer dot product of four signed bytes in a word each: OpSDotKHR of SPV_KHR_integer_dot_product. Written as an
// instruction, as the oldest glslang that we build with does not know the GLSL extension for it.
#ifndef PM_DOT_GLSL
#define PM_DOT_GLSL

#extension GL_EXT_spirv_intrinsics : require

// Capabilities DotProductInput4x8BitPackedKHR and DotProductKHR; the literal 0 is PackedVectorFormat4x8BitKHR.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int pm_sdot_packed(int a, int b, spirv_literal int format);

#define pm_dot4(a, b) pm_sdot_packed(int(a), int(b), 0)

#endif
