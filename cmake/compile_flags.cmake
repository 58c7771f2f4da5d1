# The flags of all our own C++ code, as an interface target.
add_library(halpool_compile_flags INTERFACE)
target_compile_features(halpool_compile_flags INTERFACE cxx_std_17)
target_compile_options(halpool_compile_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -fvisibility=hidden -fvisibility-inlines-hidden>)
if(HALPOOL_SANITIZE)
  target_compile_options(halpool_compile_flags INTERFACE -fsanitize=${HALPOOL_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(halpool_compile_flags INTERFACE -fsanitize=${HALPOOL_SANITIZE})
endif()
