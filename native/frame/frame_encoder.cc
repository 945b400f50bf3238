#include "frame/frame_encoder.h"

#include <cstddef>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace paipai {

void SealFrame(uint8_t* header_bytes, uint32_t sequence, uint32_t payload_crc) {
  Store16(header_bytes + offsetof(FrameHeader, magic), kFrameMagic);
  header_bytes[offsetof(FrameHeader, version)] = kFrameVersion;
  Store32(header_bytes + offsetof(FrameHeader, sequence), sequence);
  Store32(header_bytes + offsetof(FrameHeader, payload_crc), payload_crc);
  Store32(header_bytes + offsetof(FrameHeader, header_crc),
          Crc32c(ByteSpan(header_bytes, kFrameHeaderCheckedBytes)));
}

void WriteFrameHeader(uint8_t* out, const FrameHeader& header) {
  std::memcpy(out, &header, sizeof header);
  SealFrame(out, header.sequence, header.payload_crc);
}

}  // namespace paipai
