#include "base/crc32c.h"

#include <numeric>
#include <string_view>
#include <vector>

#include "base/crc32c_kinds.h"
#include "test.h"

namespace paipai {
namespace {

using internal::Crc32cKind;
using internal::Crc32cKinds;

ByteSpan Bytes(std::string_view text) {
  return ByteSpan(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

std::vector<uint8_t> RandomBytes(test::Random& random, size_t byte_count) {
  std::vector<uint8_t> bytes(byte_count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Next());
  return bytes;
}

// The definition, one bit at a time.
uint32_t Reference(uint32_t crc, ByteSpan bytes) {
  crc = ~crc;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
  }
  return ~crc;
}

void KnownVectors() {
  CHECK_EQUAL(Crc32c(Bytes("123456789")), 0xE3069283);
  CHECK_EQUAL(Crc32c({}), 0);
  CHECK_EQUAL(Crc32c(Bytes("a")), 0xC1D04330);
  // RFC 3720, appendix B.4.
  std::vector<uint8_t> bytes(32, 0);
  CHECK_EQUAL(Crc32c(bytes), 0x8A9136AA);
  bytes.assign(32, 0xFF);
  CHECK_EQUAL(Crc32c(bytes), 0x62A8AB43);
  for (size_t index = 0; index < 32; ++index) bytes[index] = static_cast<uint8_t>(index);
  CHECK_EQUAL(Crc32c(bytes), 0x46DD794E);
  for (size_t index = 0; index < 32; ++index) bytes[index] = static_cast<uint8_t>(31 - index);
  CHECK_EQUAL(Crc32c(bytes), 0x113FDB5C);
}

// Every length up to a few runs of the interleaved loops, then random ones, at every alignment.
void ImplementationsAgree() {
  test::Random random(1);
  const std::vector<uint8_t> bytes = RandomBytes(random, 70000);
  std::vector<size_t> sizes(700);
  std::iota(sizes.begin(), sizes.end(), 0);
  for (const size_t edge : {3u * 8 * 128, 3u * 8 * 256, 6u * 8 * 256}) {
    for (size_t size = edge - 9; size <= edge + 9; ++size) sizes.push_back(size);
  }
  for (int count = 0; count < 200; ++count) sizes.push_back(random.Below(60000));

  for (const size_t size : sizes) {
    const size_t offset = random.Below(17);
    const auto seed = static_cast<uint32_t>(random.Next());
    const uint32_t expected = Reference(seed, ByteSpan(bytes).subspan(offset, size));
    for (const Crc32cKind& kind : Crc32cKinds()) {
      if (!kind.is_supported()) continue;
      CHECK_EQUAL(kind.extend(seed, bytes.data() + offset, size), expected);
    }
  }
}

// Buffers of exactly the length, so that a sanitizer sees any read beyond.
void ReadsNothingBeyond() {
  for (size_t size = 1; size < 300; ++size) {
    const std::vector<uint8_t> bytes(size, 0x5A);
    const uint32_t expected = Reference(0, bytes);
    for (const Crc32cKind& kind : Crc32cKinds()) {
      if (kind.is_supported()) CHECK_EQUAL(kind.extend(0, bytes.data(), size), expected);
    }
  }
}

void TheFastestSupportedIsUsed() {
  for (const Crc32cKind& kind : Crc32cKinds()) {
    std::printf("  %s%s\n", kind.name, kind.is_supported() ? "" : ", which this CPU does not have");
  }
  for (const Crc32cKind& kind : Crc32cKinds()) {
    if (!kind.is_supported()) continue;
    CHECK_EQUAL(Crc32cImplementation(), std::string_view(kind.name));
    return;
  }
}

void ExtendingIsTheSameAsTheWhole() {
  test::Random random(2);
  const std::vector<uint8_t> bytes = RandomBytes(random, 5000);
  for (int count = 0; count < 500; ++count) {
    const ByteSpan whole = ByteSpan(bytes).first(random.Below(bytes.size() + 1));
    const size_t cut = random.Below(whole.size() + 1);
    CHECK_EQUAL(Crc32cExtend(Crc32c(whole.first(cut)), whole.subspan(cut)), Crc32c(whole));
  }
  CHECK_EQUAL(Crc32cExtend(123, {}), 123);
}

void CombiningIsTheSameAsTheWhole() {
  test::Random random(3);
  const std::vector<uint8_t> bytes = RandomBytes(random, 70000);
  for (int count = 0; count < 500; ++count) {
    const ByteSpan whole = ByteSpan(bytes).first(random.Below(bytes.size() + 1));
    const size_t cut = random.Below(whole.size() + 1);
    const uint32_t crc_a = Crc32c(whole.first(cut));
    const uint32_t crc_b = Crc32c(whole.subspan(cut));
    CHECK_EQUAL(Crc32cCombine(crc_a, crc_b, whole.size() - cut), Crc32c(whole));
  }
}

// Longer than memory: A, then B, then C in either grouping.
void CombiningIsAssociative() {
  test::Random random(4);
  for (int count = 0; count < 1000; ++count) {
    const auto crc_a = static_cast<uint32_t>(random.Next());
    const auto crc_b = static_cast<uint32_t>(random.Next());
    const auto crc_c = static_cast<uint32_t>(random.Next());
    const uint64_t bytes_b = random.Next() >> 1;
    const uint64_t bytes_c = random.Next() >> 1;
    const uint32_t left = Crc32cCombine(Crc32cCombine(crc_a, crc_b, bytes_b), crc_c, bytes_c);
    const uint32_t right =
        Crc32cCombine(crc_a, Crc32cCombine(crc_b, crc_c, bytes_c), bytes_b + bytes_c);
    CHECK_EQUAL(left, right);
  }
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(argument_count, arguments,
                        {
                            {"KnownVectors", KnownVectors},
                            {"ImplementationsAgree", ImplementationsAgree},
                            {"ReadsNothingBeyond", ReadsNothingBeyond},
                            {"TheFastestSupportedIsUsed", TheFastestSupportedIsUsed},
                            {"ExtendingIsTheSameAsTheWhole", ExtendingIsTheSameAsTheWhole},
                            {"CombiningIsTheSameAsTheWhole", CombiningIsTheSameAsTheWhole},
                            {"CombiningIsAssociative", CombiningIsAssociative},
                        });
}
