#pragma once

#include <chrono>
#include <cstdint>

namespace paipai {

// Nanoseconds on a clock that never goes back; only differences mean something. Thread: any.
inline uint64_t MonotonicNanoseconds() {
  const auto since_epoch = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count());
}

}  // namespace paipai
