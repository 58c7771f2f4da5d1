# GTest::gtest_main for a system that has no GoogleTest: compiled from the sources that Debian's googletest installs.
find_path(GOOGLETEST_SOURCE src/gtest-all.cc PATHS /usr/src/googletest/googletest NO_CMAKE_FIND_ROOT_PATH)
mark_as_advanced(GOOGLETEST_SOURCE)
if(NOT GOOGLETEST_SOURCE)
  message(FATAL_ERROR "The tests of a cross build need GoogleTest's sources. On Debian: apt-get install googletest "
    "(or pass -DGOOGLETEST_SOURCE=...)")
endif()
add_library(halpool_gtest_main STATIC EXCLUDE_FROM_ALL ${GOOGLETEST_SOURCE}/src/gtest-all.cc ${GOOGLETEST_SOURCE}/src/gtest_main.cc)
target_compile_features(halpool_gtest_main PUBLIC cxx_std_17)
target_include_directories(halpool_gtest_main SYSTEM PUBLIC ${GOOGLETEST_SOURCE}/include PRIVATE ${GOOGLETEST_SOURCE})
target_link_libraries(halpool_gtest_main PUBLIC Threads::Threads)
add_library(GTest::gtest_main ALIAS halpool_gtest_main)
