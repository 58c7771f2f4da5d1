# Which kernels there are: schedules/ turned into lists for CMake and tables for the runtime.
set(schedules ${PROJECT_SOURCE_DIR}/schedules)
set(manifest_script ${PROJECT_SOURCE_DIR}/cmake/kernel_manifest.py)
set(HALPOOL_KERNEL_DIR ${PROJECT_BINARY_DIR}/kernels)

list(JOIN HALPOOL_TARGETS "," targets_argument)
execute_process(
  COMMAND ${Python3_EXECUTABLE} ${manifest_script} --schedules ${schedules} --out ${HALPOOL_KERNEL_DIR}
          --processor ${CMAKE_SYSTEM_PROCESSOR} --targets "${targets_argument}"
  RESULT_VARIABLE manifest_result ERROR_VARIABLE manifest_error ERROR_STRIP_TRAILING_WHITESPACE)
if(manifest_result)
  message(FATAL_ERROR "halpool: ${manifest_error}")
endif()
include(${HALPOOL_KERNEL_DIR}/kernels.cmake)

# Configure again when a schedule changes; Ninja then emits only the kernels whose command line changed.
list(TRANSFORM HALPOOL_SCHEDULE_FILES PREPEND ${schedules}/ OUTPUT_VARIABLE schedule_files)
set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${schedule_files} ${manifest_script})
