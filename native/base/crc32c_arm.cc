#include "base/crc32c_kinds.h"

#if defined(__aarch64__)

#include <arm_acle.h>

#include <array>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

#include "base/bytes.h"
#include "base/crc32c_polynomial.h"

namespace paipai::internal {
namespace {

// Three runs side by side, as in crc32c_sse42.cc, but of one length and joined through tables: the
// carry-less multiplication is a second CPU feature here, and not every core has it.
constexpr size_t kRunWords = 128;
constexpr size_t kRunBytes = 8 * kRunWords;

// Multiplication by one constant, a byte of the checksum at a time.
using ByteTables = std::array<std::array<uint32_t, 256>, 4>;

constexpr ByteTables MakeTables(uint32_t factor) {
  ByteTables tables{};
  for (size_t position = 0; position < tables.size(); ++position) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      tables[position][byte] = Multiply(byte << (8 * position), factor);
    }
  }
  return tables;
}

constexpr ByteTables kOverOneRun = MakeTables(XToThe(8 * kRunBytes));

uint32_t AdvanceOverOneRun(uint32_t crc) {
  return kOverOneRun[0][crc & 0xFF] ^ kOverOneRun[1][(crc >> 8) & 0xFF] ^
         kOverOneRun[2][(crc >> 16) & 0xFF] ^ kOverOneRun[3][crc >> 24];
}

}  // namespace

bool Crc32cArmIsSupported() {
#if defined(__APPLE__)
  return true;  // Every 64-bit Apple core since 2016, hence every Mac.
#elif defined(__linux__)
  constexpr unsigned long kHwcapCrc32 = 1ul << 7;  // Linux, arch/arm64/include/uapi/asm/hwcap.h.
  return (getauxval(AT_HWCAP) & kHwcapCrc32) != 0;
#else
  return false;
#endif
}

[[gnu::target("+crc")]] uint32_t Crc32cArmExtend(uint32_t crc, const uint8_t* bytes,
                                                 size_t byte_count) {
  uint32_t crc_a = ~crc;
  for (; byte_count >= 3 * kRunBytes; byte_count -= 3 * kRunBytes) {
    uint32_t crc_b = 0;
    uint32_t crc_c = 0;
    for (const uint8_t* const end = bytes + kRunBytes; bytes != end; bytes += 8) {
      crc_a = __crc32cd(crc_a, Load64(bytes));
      crc_b = __crc32cd(crc_b, Load64(bytes + kRunBytes));
      crc_c = __crc32cd(crc_c, Load64(bytes + 2 * kRunBytes));
    }
    crc_a = AdvanceOverOneRun(AdvanceOverOneRun(crc_a) ^ crc_b) ^ crc_c;
    bytes += 2 * kRunBytes;
  }
  for (; byte_count >= 8; bytes += 8, byte_count -= 8) crc_a = __crc32cd(crc_a, Load64(bytes));
  for (; byte_count > 0; ++bytes, --byte_count) crc_a = __crc32cb(crc_a, *bytes);
  return ~crc_a;
}

}  // namespace paipai::internal

#endif
