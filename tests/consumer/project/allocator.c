/* The C header alone, in C: a block of the thread's device, given back and got again. */
#include <nvcv_cached/allocator.h>
#include <stdio.h>

int main(void) {
  void* first = nvcv_cached_allocate(4096, -1, NULL);
  void* again;
  if (first == NULL) {
    printf("unavailable: %s\n", nvcv_cached_last_error());
    return 0;
  }
  nvcv_cached_free(first, 4096, -1, NULL);
  again = nvcv_cached_allocate(4096, -1, NULL);
  nvcv_cached_free(again, 4096, -1, NULL);
  printf(first == again ? "the same block\n" : "another block\n");
  return 0;
}
