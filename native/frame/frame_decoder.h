#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/result.h"
#include "frame/frame_layout.h"

namespace paipai {

// Reads and checks one header, in the order of docs/WIRE.md: magic, header CRC32C, version, type,
// payload bytes against `frame_bytes_max`. No field is believed before the CRC32C is right.
// Sequence and payload are the caller's to check (SequenceCheck, CheckPayload); flags are the
// session's. Fails: FRAME_MAGIC, FRAME_HEADER_CHECKSUM, FRAME_VERSION, FRAME_TYPE, FRAME_TOO_LARGE.
inline Result<FrameHeader> CheckHeader(std::span<const uint8_t, kFrameHeaderBytes> bytes,
                                       uint32_t frame_bytes_max) {
  FrameHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kFrameMagic) return Error::Of(ErrorCode::FRAME_MAGIC);
  if (Crc32c(bytes.first<kFrameHeaderCheckedBytes>()) != header.header_crc) {
    return Error::Of(ErrorCode::FRAME_HEADER_CHECKSUM);
  }
  if (header.version != kFrameVersion) return Error::Of(ErrorCode::FRAME_VERSION);
  if (header.type < kFrameTypeFirst || header.type > kFrameTypeLast) {
    return Error::Of(ErrorCode::FRAME_TYPE);
  }
  uint32_t payload_bytes_max = frame_bytes_max;
  if (header.type == FrameType::kStreamData) {
    payload_bytes_max = std::min(frame_bytes_max, kChunkBytesMax);
  } else if (header.type == FrameType::kSwitch) {
    payload_bytes_max = 0;
  } else if (header.type >= FrameType::kRequests) {
    payload_bytes_max = kSeveralBytesMax;
  }
  if (header.payload_bytes > payload_bytes_max) return Error::Of(ErrorCode::FRAME_TOO_LARGE);
  return header;
}

// The sequence numbers of one direction of one connection: from 0, one by one, wrapping.
struct SequenceCheck {
  uint32_t next = 0;

  // Whether `sequence` is the next one; steps on when it is. Otherwise the error is FRAME_SEQUENCE.
  bool Accept(uint32_t sequence) {
    if (sequence != next) return false;
    ++next;
    return true;
  }
};

// Whether a whole payload is the one that its header announced. Fails: FRAME_PAYLOAD_CHECKSUM.
inline Result<void> CheckPayload(const FrameHeader& header, ByteSpan payload) {
  if (Crc32c(payload) != header.payload_crc) return Error::Of(ErrorCode::FRAME_PAYLOAD_CHECKSUM);
  return {};
}

// Turns bytes that arrive in any pieces into frames. Keeps a copy of at most one partial frame:
// frame_bytes_max + 32 bytes (kSeveralBytesMax if that is more), grown only as bytes arrive, not as
// a header promises. Thread: one at a time.
class FrameDecoder {
 public:
  // `frame_bytes_max` is the longest payload taken, in bytes.
  explicit FrameDecoder(uint32_t frame_bytes_max = kFrameBytesMaxDefault)
      : frame_bytes_max_(frame_bytes_max) {}
  FrameDecoder(const FrameDecoder&) = delete;
  FrameDecoder& operator=(const FrameDecoder&) = delete;

  // Takes the next bytes of the connection and calls `sink.OnFrame(const FrameHeader&, ByteSpan
  // payload)` for each frame that they complete, in order. The payload is borrowed: gone when
  // OnFrame returns. OnFrame must not push. The first failure is final: it is the answer to every
  // later call. Fails: as CheckHeader; FRAME_SEQUENCE, FRAME_PAYLOAD_CHECKSUM.
  template <class Sink>
  Result<void> Push(ByteSpan bytes, Sink&& sink);

  // Tells that no bytes follow. Fails: FRAME_TRUNCATED inside a frame; the first failure of Push.
  Result<void> Finish() const;

 private:
  // Moves bytes from the front of `bytes` into partial_ until it holds `wanted_bytes`; whether it
  // does.
  bool Gather(ByteSpan& bytes, size_t wanted_bytes);
  // The header at the front, checked, its sequence number consumed.
  Result<void> TakeHeader(const uint8_t* bytes);

  const uint32_t frame_bytes_max_;
  SequenceCheck sequence_;
  Result<void> state_;
  bool header_taken_ = false;  // header_ belongs to the frame now being read.
  FrameHeader header_;
  std::vector<uint8_t> partial_;  // The front of the current frame: header, then payload so far.
};

template <class Sink>
Result<void> FrameDecoder::Push(ByteSpan bytes, Sink&& sink) {
  while (state_ && !bytes.empty()) {
    // A frame that lies whole in `bytes` is delivered from there; only the rest goes through
    // partial_.
    const bool in_place = partial_.empty() && bytes.size() >= kFrameHeaderBytes;
    if (!header_taken_) {
      if (!in_place && !Gather(bytes, kFrameHeaderBytes)) break;
      state_ = TakeHeader(in_place ? bytes.data() : partial_.data());
      if (!state_) break;
    }
    const size_t frame_bytes = kFrameHeaderBytes + header_.payload_bytes;
    ByteSpan frame;
    if (partial_.empty() && bytes.size() >= frame_bytes) {
      frame = bytes.first(frame_bytes);
      bytes = bytes.subspan(frame_bytes);
    } else {
      if (!Gather(bytes, frame_bytes)) break;
      frame = partial_;
    }
    const ByteSpan payload = frame.subspan(kFrameHeaderBytes);
    state_ = CheckPayload(header_, payload);
    if (!state_) break;
    sink.OnFrame(std::as_const(header_), payload);
    partial_.clear();
    header_taken_ = false;
  }
  return state_;
}

}  // namespace paipai
