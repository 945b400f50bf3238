#pragma once

#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

// All that the native tests need: checks that end the program with file and line, and a list of
// cases.

namespace paipai::test {

struct Case {
  const char* name;
  void (*run)();
};

// Runs every case, or those whose name contains the first argument. For `return` in main.
inline int RunCases(int argument_count, char** arguments, std::initializer_list<Case> cases) {
  const std::string_view filter = argument_count > 1 ? arguments[1] : "";
  int run_count = 0;
  for (const Case& each : cases) {
    if (std::string_view(each.name).find(filter) == std::string_view::npos) continue;
    std::printf("%s\n", each.name);
    std::fflush(stdout);
    each.run();
    ++run_count;
  }
  if (run_count == 0) std::fprintf(stderr, "no case is called %s\n", arguments[1]);
  return run_count == 0 ? 1 : 0;
}

template <class T>
std::string Show(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_convertible_v<T, std::string_view>) {
    return std::string(std::string_view(value));
  } else {
    return "(not shown)";
  }
}

[[noreturn]] inline void Fail(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  std::exit(1);
}

// Numbers are compared by value, whatever their signs and widths.
template <class A, class B>
bool Equal(const A& actual, const B& expected) {
  if constexpr (std::integral<A> && std::integral<B> && !std::is_same_v<A, B>) {
    return std::cmp_equal(actual, expected);
  } else {
    return actual == expected;
  }
}

template <class A, class B>
void CheckEqual(const A& actual, const B& expected, const char* text, const char* file, int line) {
  if (Equal(actual, expected)) return;
  Fail(file, line, std::string(text) + " is " + Show(actual) + ", expected " + Show(expected));
}

// SplitMix64 (Steele, Lea, Flood 2014): the same numbers from the same seed everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }

  // 0 to `limit` - 1.
  uint64_t Below(uint64_t limit) { return Next() % limit; }

 private:
  uint64_t state_;
};

}  // namespace paipai::test

#define CHECK(condition)              \
  ((condition) ? static_cast<void>(0) \
               : ::paipai::test::Fail(__FILE__, __LINE__, "not so: " #condition))
#define CHECK_EQUAL(actual, expected) \
  ::paipai::test::CheckEqual(actual, expected, #actual, __FILE__, __LINE__)
