#include "binding/spare_buffers.h"

#include <utility>

#include "memory/pool_budget.h"

namespace paipai {
namespace {

// JS may have transferred the buffer to another thread, even if it was told not to: its memory is
// asked for each time.
bool HasMemory(napi_env env, napi_value buffer, uint8_t*& data, size_t& bytes) {
  void* memory = nullptr;
  if (napi_get_arraybuffer_info(env, buffer, &memory, &bytes) != napi_ok) return false;
  data = static_cast<uint8_t*>(memory);
  return data != nullptr && bytes > 0;
}

}  // namespace

void SpareBuffers::Add(napi_env env, napi_value buffer) {
  LargeBuffer added;
  if (!HasMemory(env, buffer, added.data, added.bytes) || added.bytes > kSpareBytesMax) return;
  added.buffer = Napi::Persistent(Napi::Object(env, buffer));
  spare_bytes_ += added.bytes;
  spares_.push_back(std::move(added));
  size_t dropped = 0;
  while (spare_bytes_ > kSpareBytesMax) spare_bytes_ -= spares_[dropped++].bytes;
  spares_.erase(spares_.begin(), spares_.begin() + static_cast<ptrdiff_t>(dropped));
}

LargeBuffer SpareBuffers::Take(napi_env env, size_t bytes) {
  // The newest first: it is the one that the caches may still have.
  for (size_t i = spares_.size(); i > 0; --i) {
    const size_t has = spares_[i - 1].bytes;
    if (has < bytes || has - bytes > has / 4) continue;
    LargeBuffer taken = std::move(spares_[i - 1]);
    spares_.erase(spares_.begin() + static_cast<ptrdiff_t>(i - 1));
    spare_bytes_ -= has;
    if (HasMemory(env, taken.buffer.Value(), taken.data, taken.bytes) && taken.bytes == has) {
      return taken;
    }
  }
  return {};
}

}  // namespace paipai
