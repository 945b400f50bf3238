#include "memory/buffer_pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace paipai {

size_t Buffer::room() const { return kBlockBytes - end_; }

size_t Buffer::Append(const uint8_t* bytes, size_t size) {
  const size_t taken = std::min(size, room());
  if (taken > 0) std::memcpy(data_ + end_, bytes, taken);
  end_ += taken;
  return taken;
}

void Buffer::Release() {
  if (data_ == nullptr) return;
  pool_->Return(std::exchange(data_, nullptr));
  Clear();
}

BufferPool::~BufferPool() { PP_ASSERT(blocks_in_use_ == 0); }

Buffer BufferPool::Acquire() {
  const bool is_full = blocks_in_use_ >= blocks_max_;
  if (is_full || (warm_.empty() && cold_.empty() && !Grow())) {
    ++exhausted_count_;
    return Buffer();
  }
  std::vector<uint8_t*>& free = warm_.empty() ? cold_ : warm_;
  uint8_t* block = free.back();
  free.pop_back();
  ++blocks_in_use_;
  return Buffer(this, block);
}

void BufferPool::Return(uint8_t* block) {
  PP_DEBUG_ASSERT(blocks_in_use_ > 0);
  --blocks_in_use_;
  if (warm_.size() < kWarmBlocksMax) {
#ifndef NDEBUG
    std::memset(block, 0xdb, kBlockBytes);
#endif
    warm_.push_back(block);
    return;
  }
  DiscardPages(block, kBlockBytes);
  cold_.push_back(block);
}

bool BufferPool::Grow() {
  Slab slab(kSlabBytes);
  if (slab.data() == nullptr) return false;
  for (size_t offset = 0; offset < kSlabBytes; offset += kBlockBytes) {
    cold_.push_back(slab.data() + offset);
  }
  slabs_.push_back(std::move(slab));
  return true;
}

}  // namespace paipai
