#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "shm/pair.h"
#include "socket/framed_stream.h"
#include "socket/listener.h"

namespace paipai {

class EnvState;

// A share in how long the loop spins, given back with its end. Thread: JS.
class SpinHold {
 public:
  explicit SpinHold(EnvState& state) : state_(state) {}
  SpinHold(const SpinHold&) = delete;
  SpinHold& operator=(const SpinHold&) = delete;
  ~SpinHold() { Set(0); }

  void Set(uint32_t microseconds);

 private:
  EnvState& state_;
  uint32_t microseconds_ = 0;
};

// A framed stream as JS holds it: by number. Keeps a reference to every JS buffer that the core may
// touch, for just as long. Owned by EnvState. Thread: JS.
class Connection final : public FramedStreamUser {
 public:
  Connection(EnvState& state, uint32_t id, uint32_t frame_bytes_max);
  ~Connection();

  FramedStream& stream() { return stream_; }
  SpinHold& spin() { return spin_; }

  void SendLarge(const uint8_t* header, Napi::Value bytes, ByteSpan payload, uint32_t token);
  void SendBulk(uint32_t stream_id, Napi::Value bytes, ByteSpan span, uint32_t token);
  void SendBulkFrame(const uint8_t* header, Napi::Value bytes, ByteSpan payload, uint32_t token);
  bool SetSink(uint32_t stream_id, Napi::Value target, MutableByteSpan span);
  bool ClearSink(uint32_t stream_id);

  // See SharedDoor and FramedStream. The side that listened opens, then takes and switches; the
  // other enters, and switches when it sees the first to do so.
  Result<void> OpenDoor(std::string_view name);
  Result<void> EnterDoor(std::string_view name, ByteSpan token);
  Result<void> TakeFromDoor(ByteSpan token);
  void CloseDoor();

 private:
  using References = std::unordered_map<uint32_t, Napi::ObjectReference>;
  // What JS lent, and the way to shared memory.
  struct Held {
    References sending;  // By token.
    References sinks;    // By stream id.
    Napi::ObjectReference large;
    std::unique_ptr<SharedDoor> door;
  };

  uint8_t* OnLargeBegin(size_t bytes) override;
  uint32_t OnLargeDone() override;
  void OnLargeDropped() override;
  void OnSentToken(uint32_t token, uint32_t crc) override;
  void OnClosed() override;
  Held& MakeHeld();
  void HoldUntilSent(uint32_t token, Napi::Value bytes);

  EnvState& state_;
  FramedStream stream_;
  SpinHold spin_;
  // Made when first used: an idle connection has none.
  std::unique_ptr<Held> held_;
};

// A listening socket as JS holds it. Owned by EnvState. Thread: JS.
class ListenerHolder final : public ListenerUser {
 public:
  ListenerHolder(EnvState& state, uint32_t id, uint32_t frame_bytes_max);

  Listener& listener() { return listener_; }
  SpinHold& spin() { return spin_; }

 private:
  void OnAccept(int fd) override;
  void OnPaused(int32_t result) override;

  EnvState& state_;
  const uint32_t id_;
  const uint32_t frame_bytes_max_;
  Listener listener_;
  SpinHold spin_;
};

}  // namespace paipai
