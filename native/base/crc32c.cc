#include "base/crc32c.h"

#include <array>

#include "base/crc32c_kinds.h"
#include "base/crc32c_polynomial.h"

namespace paipai {
namespace internal {
namespace {

constexpr Crc32cKind kKinds[] = {
#if defined(__x86_64__)
    {"sse4.2", Crc32cSse42IsSupported, Crc32cSse42Extend},
#elif defined(__aarch64__)
    {"arm", Crc32cArmIsSupported, Crc32cArmExtend},
#endif
    {"table", Crc32cTableIsSupported, Crc32cTableExtend},
};

const Crc32cKind& FastestKind() {
  static const Crc32cKind& fastest = []() -> const Crc32cKind& {
    const Crc32cKind* kind = kKinds;
    while (!kind->is_supported()) ++kind;
    return *kind;
  }();
  return fastest;
}

// kPowers[position][digit] is x^(8 * digit * 16^position): what a length does to a checksum, one
// hexadecimal digit of the length at a time.
using Powers = std::array<std::array<uint32_t, 16>, 16>;

constexpr Powers MakePowers() {
  Powers powers{};
  uint32_t base = XToThe(8);
  for (auto& row : powers) {
    row[0] = kXToThe0;
    for (size_t digit = 1; digit < row.size(); ++digit) {
      row[digit] = Multiply(row[digit - 1], base);
    }
    base = Multiply(row.back(), base);
  }
  return powers;
}

constexpr Powers kPowers = MakePowers();

}  // namespace

std::span<const Crc32cKind> Crc32cKinds() { return kKinds; }

}  // namespace internal

uint32_t Crc32c(ByteSpan bytes) { return Crc32cExtend(0, bytes); }

uint32_t Crc32cExtend(uint32_t crc, ByteSpan bytes) {
  return internal::FastestKind().extend(crc, bytes.data(), bytes.size());
}

uint32_t Crc32cCombine(uint32_t crc_a, uint32_t crc_b, uint64_t bytes_b) {
  // Inverting before and after cancels out: crc(AB) = crc(A) * x^(8 * bytes_b) + crc(B).
  for (size_t position = 0; bytes_b != 0; ++position, bytes_b >>= 4) {
    const uint64_t digit = bytes_b & 15;
    if (digit != 0) crc_a = internal::Multiply(crc_a, internal::kPowers[position][digit]);
  }
  return crc_a ^ crc_b;
}

const char* Crc32cImplementation() { return internal::FastestKind().name; }

}  // namespace paipai
