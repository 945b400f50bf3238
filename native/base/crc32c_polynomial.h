#pragma once

#include <cstdint>

// Arithmetic of polynomials over GF(2) modulo the Castagnoli polynomial, reflected as CRC32C has
// it: bit 31 of a number is the coefficient of x^0, bit 0 that of x^31. To append n zero bytes to a
// message is to multiply its (uninverted) checksum by x^(8n).

namespace paipai::internal {

inline constexpr uint32_t kCrc32cPolynomial = 0x82F63B78;
inline constexpr uint32_t kXToThe0 = 0x80000000;

constexpr uint32_t TimesX(uint32_t a) { return (a >> 1) ^ (kCrc32cPolynomial & (0u - (a & 1))); }

// Branchless, since which bits are set in a checksum is a coin toss.
constexpr uint32_t Multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (int bit = 31; bit >= 0; --bit) {
    product ^= b & (0u - ((a >> bit) & 1));
    b = TimesX(b);
  }
  return product;
}

constexpr uint32_t XToThe(uint64_t exponent) {
  uint32_t power = kXToThe0;
  for (uint32_t square = TimesX(kXToThe0); exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) power = Multiply(power, square);
    square = Multiply(square, square);
  }
  return power;
}

}  // namespace paipai::internal
