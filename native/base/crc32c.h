#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace paipai {

// CRC32C (Castagnoli, reflected polynomial 0x82F63B78, initial and final inversion). Of nothing it
// is 0. The fastest implementation that this CPU has is chosen at the first call. Thread: any.
uint32_t Crc32c(ByteSpan bytes);

// The checksum of A followed by `bytes`, where `crc` is that of A.
uint32_t Crc32cExtend(uint32_t crc, ByteSpan bytes);

// The checksum of A followed by B, from those of A and B and the length of B. At most 16
// multiplications.
uint32_t Crc32cCombine(uint32_t crc_a, uint32_t crc_b, uint64_t bytes_b);

// Which implementation is in use: "sse4.2", "arm" or "table".
const char* Crc32cImplementation();

}  // namespace paipai
