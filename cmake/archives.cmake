# One emission per (kernel, target), one archive per target, one per component.

foreach(target IN LISTS HALPOOL_BUILT_TARGETS)
  set(objects_${target} "")
endforeach()
foreach(kernel IN LISTS HALPOOL_KERNELS)
  string(REPLACE "|" ";" fields "${kernel}")
  list(POP_FRONT fields function target halide_target device op streaming_bytes parameters)
  string(REPLACE "," ";" parameters "${parameters}")
  set(object ${HALPOOL_KERNEL_DIR}/${target}/${function}.o)
  list(APPEND objects_${target} ${object})
  set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON)
  if(HALPOOL_EMITTED_KERNELS)
    continue()
  endif()
  set(features ${HALPOOL_KERNEL_FEATURES})
  set(rename "")
  if(device)
    # A device kernel's host part calls a Halide runtime in five places: they become our launcher's.
    foreach(hook ${device}_initialize_kernels ${device}_run ${device}_finalize_kernels ${device}_device_interface)
      list(APPEND rename --redefine-sym halide_${hook}=halpool_${hook})
    endforeach()
    list(APPEND rename --redefine-sym halide_copy_to_device=halpool_${device}_copy_to_device)
    list(PREPEND rename COMMAND ${CMAKE_OBJCOPY})
    list(APPEND rename ${object})
  elseif(HALPOOL_SANITIZE MATCHES "address")
    string(APPEND features -asan)
  endif()
  set(emitted object)
  set(assemble "")
  set(script "")
  if(streaming_bytes)  # which Halide 21 cannot emit
    set(emitted assembly)
    set(assembly ${HALPOOL_KERNEL_DIR}/${target}/${function}.s)
    set(script ${CMAKE_CURRENT_LIST_DIR}/stream_stores.py)
    set(assemble COMMAND ${Python3_EXECUTABLE} ${script} ${assembly} ${streaming_bytes} COMMAND ${CMAKE_C_COMPILER})
    if(CMAKE_C_COMPILER_TARGET)  # Clang, building for another processor
      list(APPEND assemble --target=${CMAKE_C_COMPILER_TARGET})
    endif()
    list(APPEND assemble -c ${assembly} -o ${object})
  endif()
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${HALPOOL_KERNEL_DIR}/${target}
    COMMAND halpool_generator -g ${op} -f ${function} -n ${function} -o ${HALPOOL_KERNEL_DIR}/${target} -e ${emitted}
            target=${halide_target}-${features} ${parameters}
    ${assemble}
    ${rename}
    DEPENDS halpool_generator ${script}
    COMMENT "Emitting ${function}"
    VERBATIM)
  set_source_files_properties(${object} PROPERTIES GENERATED ON)
endforeach()

function(add_archive name)
  add_library(halpool_${name} STATIC ${ARGN})
  set_target_properties(halpool_${name} PROPERTIES LINKER_LANGUAGE CXX POSITION_INDEPENDENT_CODE ON)
  target_include_directories(halpool_${name} PRIVATE ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(halpool_${name} PRIVATE $<BUILD_INTERFACE:halpool_compile_flags>)
endfunction()

foreach(target IN LISTS HALPOOL_BUILT_TARGETS)
  add_archive(${target} ${objects_${target}} ${HALPOOL_KERNEL_DIR}/table_${target}.cpp)
endforeach()

# What the runtime finds of the components that a program does not link: an empty registry for each. The linker takes
# the first definition it meets, so this archive comes behind every component's.
list(TRANSFORM HALPOOL_BUILT_COMPONENTS REPLACE "(.+)" "${HALPOOL_KERNEL_DIR}/absent_\\1.cpp" OUTPUT_VARIABLE absent)
add_archive(absent ${absent})

foreach(component IN LISTS HALPOOL_BUILT_COMPONENTS)
  set(launcher "")
  set(device ${HALPOOL_DEVICE_OF_${component}})
  if(device)
    merge_objects(launcher halpool_${device}_objects)
  endif()
  add_archive(${component} ${HALPOOL_KERNEL_DIR}/registry_${component}.cpp ${launcher})
  list(TRANSFORM HALPOOL_TARGETS_OF_${component} PREPEND halpool_ OUTPUT_VARIABLE archives)
  target_link_libraries(halpool_${component} PUBLIC ${archives} halpool_absent ${CMAKE_DL_LIBS} Threads::Threads)
endforeach()

# What users link. The runtime refers to the registries, and these to the kernels: a linker needs them in that order.
list(TRANSFORM HALPOOL_BUILT_COMPONENTS PREPEND halpool_ OUTPUT_VARIABLE registries)
target_link_libraries(halpool_runtime INTERFACE "$<BUILD_INTERFACE:${registries}>" halpool_absent)
add_library(halpool INTERFACE)
add_library(halpool::halpool ALIAS halpool)
target_compile_features(halpool INTERFACE cxx_std_17)
target_link_libraries(halpool INTERFACE halpool_runtime)
if(HALPOOL_SANITIZE)
  target_link_options(halpool INTERFACE -fsanitize=${HALPOOL_SANITIZE})
endif()
