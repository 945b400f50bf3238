#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace paipai {

// The frame of docs/WIRE.md. These are the only wire constants of frames in C++.

inline constexpr size_t kFrameHeaderBytes = 32;
inline constexpr size_t kFrameHeaderCheckedBytes = 28;  // What the header's own CRC32C covers.
inline constexpr uint16_t kFrameMagic = 0x5050;         // "PP"
inline constexpr uint8_t kFrameVersion = 1;

// Longest payload of one frame unless told otherwise, and the range it may be set to.
inline constexpr uint32_t kFrameBytesMaxDefault = 16u << 20;
inline constexpr uint32_t kFrameBytesMaxLowest = 1u << 10;
inline constexpr uint32_t kFrameBytesMaxHighest = 64u << 20;

// Longest payload of a frame of several small ones; taken whatever the frame limit is.
inline constexpr uint32_t kSeveralBytesMax = 16u << 10;

// Longest payload of one STREAM_DATA frame.
inline constexpr uint32_t kChunkBytesMax = 256u << 10;

enum class FrameType : uint8_t {
  kHello = 1,
  kAuth = 2,
  kReady = 3,
  kName = 4,
  kRequest = 5,
  kResponse = 6,
  kError = 7,
  kCancel = 8,
  kMessage = 9,
  kStreamOpen = 10,
  kStreamData = 11,
  kStreamEnd = 12,
  kStreamReset = 13,
  kCredit = 14,
  kPing = 15,
  kPong = 16,
  kGoodbye = 17,
  kPath = 18,
  kSwitch = 19,
  kRequests = 20,
  kResponses = 21,
  kMessages = 22,
};

inline constexpr FrameType kFrameTypeFirst = FrameType::kHello;
inline constexpr FrameType kFrameTypeLast = FrameType::kMessages;

// The header exactly as it lies on the wire; on a little-endian host it may be copied to and from
// it.
//
//  0     2 3 4     6     8          12         16         20         24         28         32
//  +-----+-+-+-----+-----+----------+----------+----------+----------+----------+----------+
//  |magic|v|t|flags|name | payload  | stream   | sequence | argument | payload  | header   |
//  |     | | |     |     | bytes    | id       |          |          | CRC32C   | CRC32C   |
//  +-----+-+-+-----+-----+----------+----------+----------+----------+----------+----------+
struct FrameHeader {
  uint16_t magic = kFrameMagic;
  uint8_t version = kFrameVersion;
  FrameType type{};
  uint16_t flags = 0;
  uint16_t name = 0;
  uint32_t payload_bytes = 0;
  uint32_t stream_id = 0;
  uint32_t sequence = 0;
  uint32_t argument = 0;
  uint32_t payload_crc = 0;
  uint32_t header_crc = 0;

  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

static_assert(
    std::endian::native == std::endian::little,
    "FrameHeader is copied to the wire as it lies; a big-endian host must swap each field");
static_assert(std::is_trivially_copyable_v<FrameHeader> && std::is_standard_layout_v<FrameHeader>);
static_assert(sizeof(FrameHeader) == kFrameHeaderBytes);
static_assert(offsetof(FrameHeader, magic) == 0);
static_assert(offsetof(FrameHeader, version) == 2);
static_assert(offsetof(FrameHeader, type) == 3);
static_assert(offsetof(FrameHeader, flags) == 4);
static_assert(offsetof(FrameHeader, name) == 6);
static_assert(offsetof(FrameHeader, payload_bytes) == 8);
static_assert(offsetof(FrameHeader, stream_id) == 12);
static_assert(offsetof(FrameHeader, sequence) == 16);
static_assert(offsetof(FrameHeader, argument) == 20);
static_assert(offsetof(FrameHeader, payload_crc) == 24);
static_assert(offsetof(FrameHeader, header_crc) == kFrameHeaderCheckedBytes);
static_assert(kFrameHeaderCheckedBytes + sizeof(uint32_t) == kFrameHeaderBytes);
static_assert(kChunkBytesMax <= kFrameBytesMaxDefault);

}  // namespace paipai
