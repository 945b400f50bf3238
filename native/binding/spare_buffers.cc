#include "binding/spare_buffers.h"

#include <utility>

#include "memory/pool_budget.h"

namespace paipai {
void SpareBuffers::Add(napi_env env, napi_value buffer) {
  LargeBuffer added;
  void* data = nullptr;
  if (napi_get_arraybuffer_info(env, buffer, &data, &added.bytes) != napi_ok) return;
  if (data == nullptr || added.bytes == 0 || added.bytes > kSpareBytesMax) return;
  added.data = static_cast<uint8_t*>(data);
  added.buffer = Napi::Persistent(Napi::Object(env, buffer));
  spare_bytes_ += added.bytes;
  spares_.push_back(std::move(added));
  size_t dropped = 0;
  while (spare_bytes_ > kSpareBytesMax) spare_bytes_ -= spares_[dropped++].bytes;
  spares_.erase(spares_.begin(), spares_.begin() + static_cast<ptrdiff_t>(dropped));
}

LargeBuffer SpareBuffers::Take(size_t bytes) {
  // The newest first: it is the one that the caches may still have.
  for (size_t i = spares_.size(); i > 0; --i) {
    if (spares_[i - 1].bytes != bytes) continue;
    LargeBuffer taken = std::move(spares_[i - 1]);
    spares_.erase(spares_.begin() + static_cast<ptrdiff_t>(i - 1));
    spare_bytes_ -= bytes;
    return taken;
  }
  return {};
}

}  // namespace paipai
