// Whatever the parser accepts must write back to the same bytes. Each input is tried as it is and
// with its checksum made right, since hardly any mutation would get past that otherwise.

#include <algorithm>
#include <array>
#include <vector>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "frame/shard_header.h"
#include "fuzz.h"

namespace paipai {
namespace {

constexpr size_t kHeaderCrcAt = 56;

void MendChecksum(std::vector<uint8_t>& bytes) {
  if (bytes.size() < kShardHeaderFixedBytes) return;
  Store32(&bytes[kHeaderCrcAt], 0);
  Store32(&bytes[kHeaderCrcAt], Crc32c(bytes));
}

void Check(const std::vector<uint8_t>& bytes) {
  const Result<ShardHeader> header = ParseShardHeader(bytes);
  if (!header) return;
  std::array<uint8_t, kShardHeaderBytesMax> out;
  const Result<size_t> written = WriteShardHeader(*header, out);
  FUZZ_CHECK(written && *written == bytes.size());
  FUZZ_CHECK(std::equal(bytes.begin(), bytes.end(), out.begin()));
}

}  // namespace
}  // namespace paipai

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  paipai::Check(bytes);
  paipai::MendChecksum(bytes);
  paipai::Check(bytes);
  return 0;
}
