# The toolchain file of every system but the build host's: -DHALPOOL_SYSTEM=<component> names the system, and
# schedules/targets.json has its facts. The compiler is <triple>-g++, as Debian and others name it, or one that brings a
# toolchain file of its own.
cmake_policy(VERSION 3.28)
include(${CMAKE_CURRENT_LIST_DIR}/target_systems.cmake)
read_target_system("${HALPOOL_SYSTEM}")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES HALPOOL_SYSTEM)

foreach(compiler C:${system_c} CXX:${system_cxx})
  string(REPLACE ":" ";" compiler ${compiler})
  list(POP_FRONT compiler language)
  if(NOT DEFINED CMAKE_${language}_COMPILER)
    find_program(HALPOOL_CROSS_${language} ${compiler} NO_CMAKE_FIND_ROOT_PATH)
    if(NOT HALPOOL_CROSS_${language})
      message(FATAL_ERROR "halpool: ${compiler} was not found, which compiles for ${HALPOOL_SYSTEM}. "
        "On Debian: apt-get install ${system_package}")
    endif()
    set(CMAKE_${language}_COMPILER ${HALPOOL_CROSS_${language}})
  endif()
endforeach()

list(GET system_emulators 0 CMAKE_CROSSCOMPILING_EMULATOR)
separate_arguments(CMAKE_CROSSCOMPILING_EMULATOR UNIX_COMMAND "${CMAKE_CROSSCOMPILING_EMULATOR}")

if(system_toolchain_file)
  file(REAL_PATH ${CMAKE_CXX_COMPILER} compiler)
  cmake_path(GET compiler PARENT_PATH folder)
  include(${folder}/${system_toolchain_file})
else()
  set(CMAKE_SYSTEM_NAME Linux)
  set(CMAKE_SYSTEM_PROCESSOR ${system_processor})
  # Nothing of the build host's is found but programs.
  set(CMAKE_FIND_ROOT_PATH /usr/${system_triple})
  set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
  foreach(kind LIBRARY INCLUDE PACKAGE)
    set(CMAKE_FIND_ROOT_PATH_MODE_${kind} ONLY)
  endforeach()
endif()

# Of all code, GoogleTest's too, which knows nothing of halpool's targets.
list(JOIN system_compile_options " " options)
foreach(language C CXX)
  string(APPEND CMAKE_${language}_FLAGS_INIT " ${options}")
endforeach()
list(JOIN system_program_options " " options)
string(APPEND CMAKE_EXE_LINKER_FLAGS_INIT " ${options}")
if(system_link_environment)
  foreach(variable IN LISTS system_link_environment)  # for links while CMake looks around
    string(REGEX MATCH "^([A-Z_]+)=(.*)" variable ${variable})
    set(ENV{${CMAKE_MATCH_1}} ${CMAKE_MATCH_2})
  endforeach()
  foreach(language C CXX)
    set(CMAKE_${language}_LINKER_LAUNCHER ${CMAKE_COMMAND} -E env ${system_link_environment})
  endforeach()
endif()
