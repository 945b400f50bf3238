#include <array>

#include "base/bytes.h"
#include "base/crc32c_kinds.h"
#include "base/crc32c_polynomial.h"

namespace paipai::internal {
namespace {

// kTables[n][byte] is what `byte` does to the checksum once n more bytes have passed (slicing by
// 8).
using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (auto& table : tables) {
      for (int bit = 0; bit < 8; ++bit) crc = TimesX(crc);
      table[byte] = crc;
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

bool Crc32cTableIsSupported() { return true; }

uint32_t Crc32cTableExtend(uint32_t crc, const uint8_t* bytes, size_t byte_count) {
  crc = ~crc;
  for (; byte_count >= 8; bytes += 8, byte_count -= 8) {
    const uint64_t word = Load64(bytes) ^ crc;
    crc = 0;
    for (size_t index = 0; index < 8; ++index)
      crc ^= kTables[7 - index][(word >> (8 * index)) & 0xFF];
  }
  for (; byte_count > 0; ++bytes, --byte_count) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ *bytes) & 0xFF];
  }
  return ~crc;
}

}  // namespace paipai::internal
