#pragma once

#include <napi.h>

#include <cstdint>
#include <span>
#include <unordered_map>

#include "socket/raw_stream.h"

namespace paipai {

class EnvState;

// A raw stream as JS holds it: by number. Keeps a reference to every JS buffer that the core may
// touch, for just as long. Owned by EnvState. Thread: JS.
class RawConnection final : private RawStreamUser {
 public:
  RawConnection(EnvState& state, uint32_t id);
  ~RawConnection() { stream_.Close(false); }

  RawStream& stream() { return stream_; }

  // As RawStream::Write, of the memory of `bytes`.
  Result<bool> Write(Napi::Value bytes, ByteSpan span, uint32_t token) {
    return WriteAll(bytes, {&span, 1}, token);
  }
  // The same for several, which `holder` keeps.
  Result<bool> WriteAll(Napi::Value holder, std::span<const ByteSpan> pieces, uint32_t token);
  Result<bool> WriteCopy(ByteSpan bytes, uint32_t token);
  // As RawStream::ShutDown, also where nothing else keeps the loop.
  void ShutDown(uint32_t token);
  // While bytes wait it does in any case.
  void SetKeepsAlive(bool keeps_alive);

 private:
  void OnDone(uint32_t token, int32_t result) override;
  void UpdateKeepsAlive();

  EnvState& state_;
  const uint32_t id_;
  RawStream stream_;
  bool keeps_alive_ = true;
  std::unordered_map<uint32_t, Napi::ObjectReference> writing_;  // By token.
};

}  // namespace paipai
