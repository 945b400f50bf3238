// Takes as many bytes as the first argument says, touches every page, and gives them back by
// ending.
//
// Under a hypervisor that takes back what its guest has freed, the first touch of a page costs
// fifty times what it costs later (4 s against 0.06 s for 1 GiB in huge pages), and which program
// of a bench meets such pages is chance. Run just before the clock starts, this puts pages on top
// of the free list that the host has backed. Huge pages, because a small page is cut from a free
// huge one, but not the other way round.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char** argv) {
  size_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
  if (bytes == 0) return 2;
  volatile uint8_t* memory =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  (void)madvise((void*)memory, bytes, MADV_HUGEPAGE);
  for (size_t i = 0; i < bytes; i += 4096) memory[i] = 1;
  return 0;
}
