# The hot path: items, thread caches, depot, objects. No gRPC: the tests build it alone.
set(NVCV_CACHED_HOT_SOURCES
  buffer.cc
  data_type.cc
  depot.cc
  error.cc
  fork_guard.cc
  idle_index.cc
  item.cc
  shape.cc
  spec.cc
  strides.cc
  tensor.cc
  tensor_layout.cc
  thread_cache.cc
  wait_scope.cc)
list(TRANSFORM NVCV_CACHED_HOT_SOURCES PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
