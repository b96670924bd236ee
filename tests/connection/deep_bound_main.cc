// What Debian's and Ubuntu's Python are: a program that is not position independent, whose copy of
// `environ` is the one that libc fills. It loads the library as Python does and makes an object.
// usage: deep_bound LIBRARY; 0: served, 1: not (why is said), 3: this program is not like those
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>

#include "nvcv_cached/allocator.h"

int main(int, char** arguments) {
  if (environ == nullptr || *environ == nullptr) return 3;
  void* const library = ::dlopen(arguments[1], RTLD_NOW | RTLD_DEEPBIND);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", ::dlerror());
    return 1;
  }
  const auto allocate =
      reinterpret_cast<decltype(&nvcv_cached_allocate)>(::dlsym(library, "nvcv_cached_allocate"));
  const auto last_error = reinterpret_cast<decltype(&nvcv_cached_last_error)>(
      ::dlsym(library, "nvcv_cached_last_error"));
  if (allocate(4096, -1, nullptr) != nullptr) return 0;
  std::fprintf(stderr, "%s\n", last_error());
  return 1;
}
