#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace paipai {

// An ArrayBuffer of large size and its reference. Empty: `data` is null.
struct LargeBuffer {
  Napi::ObjectReference buffer;
  uint8_t* data = nullptr;
  size_t bytes = 0;
};

// ArrayBuffers that large payloads were received in and nobody wants any more, for the next ones:
// new memory is cleared by V8 and given page by page by the kernel, which takes longer than to
// receive into it. Thread: JS.
class SpareBuffers {
 public:
  // Takes `buffer`, which JS must not look at any more; lets go of it, or of older ones, when there
  // would be more than kSpareBytesMax.
  void Add(napi_env env, napi_value buffer);
  // One of at least `bytes`, and not much larger; empty when there is none. Wants a handle scope.
  LargeBuffer Take(napi_env env, size_t bytes);

 private:
  std::vector<LargeBuffer> spares_;  // The oldest first.
  size_t spare_bytes_ = 0;
};

}  // namespace paipai
