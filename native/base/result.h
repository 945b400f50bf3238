#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/assert.h"

namespace paipai {

// Our own failures, named and numbered as in error_codes.def.
enum class ErrorCode : int32_t {
#define PAIPAI_ERROR(number, name, text) name = number,
#include "base/error_codes.def"
#undef PAIPAI_ERROR
};

// One row of the table, for whoever shows or exports it.
struct ErrorCodeEntry {
  ErrorCode code;
  const char* name;  // As in the table: "FRAME_MAGIC".
  const char* text;  // What happened, in words.
};

inline constexpr ErrorCodeEntry kErrorCodes[] = {
#define PAIPAI_ERROR(number, name, text) {ErrorCode::name, #name, text},
#include "base/error_codes.def"
#undef PAIPAI_ERROR
};

// Why an operation failed: one negative number, as it travels across the binding.
// -errno for the system, -(10000 + code) for ours.
class Error {
 public:
  // `errno_value` is positive, as in `errno`.
  static constexpr Error System(int errno_value) {
    PP_ASSERT(errno_value > 0 && errno_value < kOwnBase);
    return Error(-errno_value);
  }

  static constexpr Error Of(ErrorCode code) {
    return Error(-(kOwnBase + static_cast<int32_t>(code)));
  }

  constexpr int32_t result() const { return result_; }
  constexpr bool is_system() const { return result_ > -kOwnBase; }
  constexpr bool Is(ErrorCode code) const { return *this == Of(code); }

  friend constexpr bool operator==(Error, Error) = default;

 private:
  static constexpr int32_t kOwnBase = 10000;

  explicit constexpr Error(int32_t result) : result_(result) {}

  int32_t result_;
};

// A value or the Error that kept it from being. The shape of std::expected<T, Error>, to be
// replaced by it.
template <class T>
class [[nodiscard]] Result {
  static_assert(!std::is_reference_v<T> && !std::is_same_v<std::remove_cv_t<T>, Error>);

 public:
  using value_type = T;
  using error_type = Error;

  template <class U = T>
    requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error>)
  constexpr Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  constexpr Result(Error error) : state_(std::in_place_index<1>, error) {}

  constexpr bool has_value() const { return state_.index() == 0; }
  constexpr explicit operator bool() const { return has_value(); }

  // Asserts that there is a value.
  constexpr T& value() & {
    PP_ASSERT(has_value());
    return *std::get_if<0>(&state_);
  }
  constexpr const T& value() const& {
    PP_ASSERT(has_value());
    return *std::get_if<0>(&state_);
  }
  constexpr T&& value() && { return std::move(value()); }

  constexpr T& operator*() & { return value(); }
  constexpr const T& operator*() const& { return value(); }
  constexpr T&& operator*() && { return std::move(value()); }
  constexpr T* operator->() { return &value(); }
  constexpr const T* operator->() const { return &value(); }

  template <class U>
  constexpr T value_or(U&& otherwise) const& {
    return has_value() ? value() : static_cast<T>(std::forward<U>(otherwise));
  }
  template <class U>
  constexpr T value_or(U&& otherwise) && {
    return has_value() ? std::move(value()) : static_cast<T>(std::forward<U>(otherwise));
  }

  // Asserts that there is none.
  constexpr Error error() const {
    PP_ASSERT(!has_value());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  using error_type = Error;

  constexpr Result() : error_(Error::System(1)), has_value_(true) {}
  constexpr Result(Error error) : error_(error), has_value_(false) {}

  constexpr bool has_value() const { return has_value_; }
  constexpr explicit operator bool() const { return has_value_; }
  constexpr void value() const { PP_ASSERT(has_value_); }
  constexpr void operator*() const { value(); }
  constexpr Error error() const {
    PP_ASSERT(!has_value_);
    return error_;
  }

 private:
  Error error_;
  bool has_value_;
};

}  // namespace paipai
