# cuda.h, and nothing else of CUDA: the driver is loaded at run time (proto/cuda_driver.h).
#
# From the CUDA Toolkit if one of version 12 or newer is installed, else from the wheel nvidia-cuda-runtime in the
# Python environment (requirements.txt pins it).
function(nvcv_cached_find_cuda_header result)
  set(folders ${NVCV_CACHED_CUDA_INCLUDE_DIR} $ENV{CUDA_HOME}/include $ENV{CUDA_PATH}/include
    /usr/local/cuda/include /usr/include)
  file(GLOB installed /usr/local/cuda-1[2-9]*/include)
  set(python ${NVCV_CACHED_PYTHON})
  if(NOT python)
    set(python ${PROJECT_SOURCE_DIR}/.venv/bin/python)
  endif()
  if(EXISTS ${python})
    execute_process(
      COMMAND ${python} -c "import sysconfig; print(sysconfig.get_paths()['purelib'])"
      OUTPUT_VARIABLE packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    file(GLOB wheels ${packages}/nvidia/cu1[2-9]*/include ${packages}/nvidia/cuda_runtime/include)
  endif()
  set(found "")
  foreach(folder ${folders} ${installed} ${wheels})
    if(NOT EXISTS ${folder}/cuda.h)
      continue()
    endif()
    file(STRINGS ${folder}/cuda.h line REGEX "^#define CUDA_VERSION [0-9]+" LIMIT_COUNT 1)
    string(REGEX MATCH "[0-9]+$" version "${line}")
    if(version GREATER_EQUAL 12000)
      set(${result} ${folder} PARENT_SCOPE)
      return()
    endif()
    string(APPEND found " ${folder}/cuda.h (version ${version})")
  endforeach()
  message(FATAL_ERROR "cuda.h of version 12000 or newer is needed; found:${found} nothing that will do. Install "
    "the CUDA Toolkit, or run `make build` (it puts the wheel nvidia-cuda-runtime into .venv), or name the folder: "
    "-DNVCV_CACHED_CUDA_INCLUDE_DIR=...")
endfunction()

set(NVCV_CACHED_CUDA_INCLUDE_DIR "" CACHE PATH "Folder of cuda.h; empty: look for it")
nvcv_cached_find_cuda_header(folder)
message(STATUS "cuda.h: ${folder}")
add_library(nvcv_cached_cuda_header INTERFACE)
target_include_directories(nvcv_cached_cuda_header SYSTEM INTERFACE ${folder})
