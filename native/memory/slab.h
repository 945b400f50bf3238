#pragma once

#include <cstddef>
#include <cstdint>

namespace paipai {

// Pages straight from the kernel, given back when the slab goes. Aligned to a page, zeroed on first
// touch. Thread: any one at a time. Source: mmap(2).
class Slab {
 public:
  Slab() = default;
  // Maps `bytes`, rounded up to whole pages. `data()` is null when the kernel refuses.
  explicit Slab(size_t bytes);
  Slab(Slab&& other) noexcept;
  Slab& operator=(Slab&& other) noexcept;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Gives the pages of [data, data + size), whole ones, back to the kernel; what they held is lost,
// the addresses stay. Source: madvise(2), MADV_DONTNEED.
void DiscardPages(void* data, size_t size);

// Asks the kernel to back [data, data + size) with huge pages: a fresh shard then costs one fault
// per 2 MiB instead of 512. A hint: refusal changes nothing but speed. Source: madvise(2),
// MADV_HUGEPAGE.
void AdviseHugePages(void* data, size_t size);

}  // namespace paipai
