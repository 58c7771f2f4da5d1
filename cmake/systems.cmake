# The targets named that are for other systems than this tree's: each system has a cross build of its own, below
# systems/<component>. It shares this tree's generator, ends up in systems/<component>/package, is installed as
# <prefix>/<component>, and its tests are among this tree's.
if(NOT HALPOOL_OTHER_SYSTEMS)
  return()
endif()
if(CMAKE_CROSSCOMPILING)
  list(JOIN HALPOOL_OTHER_SYSTEMS ", " others)
  message(FATAL_ERROR "halpool: this tree is for ${HALPOOL_SYSTEM_COMPONENT}, and HALPOOL_TARGETS names targets for: ${others}. "
    "A tree for the build host (without HALPOOL_SYSTEM) builds for several systems.")
endif()
include(ExternalProject)
include(cmake/target_systems.cmake)

foreach(system IN LISTS HALPOOL_OTHER_SYSTEMS)
  read_target_system(${system})
  find_program(HALPOOL_${system}_COMPILER ${system_cxx})
  if(NOT HALPOOL_${system}_COMPILER)
    list(JOIN HALPOOL_TARGETS_OF_${system} ", " targets)
    message(FATAL_ERROR "halpool: HALPOOL_TARGETS names ${targets}, which ${system_cxx} compiles for, and it was not found. "
      "On Debian: apt-get install ${system_package}")
  endif()

  set(folder ${PROJECT_BINARY_DIR}/systems/${system})
  # With tests, the program is built for one of them: it takes long, and is the same everywhere.
  set(with_program ${HALPOOL_BUILD_CLI})
  list(GET HALPOOL_OTHER_SYSTEMS 0 first)
  if(HALPOOL_BUILD_TESTS AND NOT system STREQUAL first)
    set(with_program OFF)
  endif()
  list(JOIN HALPOOL_TARGETS_OF_${system} "|" targets)
  list(JOIN HALPOOL_SCHEDULES "|" schedule_files)
  list(JOIN HALPOOL_DTYPES "|" dtypes)
  list(JOIN HALPOOL_LAYOUTS "|" layouts)
  list(JOIN HALPOOL_OPS "|" ops)
  ExternalProject_Add(halpool_system_${system}
    PREFIX ${folder}
    SOURCE_DIR ${PROJECT_SOURCE_DIR}
    BINARY_DIR ${folder}/build
    STAMP_DIR ${folder}/stamp
    TMP_DIR ${folder}/tmp
    INSTALL_DIR ${folder}/package
    LIST_SEPARATOR "|"
    CMAKE_GENERATOR ${CMAKE_GENERATOR}
    CMAKE_ARGS
      -DHALPOOL_SYSTEM=${system} -DHALPOOL_TARGETS=${targets} -DHALPOOL_GENERATOR=$<TARGET_FILE:halpool_generator>
      -DHALPOOL_DTYPES=${dtypes} -DHALPOOL_LAYOUTS=${layouts} -DHALPOOL_OPS=${ops}
      -DHALPOOL_WORKLOADS=${HALPOOL_WORKLOADS} -DHALPOOL_SCHEDULES=${schedule_files} -DHALPOOL_TUNED_FOR=${HALPOOL_TUNED_FOR}
      -DHALPOOL_BUILD_CLI=${with_program} -DHALPOOL_BUILD_TESTS=${HALPOOL_BUILD_TESTS} -DHALPOOL_INSTALL=ON
      -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE} -DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM} -DCMAKE_INSTALL_MESSAGE=NEVER
      -DCMAKE_INSTALL_PREFIX=<INSTALL_DIR> -DPython3_EXECUTABLE=${Python3_EXECUTABLE}
    BUILD_ALWAYS ON
    # One after the other, each on all processors; and what they say is seen.
    USES_TERMINAL_BUILD ON
    DEPENDS halpool_generator)
  if(HALPOOL_INSTALL)
    install(DIRECTORY ${folder}/package/ DESTINATION ${system} USE_SOURCE_PERMISSIONS COMPONENT halpool_development)
  endif()

  if(HALPOOL_BUILD_TESTS)
    file(WRITE ${folder}/tests.cmake "subdirs(\"${folder}/build\")\n")
    set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY TEST_INCLUDE_FILES ${folder}/tests.cmake)
  endif()
endforeach()
