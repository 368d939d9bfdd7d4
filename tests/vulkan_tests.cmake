# Unit tests of the Vulkan runtime: each runs on every implementation of Vulkan that is installed (lavapipe, SwiftShader;
# real GPUs through the loader's own choice), and once more with the validation layer, where any message fails it.
set(PUMICE_LAVAPIPE_ICD /usr/share/vulkan/icd.d/lvp_icd.x86_64.json CACHE FILEPATH "ICD file of Mesa's lavapipe")
set(PUMICE_SWIFTSHADER_ICD /usr/lib/chromium/vk_swiftshader_icd.json CACHE FILEPATH "ICD file of SwiftShader")

add_library(keep_drivers MODULE keep_drivers.c)
target_link_libraries(keep_drivers PRIVATE pumice_options)
set(PUMICE_VULKAN_TEST_ENV "LD_PRELOAD=$<TARGET_FILE:keep_drivers>" "ASAN_OPTIONS=verify_asan_link_order=0"
    "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/lsan.supp")

# Adds the tests NAME.lavapipe, NAME.swiftshader (with the validation layer) or, where neither is there, NAME.
function(pumice_vulkan_test name)
  set(found FALSE)
  foreach(which lavapipe swiftshader)
    string(TOUPPER ${which} upper)
    set(icd ${PUMICE_${upper}_ICD})
    if(EXISTS ${icd})
      set(found TRUE)
      add_test(NAME ${name}.${which} COMMAND ${ARGN})
      set_tests_properties(${name}.${which} PROPERTIES ENVIRONMENT
        "VK_ICD_FILENAMES=${icd};PUMICE_VK_VALIDATION=${PUMICE_TEST_VALIDATION};${PUMICE_VULKAN_TEST_ENV}")
    else()
      message(STATUS "skip: ${name} does not run on ${which}, ${icd} is not there")
    endif()
  endforeach()
  if(NOT found)
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${PUMICE_VULKAN_TEST_ENV}")
  endif()
endfunction()

# The same with the kernels that only real GPUs are given otherwise.
function(pumice_vulkan_gpu_kernels_test name)
  pumice_vulkan_test(${name} ${ARGN})
  foreach(test ${name}.lavapipe ${name}.swiftshader)
    if(TEST ${test})
      set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT "PUMICE_VK_PLAY_GPU=1")
    endif()
  endforeach()
endfunction()

if(EXISTS /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json)
  set(PUMICE_TEST_VALIDATION 1)
else()
  set(PUMICE_TEST_VALIDATION 0)
  message(STATUS "skip: Vulkan tests run without the validation layer, which is not installed")
endif()

foreach(source IN LISTS vulkan_sources)
  get_filename_component(name ${source} NAME_WE)
  string(REPLACE "test_" "" short ${name})
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE pumice_options test_support pumice pumice_shaders Vulkan::Vulkan
                        PkgConfig::CMOCKA m)
  target_compile_definitions(${name} PRIVATE PUMICE_VULKAN=1)
  pumice_vulkan_test(unit.${short} $<TARGET_FILE:${name}>)
endforeach()

# It bends reference kernels to play a driver that computes wrongly.
target_link_options(test_vk_selftest PRIVATE -Wl,--wrap=pm_ref_silu -Wl,--wrap=pm_ref_swiglu)
