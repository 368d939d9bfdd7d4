# CPU kernel files named *_avx2.c, *_avx512.c and *_neon.c are compiled for that instruction set on the processors
# that have it, and left out elsewhere; engine/backends/cpu chooses among them at run time.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(PUMICE_CPU_LEFT_OUT "_neon\\.c$")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(PUMICE_CPU_LEFT_OUT "_avx(2|512)\\.c$")
else()
  set(PUMICE_CPU_LEFT_OUT "_(avx2|avx512|neon)\\.c$")
endif()
foreach(source IN LISTS PUMICE_ENGINE_SOURCES)
  if(source MATCHES "${PUMICE_CPU_LEFT_OUT}")
    set_source_files_properties(${source} PROPERTIES HEADER_FILE_ONLY ON)
  elseif(source MATCHES "_avx2\\.c$")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;-mbmi2")
  elseif(source MATCHES "_avx512\\.c$")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
      "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mavx512vbmi;-mfma;-mf16c;-mbmi2;-mprefer-vector-width=512")
  endif()
endforeach()

# The fuzzers read files; instrumenting unrolled vector kernels would take clang minutes and find nothing there.
if(PUMICE_FUZZ)
  foreach(source IN LISTS PUMICE_ENGINE_SOURCES)
    if(source MATCHES "/backends/cpu/(kernels|matmul)_")
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS "-fno-sanitize=all")
    endif()
  endforeach()
endif()
