#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace paipai {

// Arguments and results of raw functions. Only lib/native calls those, with types it has checked,
// so a wrong one is a mistake of our own: it is read as 0 or empty, never as something that is not
// there.
//
// All of it goes through the plain C calls and lives with their failing. A worker that is being
// terminated runs what it began to its end, but JS cannot run in it any more: each call that might
// run JS then fails, and the wrapper classes would try to throw, which fails as well and ends the
// process.

inline uint32_t Uint32Of(napi_env env, napi_value value) {
  uint32_t number = 0;
  napi_get_value_uint32(env, value, &number);
  return number;
}

inline uint32_t Uint32At(const Napi::CallbackInfo& info, size_t index) {
  return Uint32Of(info.Env(), info[index]);
}

inline int32_t Int32At(const Napi::CallbackInfo& info, size_t index) {
  int32_t value = 0;
  napi_get_value_int32(info.Env(), info[index], &value);
  return value;
}

inline bool BoolAt(const Napi::CallbackInfo& info, size_t index) {
  bool value = false;
  napi_get_value_bool(info.Env(), info[index], &value);
  return value;
}

inline std::string TextOf(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return {};
  std::string text(length, '\0');
  // Room for the closing zero is there: data() of a string has one.
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

// The bytes of a typed array, also one over a SharedArrayBuffer. Borrowed: V8 keeps them for this
// call; whoever keeps the span longer keeps a reference to the array.
inline MutableByteSpan BytesOf(napi_env env, napi_value value) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok)
    return {};
  if (type != napi_uint8_array) return {};
  return {static_cast<uint8_t*>(data), length};
}

inline MutableByteSpan BytesAt(const Napi::CallbackInfo& info, size_t index) {
  return BytesOf(info.Env(), info[index]);
}

// Null, which JS sees as undefined, when it cannot be made; so with all of these.
inline Napi::Value NumberOf(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return Napi::Value(env, value);
}

inline Napi::Value TextValueOf(napi_env env, std::string_view text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return Napi::Value(env, value);
}

inline Napi::Value Undefined(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), nullptr);
}

inline Napi::Value ResultOf(const Napi::CallbackInfo& info, int32_t result) {
  return NumberOf(info.Env(), result);
}

inline Napi::Value ResultOf(const Napi::CallbackInfo& info, const Result<void>& result) {
  return ResultOf(info, result ? 0 : result.error().result());
}

inline Napi::Value ResultOf(const Napi::CallbackInfo& info, ErrorCode code) {
  return ResultOf(info, Error::Of(code).result());
}

}  // namespace paipai
