#pragma once

#include <cstdint>

#include "frame/frame_layout.h"

namespace paipai {

// Finishes the header of 32 bytes at `header_bytes`, at any alignment, in which type, flags, name,
// payload bytes, stream id and argument are already in place: stamps magic, version, `sequence`,
// `payload_crc` (CRC32C of the payload, 0 of none) and last the header's own CRC32C.
void SealFrame(uint8_t* header_bytes, uint32_t sequence, uint32_t payload_crc);

// Writes `header` to the 32 bytes at `out` as a sealed header: magic, version and header CRC32C are
// always those of this version, whatever `header` says; sequence and payload CRC32C are taken from
// it.
void WriteFrameHeader(uint8_t* out, const FrameHeader& header);

}  // namespace paipai
