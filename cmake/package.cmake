# What a program that links halpool sees: one target, halpool::halpool, in the build tree and in an installed one.
set(archives halpool_runtime)
foreach(name IN LISTS HALPOOL_BUILT_COMPONENTS HALPOOL_BUILT_TARGETS)
  list(APPEND archives halpool_${name})
endforeach()
list(APPEND archives halpool_absent)

# A shared library made of these archives exports what its own code exports and nothing of halpool, so that two
# plugins of one process may hold two versions of it.
if(system_elf)
  foreach(archive IN LISTS archives)
    target_link_options(${archive} INTERFACE "LINKER:--exclude-libs,lib${archive}.a")
  endforeach()
endif()
target_compile_options(halpool INTERFACE ${system_compile_options})
target_link_options(halpool INTERFACE ${system_compile_options})

if(NOT HALPOOL_INSTALL)
  return()
endif()

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/halpool)
set(package_build_dir ${PROJECT_BINARY_DIR}/package)

list(TRANSFORM archives REPLACE "^halpool_" "" OUTPUT_VARIABLE archive_export_names)
foreach(archive name IN ZIP_LISTS archives archive_export_names)
  set_target_properties(${archive} PROPERTIES EXPORT_NAME ${name})
endforeach()

# What the C++ compiler driver links unasked and others do not: a program in C has to name it.
set(cxx_libraries ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
list(REMOVE_ITEM cxx_libraries ${CMAKE_C_IMPLICIT_LINK_LIBRARIES})
list(REMOVE_DUPLICATES cxx_libraries)
list(TRANSFORM cxx_libraries PREPEND "-l")
target_link_libraries(halpool_runtime INTERFACE
  "$<INSTALL_INTERFACE:$<$<NOT:$<LINK_LANGUAGE:CXX>>:${cxx_libraries}>>")

install(TARGETS halpool ${archives} EXPORT halpoolTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT halpool_development)
install(EXPORT halpoolTargets NAMESPACE halpool:: DESTINATION ${package_dir} COMPONENT halpool_development)
install(FILES include/halpool/halpool.h include/halpool/halpool.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/halpool COMPONENT halpool_development)

configure_file(cmake/halpoolConfig.cmake.in ${package_build_dir}/halpoolConfig.cmake @ONLY)
# Before 1.0 every minor version may break its users.
write_basic_package_version_file(${package_build_dir}/halpoolConfigVersion.cmake
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${package_build_dir}/halpoolConfig.cmake ${package_build_dir}/halpoolConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT halpool_development)

# The prefix is found from the file's own place, unless the user tied the libraries to an absolute path.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH up /${pc_dir} /)
  string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${up}")
endif()
foreach(dir INCLUDEDIR LIBDIR)
  set(pc_${dir} ${CMAKE_INSTALL_${dir}})
  if(NOT IS_ABSOLUTE ${pc_${dir}})
    string(PREPEND pc_${dir} "\${prefix}/")
  endif()
endforeach()
list(JOIN system_compile_options " " pc_cflags)
string(PREPEND pc_cflags "-I\${includedir} ")
string(STRIP "${pc_cflags}" pc_cflags)
# In the order a linker needs them.
set(pc_flags ${system_compile_options})
if(system_elf)
  list(TRANSFORM archives REPLACE "(.+)" "-Wl,--exclude-libs,lib\\1.a" OUTPUT_VARIABLE hidden)
  list(APPEND pc_flags ${hidden})
endif()
if(HALPOOL_SANITIZE)
  list(APPEND pc_flags -fsanitize=${HALPOOL_SANITIZE})
endif()
list(TRANSFORM archives PREPEND "-l" OUTPUT_VARIABLE pc_archives)
list(JOIN pc_flags " " pc_flags)
if(system_threads)
  list(APPEND pc_archives -pthread)
endif()
list(JOIN pc_archives " " pc_archives)
list(JOIN cxx_libraries " " pc_cxx_libraries)
configure_file(cmake/halpool.pc.in ${package_build_dir}/halpool.pc @ONLY)
install(FILES ${package_build_dir}/halpool.pc DESTINATION ${pc_dir} COMPONENT halpool_development)
