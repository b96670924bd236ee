# What every target is compiled with: warnings, the sanitizer asked for, and a compiler cache if there is one.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

# Our own code asks for these; generated code does not.
add_library(nvcv_cached_warnings INTERFACE)
target_compile_options(nvcv_cached_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
if(NVCV_CACHED_WERROR)
  target_compile_options(nvcv_cached_warnings INTERFACE -Werror)
endif()

# Sanitizers leave generated and library code alone: absl and gRPC come from the system without them.
add_library(nvcv_cached_sanitize INTERFACE)
if(NVCV_CACHED_SANITIZER STREQUAL "thread")
  target_compile_options(nvcv_cached_sanitize INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(nvcv_cached_sanitize INTERFACE -fsanitize=thread)
elseif(NVCV_CACHED_SANITIZER STREQUAL "address")
  target_compile_options(nvcv_cached_sanitize INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(nvcv_cached_sanitize INTERFACE -fsanitize=address,undefined)
elseif(NVCV_CACHED_SANITIZER)
  message(FATAL_ERROR "NVCV_CACHED_SANITIZER=${NVCV_CACHED_SANITIZER}: wanted thread or address")
endif()

# nvcv_cached_own(<target>): the target is code of this project.
function(nvcv_cached_own target)
  target_link_libraries(${target} PRIVATE nvcv_cached_warnings nvcv_cached_sanitize)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
endfunction()
