#include "base/utf8.h"

#include <cstdint>
#include <string>

#include "test.h"

namespace paipai {
namespace {

// The encoding of `code_point` in exactly `byte_count` bytes, whether or not that is allowed.
std::string Encoded(uint32_t code_point, int byte_count) {
  if (byte_count == 1) return std::string(1, static_cast<char>(code_point));
  constexpr uint32_t kLeads[] = {0, 0, 0xC0, 0xE0, 0xF0};
  std::string text;
  for (int index = 1; index < byte_count; ++index) {
    text.insert(text.begin(), static_cast<char>(0x80 | (code_point & 0x3F)));
    code_point >>= 6;
  }
  text.insert(text.begin(), static_cast<char>(kLeads[byte_count] | code_point));
  return text;
}

void EveryCodePointInItsShortestFormOnly() {
  for (uint32_t code_point = 0; code_point <= 0x1FFFFF; ++code_point) {
    const int shortest = code_point < 0x80      ? 1
                         : code_point < 0x800   ? 2
                         : code_point < 0x10000 ? 3
                                                : 4;
    const bool is_surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    const bool is_character = code_point <= 0x10FFFF && !is_surrogate;
    CHECK_EQUAL(IsUtf8(Encoded(code_point, shortest)), is_character);
    for (int longer = shortest + 1; longer <= 4; ++longer)
      CHECK(!IsUtf8(Encoded(code_point, longer)));
  }
}

void Texts() {
  CHECK(IsUtf8(""));
  CHECK(IsUtf8("plain"));
  CHECK(IsUtf8("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 end"));
  CHECK(IsUtf8(std::string_view("a\0b", 3)));
}

void BrokenTexts() {
  for (const char* text :
       {"\x80", "a\xBF", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xC3\xC3", "\xE2\x82x",
        "\xF0\x9F\x98x", "\xFE", "\xFF", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80"}) {
    CHECK(!IsUtf8(text));
    CHECK(!IsUtf8(std::string("before ") + text));
  }
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"Texts", Texts},
          {"EveryCodePointInItsShortestFormOnly", EveryCodePointInItsShortestFormOnly},
          {"BrokenTexts", BrokenTexts},
      });
}
