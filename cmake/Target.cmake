# What every target of ours is compiled with. Called once a target; there are no global flags.
function(tallymesh_target name)
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -Werror -Wshadow
    -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 warns falsely inside std::string::insert (GCC bug 105651).
    target_compile_options(${name} PRIVATE -Wno-restrict)
  endif()
  if(TALLYMESH_SANITIZE)
    target_compile_options(${name} PUBLIC -fsanitize=${TALLYMESH_SANITIZE}
      -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${name} PUBLIC -fsanitize=${TALLYMESH_SANITIZE})
  endif()
  if(TALLYMESH_FUZZ)
    target_compile_options(${name} PUBLIC -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# A program that asks for memory as a node does: with jemalloc, which costs a node a tenth less processor
# time than the C library's malloc (ARCHITECTURE.md). Sanitizers bring their own.
function(tallymesh_allocator name)
  if(NOT TALLYMESH_SANITIZE)
    target_link_libraries(${name} PRIVATE PkgConfig::jemalloc)
  endif()
endfunction()

# A test executable of Boost.Test cases, registered with CTest under its own name and LABEL. The
# target tests_<LABEL> builds all of a label. SANITIZE adds the label sanitize: tools/test runs these
# again under the address and undefined-behaviour sanitizers, so it is for tests that stay quick there.
#   tallymesh_test(unit_codec LABEL unit SOURCES codec_test.cpp LINK tallymesh_messages)
function(tallymesh_test name)
  cmake_parse_arguments(arg "SANITIZE" "LABEL;TIMEOUT_S" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  tallymesh_target(${name})
  target_link_libraries(${name} PRIVATE ${arg_LINK} tallymesh_test_main)
  add_test(NAME ${name} COMMAND ${name} --log_level=test_suite --color_output=no)
  if(NOT arg_TIMEOUT_S)
    set(arg_TIMEOUT_S 120)
  endif()
  set(labels ${arg_LABEL})
  if(arg_SANITIZE)
    list(APPEND labels sanitize)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${arg_TIMEOUT_S})
  foreach(label ${labels})
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    add_dependencies(tests_${label} ${name})
  endforeach()
endfunction()
