#include "memory/slab.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace paipai {
namespace {

size_t PageBytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

Slab::Slab(size_t bytes) {
  const size_t page = PageBytes();
  const size_t rounded = (bytes + page - 1) / page * page;
  void* mapped = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return;
  data_ = static_cast<uint8_t*>(mapped);
  size_ = rounded;
}

Slab::Slab(Slab&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Slab& Slab::operator=(Slab&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Slab::~Slab() {
  if (data_ != nullptr) munmap(data_, size_);
}

void DiscardPages(void* data, size_t size) {
#ifdef __linux__
  madvise(data, size, MADV_DONTNEED);
#else
  madvise(data, size, MADV_FREE);
#endif
}

void AdviseHugePages(void* data, size_t size) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kHugePageBytes = uintptr_t{2} << 20;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t first = (begin + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  const uintptr_t last = (begin + size) & ~(kHugePageBytes - 1);
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)data;
  (void)size;
#endif
}

}  // namespace paipai
