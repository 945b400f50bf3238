#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace paipai {

// The shard header of docs/WIRE.md: metadata of the stream that carries a shard.

inline constexpr size_t kShardHeaderFixedBytes = 64;
inline constexpr uint16_t kShardLayout = 1;
inline constexpr size_t kShardIdBytesMax = 255;
inline constexpr uint32_t kShardBytesMax = 64u << 20;
// Longest data, in bytes: what a double, and so a number in JavaScript, still counts one by one.
inline constexpr uint64_t kDataBytesMax = (uint64_t{1} << 53) - 1;
// Longest shard header: fixed part and three ids, padded to a multiple of 8.
inline constexpr size_t kShardHeaderBytesMax =
    (kShardHeaderFixedBytes + 3 * kShardIdBytesMax + 7) / 8 * 8;

inline constexpr uint16_t kShardCompressed = 1;
inline constexpr uint16_t kShardEncrypted = 2;
inline constexpr uint16_t kShardLast = 4;
// The sender reads the content only once, so its CRC32C follows in the trailer; in the header it is
// 0.
inline constexpr uint16_t kShardChecksumFollows = 8;
inline constexpr uint16_t kShardFlagsAll =
    kShardCompressed | kShardEncrypted | kShardLast | kShardChecksumFollows;

struct ShardHeader {
  uint16_t flags = 0;        // Any of kShardFlagsAll.
  uint32_t content_crc = 0;  // CRC32C of the shard before compression and encryption.
  uint64_t data_version = 0;
  uint64_t fencing_token = 0;
  uint32_t shard_index = 0;
  uint32_t shard_count = 0;   // 0: not known yet.
  uint64_t offset_bytes = 0;  // Where the shard begins in the data.
  uint64_t total_bytes = 0;   // Length of the data, up to kDataBytesMax; 0: not known yet.
  uint32_t shard_bytes = 0;   // 1 to kShardBytesMax.
  // UTF-8, borrowed. Data and source: 1 to 255 bytes; target: 0 (none) to 255.
  std::string_view data_id;
  std::string_view source_id;
  std::string_view target_id;

  friend bool operator==(const ShardHeader&, const ShardHeader&) = default;
};

// Bytes that `header` takes on the wire, padding included.
constexpr size_t ShardHeaderBytes(const ShardHeader& header) {
  const size_t id_bytes = header.data_id.size() + header.source_id.size() + header.target_id.size();
  return (kShardHeaderFixedBytes + id_bytes + 7) / 8 * 8;
}

// Writes `header` to the front of `out` and returns the bytes written. What it writes can be
// parsed: the same rules hold. Fails: SHARD_HEADER, SHARD_SIZE as ParseShardHeader;
// INVALID_ARGUMENT when `out` is too short.
Result<size_t> WriteShardHeader(const ShardHeader& header, MutableByteSpan out);

// Reads the header that `bytes` hold from end to end, no more and no less. The ids view `bytes`.
// Fails: SHARD_SIZE when the shard bytes are not 1 to 64 MiB, SHARD_HEADER for whatever else is
// amiss: length, layout, flags, checksum, ids, padding, or numbers that contradict each other.
Result<ShardHeader> ParseShardHeader(ByteSpan bytes);

}  // namespace paipai
