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
  // Takes `buffer`, which JS has nowhere else, so that it cannot be detached; lets go of it, or of
  // older ones, when there would be more than kSpareBytesMax.
  void Add(napi_env env, napi_value buffer);
  // One of `bytes`, so that no payload lies beside what is left of another; empty when there is
  // none.
  LargeBuffer Take(size_t bytes);

 private:
  std::vector<LargeBuffer> spares_;  // The oldest first.
  size_t spare_bytes_ = 0;
};

}  // namespace paipai
