#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// The implementations behind crc32c.h; for its own files, tests and benches.

namespace paipai::internal {

struct Crc32cKind {
  const char* name;
  bool (*is_supported)();  // Whether this CPU can run `extend`.
  // The contract of Crc32cExtend.
  uint32_t (*extend)(uint32_t crc, const uint8_t* bytes, size_t byte_count);
};

// Those compiled in, fastest first; the last one runs everywhere.
std::span<const Crc32cKind> Crc32cKinds();

bool Crc32cTableIsSupported();
uint32_t Crc32cTableExtend(uint32_t crc, const uint8_t* bytes, size_t byte_count);

#if defined(__x86_64__)
bool Crc32cSse42IsSupported();
uint32_t Crc32cSse42Extend(uint32_t crc, const uint8_t* bytes, size_t byte_count);
#elif defined(__aarch64__)
bool Crc32cArmIsSupported();
uint32_t Crc32cArmExtend(uint32_t crc, const uint8_t* bytes, size_t byte_count);
#endif

}  // namespace paipai::internal
