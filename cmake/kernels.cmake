# One emission per (kernel, target), one archive per target, one registry per component.
set(schedules ${PROJECT_SOURCE_DIR}/schedules)
set(manifest_script ${PROJECT_SOURCE_DIR}/cmake/kernel_manifest.py)
set(kernel_dir ${PROJECT_BINARY_DIR}/kernels)

set(targets "${HALPOOL_TARGETS}")
if(NOT targets)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    message(FATAL_ERROR "halpool: no default targets for ${CMAKE_SYSTEM_PROCESSOR}; name them with -DHALPOOL_TARGETS=...")
  endif()
  execute_process(COMMAND ${Python3_EXECUTABLE} ${manifest_script} --schedules ${schedules} --list-targets
    OUTPUT_VARIABLE targets OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
list(JOIN targets "," targets_argument)
execute_process(
  COMMAND ${Python3_EXECUTABLE} ${manifest_script} --schedules ${schedules} --out ${kernel_dir} --targets "${targets_argument}"
  RESULT_VARIABLE manifest_result ERROR_VARIABLE manifest_error ERROR_STRIP_TRAILING_WHITESPACE)
if(manifest_result)
  message(FATAL_ERROR "halpool: ${manifest_error}")
endif()
include(${kernel_dir}/kernels.cmake)

# Configure again when a schedule changes; Ninja then emits only the kernels whose command line changed.
list(TRANSFORM HALPOOL_BUILT_TARGETS REPLACE "(.+)" "${schedules}/\\1.json" OUTPUT_VARIABLE schedule_files)
set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${schedules}/targets.json ${schedules}/kernels.json ${schedule_files} ${manifest_script})

# Our runtime checks every argument before it calls, so kernels need no assertions; with these gone they refer to no
# symbol of a Halide runtime, and none is linked.
set(kernel_features no_runtime-no_bounds_query-no_asserts-user_context)
if(HALPOOL_SANITIZE MATCHES "address")
  string(APPEND kernel_features -asan)
endif()

foreach(target IN LISTS HALPOOL_BUILT_TARGETS)
  set(objects_${target} "")
endforeach()
foreach(kernel IN LISTS HALPOOL_KERNELS)
  string(REPLACE "|" ";" fields "${kernel}")
  list(POP_FRONT fields function target op halide_target parameters)
  string(REPLACE "," ";" parameters "${parameters}")
  set(object ${kernel_dir}/${target}/${function}.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${kernel_dir}/${target}
    COMMAND halpool_generator -g ${op} -f ${function} -n ${function} -o ${kernel_dir}/${target} -e object
            target=${halide_target}-${kernel_features} ${parameters}
    DEPENDS halpool_generator
    COMMENT "Emitting ${function}"
    VERBATIM)
  set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  list(APPEND objects_${target} ${object})
endforeach()

foreach(target IN LISTS HALPOOL_BUILT_TARGETS)
  add_library(halpool_${target} STATIC ${objects_${target}} ${kernel_dir}/table_${target}.cpp)
  set_target_properties(halpool_${target} PROPERTIES LINKER_LANGUAGE CXX POSITION_INDEPENDENT_CODE ON)
  target_include_directories(halpool_${target} PRIVATE ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(halpool_${target} PRIVATE $<BUILD_INTERFACE:halpool_compile_flags>)
endforeach()

foreach(component IN LISTS HALPOOL_BUILT_COMPONENTS)
  add_library(halpool_${component} STATIC ${kernel_dir}/registry_${component}.cpp)
  set_target_properties(halpool_${component} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(halpool_${component} PRIVATE ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(halpool_${component} PRIVATE $<BUILD_INTERFACE:halpool_compile_flags>)
  list(TRANSFORM HALPOOL_TARGETS_OF_${component} PREPEND halpool_ OUTPUT_VARIABLE archives)
  target_link_libraries(halpool_${component} PUBLIC ${archives})
endforeach()

# What users link. The runtime refers to the registries, and these to the kernels: a linker needs them in that order.
list(TRANSFORM HALPOOL_BUILT_COMPONENTS PREPEND halpool_ OUTPUT_VARIABLE registries)
target_link_libraries(halpool_runtime INTERFACE "$<BUILD_INTERFACE:${registries}>")
add_library(halpool INTERFACE)
add_library(halpool::halpool ALIAS halpool)
target_compile_features(halpool INTERFACE cxx_std_17)
target_link_libraries(halpool INTERFACE halpool_runtime)
if(HALPOOL_SANITIZE)
  target_link_options(halpool INTERFACE -fsanitize=${HALPOOL_SANITIZE})
endif()
