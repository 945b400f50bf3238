#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "frame/frame_decoder.h"
#include "frame/frame_encoder.h"
#include "framed_fixture.h"
#include "test.h"

// The peer of a framed stream, as far as frames go.

namespace paipai::test {

using Bytes = std::vector<uint8_t>;

inline Bytes RandomBytes(Random& random, size_t byte_count) {
  Bytes bytes(byte_count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Next());
  return bytes;
}

struct Frame {
  FrameType type = FrameType::kMessage;
  uint32_t stream_id = 0;
  Bytes payload;
  friend bool operator==(const Frame&, const Frame&) = default;
};

// What the peer puts on the wire.
class PeerWriter {
 public:
  Bytes wire;

  void Add(const Frame& frame) {
    FrameHeader header;
    header.type = frame.type;
    header.stream_id = frame.stream_id;
    header.sequence = next_sequence_++;
    header.payload_bytes = static_cast<uint32_t>(frame.payload.size());
    header.payload_crc = Crc32c(frame.payload);
    uint8_t bytes[kFrameHeaderBytes];
    WriteFrameHeader(bytes, header);
    wire.insert(wire.end(), bytes, bytes + kFrameHeaderBytes);
    wire.insert(wire.end(), frame.payload.begin(), frame.payload.end());
  }
  void Skip() { ++next_sequence_; }

 private:
  uint32_t next_sequence_ = 0;
};

// What the peer reads off the wire, every sum checked.
struct PeerReader {
  FrameDecoder decoder{kFrameBytesMaxHighest};
  std::vector<Frame> frames;

  void OnFrame(const FrameHeader& header, ByteSpan payload) {
    frames.push_back({header.type, header.stream_id, Bytes(payload.begin(), payload.end())});
  }
  void Take(ByteSpan bytes) { CHECK(decoder.Push(bytes, *this).has_value()); }
  void TakeAll(Link& link) {
    for (Bytes bytes; !(bytes = link.PeerReads(1 << 20)).empty();) Take(bytes);
  }
};

inline std::vector<Frame> FramesOf(const std::vector<Event>& events) {
  std::vector<Frame> frames;
  for (const Event& event : events) {
    if (event.kind() != EventKind::kFrame && event.kind() != EventKind::kLargeFrame) continue;
    const auto type = static_cast<FrameType>(event.descriptor.type);
    frames.push_back({type, event.descriptor.stream_id, event.payload});
  }
  return frames;
}

// As JS hands it over.
inline Bytes Unsealed(const Frame& frame) {
  Bytes bytes(kFrameHeaderBytes + frame.payload.size());
  bytes[offsetof(FrameHeader, type)] = static_cast<uint8_t>(frame.type);
  Store32(bytes.data() + offsetof(FrameHeader, payload_bytes),
          static_cast<uint32_t>(frame.payload.size()));
  Store32(bytes.data() + offsetof(FrameHeader, stream_id), frame.stream_id);
  std::copy(frame.payload.begin(), frame.payload.end(), bytes.begin() + kFrameHeaderBytes);
  return bytes;
}

}  // namespace paipai::test
