#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory/buffer.h"
#include "memory/pool_budget.h"
#include "memory/slab.h"

namespace paipai {

// Blocks of kBlockBytes, cut from slabs, handed out last in first out so that warm memory is used
// again. Free blocks beyond kWarmBlocksMax keep their addresses only; debug builds poison the
// others. It outlives every Buffer it gave. Thread: loop.
class BufferPool {
 public:
  explicit BufferPool(size_t blocks_max = kPoolBlocksMax) : blocks_max_(blocks_max) {}
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  // An empty Buffer when the budget is used up or the kernel refuses: a state to wait in, not an
  // error.
  Buffer Acquire();

  size_t blocks_in_use() const { return blocks_in_use_; }
  size_t blocks_max() const { return blocks_max_; }
  // How often Acquire came back empty.
  uint64_t exhausted_count() const { return exhausted_count_; }

 private:
  friend class Buffer;
  void Return(uint8_t* block);
  bool Grow();

  const size_t blocks_max_;
  size_t blocks_in_use_ = 0;
  uint64_t exhausted_count_ = 0;
  std::vector<uint8_t*> warm_;
  std::vector<uint8_t*> cold_;  // Free, without memory.
  std::vector<Slab> slabs_;
};

}  // namespace paipai
