#include "frame/shard_header.h"

#include <algorithm>

#include "base/crc32c.h"
#include "base/utf8.h"

namespace paipai {
namespace {

// Where each field of the fixed part begins.
constexpr size_t kLayoutAt = 0;
constexpr size_t kFlagsAt = 2;
constexpr size_t kContentCrcAt = 4;
constexpr size_t kDataVersionAt = 8;
constexpr size_t kFencingTokenAt = 16;
constexpr size_t kShardIndexAt = 24;
constexpr size_t kShardCountAt = 28;
constexpr size_t kOffsetAt = 32;
constexpr size_t kTotalAt = 40;
constexpr size_t kShardBytesAt = 48;
constexpr size_t kDataIdBytesAt = 52;
constexpr size_t kSourceIdBytesAt = 53;
constexpr size_t kTargetIdBytesAt = 54;
constexpr size_t kReservedByteAt = 55;
constexpr size_t kHeaderCrcAt = 56;
constexpr size_t kReservedAt = 60;
static_assert(kReservedAt + sizeof(uint32_t) == kShardHeaderFixedBytes);

bool IdsAreValid(const ShardHeader& header) {
  return !header.data_id.empty() && header.data_id.size() <= kShardIdBytesMax &&
         !header.source_id.empty() && header.source_id.size() <= kShardIdBytesMax &&
         header.target_id.size() <= kShardIdBytesMax && IsUtf8(header.data_id) &&
         IsUtf8(header.source_id) && IsUtf8(header.target_id);
}

bool NumbersAgree(const ShardHeader& header) {
  if ((header.flags & ~kShardFlagsAll) != 0) return false;
  if (header.total_bytes > kDataBytesMax) return false;
  if (header.offset_bytes > kDataBytesMax - header.shard_bytes) return false;
  if ((header.flags & kShardChecksumFollows) != 0 && header.content_crc != 0) return false;
  const bool is_last = (header.flags & kShardLast) != 0;
  const bool is_known = header.shard_count != 0;
  if (is_known != (header.total_bytes != 0)) return false;
  if (!is_known) return !is_last;
  return header.shard_index < header.shard_count && header.shard_bytes <= header.total_bytes &&
         header.offset_bytes <= header.total_bytes - header.shard_bytes;
}

Result<void> CheckFields(const ShardHeader& header) {
  if (header.shard_bytes == 0 || header.shard_bytes > kShardBytesMax) {
    return Error::Of(ErrorCode::SHARD_SIZE);
  }
  if (!IdsAreValid(header) || !NumbersAgree(header)) return Error::Of(ErrorCode::SHARD_HEADER);
  return {};
}

// The CRC32C of a whole serialised header with its own field taken as 0.
uint32_t HeaderCrc(ByteSpan bytes) {
  constexpr uint8_t kZeros[sizeof(uint32_t)] = {};
  uint32_t crc = Crc32c(bytes.first(kHeaderCrcAt));
  crc = Crc32cExtend(crc, kZeros);
  return Crc32cExtend(crc, bytes.subspan(kHeaderCrcAt + sizeof kZeros));
}

}  // namespace

Result<size_t> WriteShardHeader(const ShardHeader& header, MutableByteSpan out) {
  if (const Result<void> checked = CheckFields(header); !checked) return checked.error();
  const size_t header_bytes = ShardHeaderBytes(header);
  if (out.size() < header_bytes) return Error::Of(ErrorCode::INVALID_ARGUMENT);

  uint8_t* const bytes = out.data();
  std::fill_n(bytes, header_bytes, uint8_t{0});
  Store16(bytes + kLayoutAt, kShardLayout);
  Store16(bytes + kFlagsAt, header.flags);
  Store32(bytes + kContentCrcAt, header.content_crc);
  Store64(bytes + kDataVersionAt, header.data_version);
  Store64(bytes + kFencingTokenAt, header.fencing_token);
  Store32(bytes + kShardIndexAt, header.shard_index);
  Store32(bytes + kShardCountAt, header.shard_count);
  Store64(bytes + kOffsetAt, header.offset_bytes);
  Store64(bytes + kTotalAt, header.total_bytes);
  Store32(bytes + kShardBytesAt, header.shard_bytes);
  bytes[kDataIdBytesAt] = static_cast<uint8_t>(header.data_id.size());
  bytes[kSourceIdBytesAt] = static_cast<uint8_t>(header.source_id.size());
  bytes[kTargetIdBytesAt] = static_cast<uint8_t>(header.target_id.size());
  uint8_t* id = bytes + kShardHeaderFixedBytes;
  id = std::copy(header.data_id.begin(), header.data_id.end(), id);
  id = std::copy(header.source_id.begin(), header.source_id.end(), id);
  std::copy(header.target_id.begin(), header.target_id.end(), id);
  Store32(bytes + kHeaderCrcAt, HeaderCrc(out.first(header_bytes)));
  return header_bytes;
}

Result<ShardHeader> ParseShardHeader(ByteSpan bytes) {
  const Error malformed = Error::Of(ErrorCode::SHARD_HEADER);
  if (bytes.size() < kShardHeaderFixedBytes || bytes.size() > kShardHeaderBytesMax) {
    return malformed;
  }
  if (HeaderCrc(bytes) != Load32(bytes.data() + kHeaderCrcAt)) return malformed;
  if (Load16(bytes.data() + kLayoutAt) != kShardLayout) return malformed;
  if (bytes[kReservedByteAt] != 0 || Load32(bytes.data() + kReservedAt) != 0) return malformed;

  const size_t data_id_bytes = bytes[kDataIdBytesAt];
  const size_t source_id_bytes = bytes[kSourceIdBytesAt];
  const size_t target_id_bytes = bytes[kTargetIdBytesAt];
  const size_t id_bytes = data_id_bytes + source_id_bytes + target_id_bytes;
  if ((kShardHeaderFixedBytes + id_bytes + 7) / 8 * 8 != bytes.size()) return malformed;
  const ByteSpan padding = bytes.subspan(kShardHeaderFixedBytes + id_bytes);
  if (!std::ranges::all_of(padding, [](uint8_t byte) { return byte == 0; })) return malformed;

  const std::string_view ids(reinterpret_cast<const char*>(bytes.data() + kShardHeaderFixedBytes),
                             id_bytes);
  ShardHeader header;
  header.flags = Load16(bytes.data() + kFlagsAt);
  header.content_crc = Load32(bytes.data() + kContentCrcAt);
  header.data_version = Load64(bytes.data() + kDataVersionAt);
  header.fencing_token = Load64(bytes.data() + kFencingTokenAt);
  header.shard_index = Load32(bytes.data() + kShardIndexAt);
  header.shard_count = Load32(bytes.data() + kShardCountAt);
  header.offset_bytes = Load64(bytes.data() + kOffsetAt);
  header.total_bytes = Load64(bytes.data() + kTotalAt);
  header.shard_bytes = Load32(bytes.data() + kShardBytesAt);
  header.data_id = ids.substr(0, data_id_bytes);
  header.source_id = ids.substr(data_id_bytes, source_id_bytes);
  header.target_id = ids.substr(data_id_bytes + source_id_bytes);
  if (const Result<void> checked = CheckFields(header); !checked) return checked.error();
  return header;
}

}  // namespace paipai
