#include "frame/shard_header.h"

#include <string>
#include <vector>

#include "base/crc32c.h"
#include "test.h"

namespace paipai {
namespace {

using Bytes = std::vector<uint8_t>;

ShardHeader Example() {
  ShardHeader header;
  header.content_crc = 0xAABBCCDD;
  header.data_version = 3;
  header.fencing_token = 4;
  header.shard_index = 1;
  header.shard_count = 3;
  header.offset_bytes = 100;
  header.total_bytes = 250;
  header.shard_bytes = 100;
  header.data_id = "data";
  header.source_id = "node-1";
  return header;
}

ShardHeader OfUnknownCount() {
  ShardHeader header = Example();
  header.shard_count = 0;
  header.total_bytes = 0;
  return header;
}

Bytes Written(const ShardHeader& header) {
  Bytes bytes(kShardHeaderBytesMax);
  const Result<size_t> written = WriteShardHeader(header, bytes);
  CHECK(written.has_value());
  bytes.resize(*written);
  return bytes;
}

void MendChecksum(Bytes& bytes) {
  Store32(&bytes[56], 0);
  Store32(&bytes[56], Crc32c(bytes));
}

bool IsMalformed(const Bytes& bytes) {
  const Result<ShardHeader> header = ParseShardHeader(bytes);
  return !header && header.error().Is(ErrorCode::SHARD_HEADER);
}

// The result of writing; whatever can be written must parse to the same header.
int32_t WriteResult(const ShardHeader& header) {
  Bytes bytes(kShardHeaderBytesMax);
  const Result<size_t> written = WriteShardHeader(header, bytes);
  if (!written) return written.error().result();
  bytes.resize(*written);
  const Result<ShardHeader> parsed = ParseShardHeader(bytes);
  CHECK(parsed.has_value());
  CHECK(*parsed == header);
  return 0;
}

void CheckRefused(const ShardHeader& header, ErrorCode code = ErrorCode::SHARD_HEADER) {
  CHECK_EQUAL(WriteResult(header), Error::Of(code).result());
}

void RoundTrip() {
  const Bytes bytes = Written(Example());
  CHECK_EQUAL(bytes.size(), 64 + 16);
  const Result<ShardHeader> parsed = ParseShardHeader(bytes);
  CHECK(parsed.has_value());
  CHECK(*parsed == Example());
}

void TheIdsViewTheSource() {
  const Bytes bytes = Written(Example());
  const Result<ShardHeader> parsed = ParseShardHeader(bytes);
  CHECK(reinterpret_cast<const uint8_t*>(parsed->data_id.data()) == bytes.data() + 64);
}

void LengthsOfIds() {
  for (const size_t size : {0u, 1u, 255u, 256u}) {
    const std::string id(size, 'x');
    const bool fits = size <= 255;
    ShardHeader header = Example();
    header.target_id = id;
    CHECK_EQUAL(WriteResult(header) == 0, fits);
    header = Example();
    header.data_id = id;
    CHECK_EQUAL(WriteResult(header) == 0, fits && size > 0);
    header = Example();
    header.source_id = id;
    CHECK_EQUAL(WriteResult(header) == 0, fits && size > 0);
  }
}

void EveryAmountOfPadding() {
  for (size_t size = 1; size <= 16; ++size) {
    const std::string id(size, 'x');
    ShardHeader header = Example();
    header.data_id = id;
    CHECK_EQUAL(WriteResult(header), 0);
    CHECK_EQUAL(Written(header).size() % 8, 0);
    CHECK(Written(header).size() - (64 + size + header.source_id.size()) < 8);
  }
}

void IdsAreUtf8() {
  ShardHeader header = Example();
  header.data_id = "\xE6\x95\xB0";
  CHECK_EQUAL(WriteResult(header), 0);
  header.data_id = "\xE6\x95";
  CheckRefused(header);
  header = Example();
  header.source_id = "\xFF";
  CheckRefused(header);
  header = Example();
  header.target_id = "\xED\xA0\x80";
  CheckRefused(header);
  // A character cut by the border between two ids is whole in neither.
  header = Example();
  header.data_id = "a\xC3";
  header.source_id = "\xA9";
  CheckRefused(header);
}

void SizesOfShards() {
  ShardHeader header = OfUnknownCount();
  for (const uint32_t size : {1u, kShardBytesMax - 1, kShardBytesMax}) {
    header.shard_bytes = size;
    CHECK_EQUAL(WriteResult(header), 0);
  }
  for (const uint32_t size : {0u, kShardBytesMax + 1, 0xFFFFFFFFu}) {
    header.shard_bytes = size;
    CheckRefused(header, ErrorCode::SHARD_SIZE);
  }
}

void PlacesWithinTheData() {
  ShardHeader header = Example();
  header.shard_index = 2;
  CHECK_EQUAL(WriteResult(header), 0);
  header.shard_index = 3;
  CheckRefused(header);

  header = Example();
  header.offset_bytes = 150;
  CHECK_EQUAL(WriteResult(header), 0);
  header.offset_bytes = 151;
  CheckRefused(header);
  header.offset_bytes = 0xFFFFFFFFFFFFFFFF;  // The sum would wrap.
  CheckRefused(header);
  header.total_bytes = kDataBytesMax;
  header.offset_bytes = kDataBytesMax - header.shard_bytes;
  CHECK_EQUAL(WriteResult(header), 0);
  ++header.total_bytes;
  CheckRefused(header);
  header.offset_bytes = 0;
  header.total_bytes = 99;
  CheckRefused(header);
}

void KnownOrUnknownTogether() {
  ShardHeader header = OfUnknownCount();
  header.shard_index = 0xFFFFFFFF;
  header.offset_bytes = kDataBytesMax - header.shard_bytes;
  CHECK_EQUAL(WriteResult(header), 0);
  ++header.offset_bytes;
  CheckRefused(header);
  header.offset_bytes = 0xFFFFFFFFFFFFFFFF;
  CheckRefused(header);
  header = OfUnknownCount();
  header.flags = kShardLast;
  CheckRefused(header);
  header = Example();
  header.shard_count = 0;
  CheckRefused(header);
  header = Example();
  header.total_bytes = 0;
  CheckRefused(header);
}

void Flags() {
  ShardHeader header = Example();
  for (uint16_t flags = 0; flags <= kShardFlagsAll; ++flags) {
    header.flags = flags;
    header.content_crc = (flags & kShardChecksumFollows) != 0 ? 0 : 1;
    CHECK_EQUAL(WriteResult(header), 0);
  }
  header.flags = kShardChecksumFollows;
  header.content_crc = 1;
  CheckRefused(header);
  header = Example();
  header.flags = 16;
  CheckRefused(header);
  header.flags = 0x8000;
  CheckRefused(header);
}

void ShortOutputIsRefused() {
  Bytes out(ShardHeaderBytes(Example()));
  CHECK(WriteShardHeader(Example(), out).has_value());
  out.pop_back();
  CHECK(WriteShardHeader(Example(), out).error().Is(ErrorCode::INVALID_ARGUMENT));
}

void OtherLengthsAreMalformed() {
  const Bytes bytes = Written(Example());
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK(IsMalformed(Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size))));
  }
  Bytes longer = bytes;
  longer.resize(bytes.size() + 8);
  MendChecksum(longer);
  CHECK(IsMalformed(longer));
  longer.resize(kShardHeaderBytesMax + 8);
  MendChecksum(longer);
  CHECK(IsMalformed(longer));
}

void EachFlippedBitIsDetected() {
  Bytes bytes = Written(Example());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto mask = static_cast<uint8_t>(1 << (bit % 8));
    bytes[bit / 8] ^= mask;
    CHECK(IsMalformed(bytes));
    bytes[bit / 8] ^= mask;
  }
}

// Bytes that only a writer of its own mind makes: the checksum is right, the field is not.
void FieldsThatOursNeverWrites() {
  struct Wrong {
    size_t at;
    uint8_t value;
  };
  const size_t padding_at = 64 + Example().data_id.size() + Example().source_id.size();
  for (const Wrong wrong :
       {Wrong{0, 0}, Wrong{0, 2}, Wrong{1, 1}, Wrong{2, 8}, Wrong{3, 1}, Wrong{52, 0}, Wrong{52, 3},
        Wrong{52, 255}, Wrong{53, 0}, Wrong{54, 200}, Wrong{55, 1}, Wrong{60, 1}, Wrong{63, 1},
        Wrong{64, 0xFF}, Wrong{padding_at, 1}, Wrong{padding_at + 5, 1}}) {
    Bytes bytes = Written(Example());
    bytes[wrong.at] = wrong.value;
    MendChecksum(bytes);
    CHECK(IsMalformed(bytes));
  }
  Bytes bytes = Written(Example());
  Store32(&bytes[48], 0);
  MendChecksum(bytes);
  CHECK(ParseShardHeader(bytes).error().Is(ErrorCode::SHARD_SIZE));
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(argument_count, arguments,
                        {
                            {"RoundTrip", RoundTrip},
                            {"TheIdsViewTheSource", TheIdsViewTheSource},
                            {"LengthsOfIds", LengthsOfIds},
                            {"EveryAmountOfPadding", EveryAmountOfPadding},
                            {"IdsAreUtf8", IdsAreUtf8},
                            {"SizesOfShards", SizesOfShards},
                            {"PlacesWithinTheData", PlacesWithinTheData},
                            {"KnownOrUnknownTogether", KnownOrUnknownTogether},
                            {"Flags", Flags},
                            {"ShortOutputIsRefused", ShortOutputIsRefused},
                            {"OtherLengthsAreMalformed", OtherLengthsAreMalformed},
                            {"EachFlippedBitIsDetected", EachFlippedBitIsDetected},
                            {"FieldsThatOursNeverWrites", FieldsThatOursNeverWrites},
                        });
}
