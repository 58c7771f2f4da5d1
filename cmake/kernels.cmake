# Which kernels there are: schedules/ turned into lists for CMake and tables for the runtime.
if(HALPOOL_EMITTED_KERNELS)  # by another build, with their lists and tables: neither Python nor Halide is needed
  get_filename_component(HALPOOL_KERNEL_DIR "${HALPOOL_EMITTED_KERNELS}" ABSOLUTE BASE_DIR ${CMAKE_BINARY_DIR})
  if(NOT EXISTS ${HALPOOL_KERNEL_DIR}/kernels.cmake)
    message(FATAL_ERROR "halpool: HALPOOL_EMITTED_KERNELS=${HALPOOL_EMITTED_KERNELS} is not the kernels folder of a build: "
      "it has no kernels.cmake")
  endif()
  include(${HALPOOL_KERNEL_DIR}/kernels.cmake)
  set(HALPOOL_OTHER_SYSTEMS "")
  if(NOT CMAKE_SYSTEM_PROCESSOR IN_LIST HALPOOL_KERNEL_PROCESSORS)
    message(FATAL_ERROR "halpool: the kernels in ${HALPOOL_KERNEL_DIR} are for ${HALPOOL_SYSTEM_COMPONENT}, "
      "and this tree's compiler is for ${CMAKE_SYSTEM_PROCESSOR}")
  endif()
  return()
endif()

find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
set(schedules ${PROJECT_SOURCE_DIR}/schedules)
set(manifest_script ${PROJECT_SOURCE_DIR}/cmake/kernel_manifest.py)
set(HALPOOL_KERNEL_DIR ${PROJECT_BINARY_DIR}/kernels)

list(JOIN HALPOOL_TARGETS "," targets_argument)
list(JOIN HALPOOL_DTYPES "," dtypes_argument)
list(JOIN HALPOOL_LAYOUTS "," layouts_argument)
list(JOIN HALPOOL_OPS "," ops_argument)
list(JOIN HALPOOL_SCHEDULES "," tuned_argument)
execute_process(
  COMMAND ${Python3_EXECUTABLE} -B ${manifest_script} --schedules ${schedules} --out ${HALPOOL_KERNEL_DIR}
          --processor ${CMAKE_SYSTEM_PROCESSOR} --targets "${targets_argument}" --dtypes "${dtypes_argument}" --layouts "${layouts_argument}" --ops "${ops_argument}"
          --workloads "${HALPOOL_WORKLOADS}" --tuned "${tuned_argument}" --tuned-for "${HALPOOL_TUNED_FOR}"
  RESULT_VARIABLE manifest_result ERROR_VARIABLE manifest_error ERROR_STRIP_TRAILING_WHITESPACE)
if(manifest_result)
  message(FATAL_ERROR "halpool: ${manifest_error}")
elseif(manifest_error)
  message(STATUS "halpool: ${manifest_error}")
endif()
include(${HALPOOL_KERNEL_DIR}/kernels.cmake)

# Configure again when a schedule changes; Ninja then emits only the kernels whose command line changed.
list(TRANSFORM HALPOOL_SCHEDULE_FILES PREPEND ${schedules}/ OUTPUT_VARIABLE schedule_files)
set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${schedule_files} ${HALPOOL_WORKLOADS} ${HALPOOL_SCHEDULES} ${manifest_script} ${PROJECT_SOURCE_DIR}/cmake/device_identity.py)
