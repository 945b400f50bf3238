#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

namespace paipai {

using ByteSpan = std::span<const uint8_t>;
using MutableByteSpan = std::span<uint8_t>;

// The wire is little-endian, and so is every host that Node runs this package on. Headers are
// copied as they lie; a big-endian port has to swap in the functions below and in frame_layout.h.
static_assert(std::endian::native == std::endian::little, "big-endian hosts need byte swaps here");

// Read and write little-endian numbers at any alignment.

inline uint16_t Load16(const uint8_t* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

inline uint32_t Load32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

inline uint64_t Load64(const uint8_t* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

inline void Store16(uint8_t* bytes, uint16_t value) { std::memcpy(bytes, &value, sizeof value); }
inline void Store32(uint8_t* bytes, uint32_t value) { std::memcpy(bytes, &value, sizeof value); }
inline void Store64(uint8_t* bytes, uint64_t value) { std::memcpy(bytes, &value, sizeof value); }

}  // namespace paipai
