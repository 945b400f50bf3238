#include "base/utf8.h"

#include <cstddef>
#include <cstdint>

namespace paipai {
namespace {

bool InRange(uint8_t byte, uint8_t lowest, uint8_t highest) {
  return byte >= lowest && byte <= highest;
}

// Bytes of the character at the front of `text`, which is not empty; 0 when it is malformed.
// The ranges are those of RFC 3629, section 4: only the second byte depends on the first.
size_t CharacterBytes(std::string_view text) {
  const auto byte_at = [text](size_t index) { return static_cast<uint8_t>(text[index]); };
  const uint8_t lead = byte_at(0);
  if (lead < 0x80) return 1;

  size_t count = 0;
  uint8_t second_lowest = 0x80;
  uint8_t second_highest = 0xBF;
  if (InRange(lead, 0xC2, 0xDF)) {
    count = 2;
  } else if (InRange(lead, 0xE0, 0xEF)) {
    count = 3;
    if (lead == 0xE0) second_lowest = 0xA0;
    if (lead == 0xED) second_highest = 0x9F;
  } else if (InRange(lead, 0xF0, 0xF4)) {
    count = 4;
    if (lead == 0xF0) second_lowest = 0x90;
    if (lead == 0xF4) second_highest = 0x8F;
  } else {
    return 0;
  }
  if (text.size() < count || !InRange(byte_at(1), second_lowest, second_highest)) return 0;
  for (size_t index = 2; index < count; ++index) {
    if (!InRange(byte_at(index), 0x80, 0xBF)) return 0;
  }
  return count;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace paipai
