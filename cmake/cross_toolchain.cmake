# The toolchain file of every system but the build host's: -DHALPOOL_SYSTEM=<component> names the system, and
# schedules/targets.json has its facts. The compiler is <triple>-g++, as Debian and others name it.
cmake_policy(VERSION 3.28)
include(${CMAKE_CURRENT_LIST_DIR}/target_systems.cmake)
read_target_system("${HALPOOL_SYSTEM}")

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${system_processor})
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES HALPOOL_SYSTEM)

foreach(compiler C:gcc CXX:g++)
  string(REPLACE ":" ";" compiler ${compiler})
  list(POP_FRONT compiler language)
  if(NOT DEFINED CMAKE_${language}_COMPILER)
    find_program(HALPOOL_CROSS_${language} ${system_triple}-${compiler} NO_CMAKE_FIND_ROOT_PATH)
    if(NOT HALPOOL_CROSS_${language})
      message(FATAL_ERROR "halpool: ${system_triple}-${compiler} was not found, which compiles for ${HALPOOL_SYSTEM}. "
        "On Debian: apt-get install ${system_package}")
    endif()
    set(CMAKE_${language}_COMPILER ${HALPOOL_CROSS_${language}})
  endif()
endforeach()

# Nothing of the build host's is found but programs.
set(CMAKE_FIND_ROOT_PATH /usr/${system_triple})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
foreach(kind LIBRARY INCLUDE PACKAGE)
  set(CMAKE_FIND_ROOT_PATH_MODE_${kind} ONLY)
endforeach()

list(GET system_emulators 0 CMAKE_CROSSCOMPILING_EMULATOR)
separate_arguments(CMAKE_CROSSCOMPILING_EMULATOR UNIX_COMMAND "${CMAKE_CROSSCOMPILING_EMULATOR}")
