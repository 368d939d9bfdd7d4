# Tests once for each instruction set of the cpu backend; a processor that lacks one skips it loudly.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(PUMICE_ISA_FLAGS portable:fpu avx2:avx2 avx512:avx512_vnni)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(PUMICE_ISA_FLAGS portable:fp neon:asimd neon_dotprod:asimddp)
endif()

# pumice_isa_tests(NAME TARGET [ARGUMENT]...): the tests NAME_<isa>.
function(pumice_isa_tests name target)
  string(REPLACE ";" " " arguments "${ARGN}")
  foreach(isa_flag IN LISTS PUMICE_ISA_FLAGS)
    string(REGEX REPLACE ":.*" "" isa ${isa_flag})
    string(REGEX REPLACE ".*:" "" flag ${isa_flag})
    set(needs "grep -qw ${flag} /proc/cpuinfo || { echo 'skip: this processor has no ${flag}'; exit 77; };")
    if(CMAKE_CROSSCOMPILING) # the emulator's processor has everything
      set(needs "")
    endif()
    add_test(NAME ${name}_${isa} COMMAND sh -c
             "${needs} exec ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:${target}> ${arguments}")
    set_tests_properties(${name}_${isa} PROPERTIES SKIP_RETURN_CODE 77 ENVIRONMENT "PUMICE_CPU_ISA=${isa}")
  endforeach()
endfunction()
