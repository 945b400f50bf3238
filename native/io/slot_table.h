#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace paipai {

// What a driver knows of each attached descriptor, by a small number that is used again. Thread:
// loop.
template <class Slot>
class SlotTable {
 public:
  // A slot as new. References to others become invalid.
  uint32_t Take() {
    if (free_.empty()) {
      slots_.emplace_back();
      return static_cast<uint32_t>(slots_.size() - 1);
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  void Free(uint32_t index) {
    slots_[index] = Slot{};
    free_.push_back(index);
  }

  Slot& operator[](uint32_t index) { return slots_[index]; }
  const Slot& operator[](uint32_t index) const { return slots_[index]; }

 private:
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace paipai
