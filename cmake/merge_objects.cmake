# merge_objects(OUTPUT LIBRARY): one object of all those of an object library, whose internals are local: only halpool_*
# can be seen by, or collide with, what a program links besides. With sanitizers, and on a system
# whose objects are not ELF, they stay as they are.
function(merge_objects output library)
  target_include_directories(${library} PUBLIC ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${library} PRIVATE halpool_compile_flags)
  set_target_properties(${library} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  # objcopy can make neither a "unique" symbol (a static local of a standard header) local, nor one of link-time
  # optimisation's objects.
  target_compile_options(${library} PRIVATE -Wconversion -Wno-sign-conversion -fno-lto
    $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
  if(HALPOOL_SANITIZE OR NOT system_elf)
    set(${output} $<TARGET_OBJECTS:${library}> PARENT_SCOPE)
    return()
  endif()
  set(relocating_linker ${CMAKE_LINKER})
  if(relocating_linker MATCHES "lld")  # which has no --force-group-allocation
    find_program(HALPOOL_GNU_LD ld.bfd REQUIRED DOC "GNU ld, to merge the runtime's objects")
    set(relocating_linker ${HALPOOL_GNU_LD})
  endif()
  set(merged ${PROJECT_BINARY_DIR}/merged/${library}.o)
  add_custom_command(
    OUTPUT ${merged}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/merged
    COMMAND ${relocating_linker} -r --force-group-allocation -o ${merged}.all $<TARGET_OBJECTS:${library}>
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=halpool_* ${merged}.all ${merged}
    DEPENDS ${library} $<TARGET_OBJECTS:${library}>
    COMMAND_EXPAND_LISTS VERBATIM)
  set_source_files_properties(${merged} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  set(${output} ${merged} PARENT_SCOPE)
endfunction()
