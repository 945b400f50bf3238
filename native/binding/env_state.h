#pragma once

#include <napi.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "binding/connection.h"
#include "binding/loop_host.h"
#include "binding/raw_connection.h"
#include "binding/spare_buffers.h"
#include "io/driver_select.h"
#include "loop/loop.h"
#include "socket/inbound_batch.h"

namespace paipai {

// Things by number: an index in the low bits, a generation above it, so that a number that JS kept
// too long finds nothing. 30 bits in all, which V8 holds without allocating.
template <class T>
class HandleTable {
 public:
  template <class Make>
  uint32_t Add(Make make) {
    uint32_t index;
    if (free_.empty()) {
      if (entries_.size() >= kIndexMax) return kNone;
      index = static_cast<uint32_t>(entries_.size());
      entries_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Entry& entry = entries_[index];
    entry.generation = entry.generation % kGenerationMax + 1;
    const uint32_t id = entry.generation << kIndexBits | index;
    entry.value = make(id);
    return id;
  }

  T* Find(uint32_t id) {
    const uint32_t index = id & (kIndexMax - 1);
    if (index >= entries_.size() || entries_[index].generation != id >> kIndexBits) return nullptr;
    return entries_[index].value.get();
  }

  // Takes the thing out; the caller destroys it when nothing of it is on the stack any more.
  std::unique_ptr<T> Take(uint32_t id) {
    if (Find(id) == nullptr) return nullptr;
    const uint32_t index = id & (kIndexMax - 1);
    free_.push_back(index);
    return std::move(entries_[index].value);
  }

  void Clear() {
    entries_.clear();
    free_.clear();
  }

  static constexpr uint32_t kNone = 0;  // Generations begin at 1.

 private:
  static constexpr uint32_t kIndexBits = 19;
  static constexpr uint32_t kIndexMax = 1u << kIndexBits;
  static constexpr uint32_t kGenerationMax = (1u << 11) - 1;
  struct Entry {
    uint32_t generation = 0;
    std::unique_ptr<T> value;
  };
  std::vector<Entry> entries_;
  std::vector<uint32_t> free_;
};

// An ArrayBuffer that JS and the core both see, kept for as long as this. Empty when V8 gives none.
class SharedMemory {
 public:
  SharedMemory(Napi::Env env, size_t bytes);

  Napi::ArrayBuffer buffer() const { return buffer_.Value(); }
  template <class T>
  std::span<T> As() const {
    return {static_cast<T*>(data_), bytes_ / sizeof(T)};
  }

 private:
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Everything of one environment (main thread or worker): its loop inside Node's, its connections,
// the memory it shares with JS. Made by the first call that needs it, gone with the environment by
// its async cleanup hook. Thread: JS.
class EnvState final : private LoopHostUser {
 public:
  // The state of `env`; made when there is none, and only then is `io` asked for.
  static EnvState& Of(Napi::Env env, IoChoice io = IoChoice::kEpoll);

  EnvState(const EnvState&) = delete;
  EnvState& operator=(const EnvState&) = delete;

  Napi::Env env() const { return env_; }
  Loop& loop() { return loop_; }
  InboundBatch& batch() { return batch_; }

  // Sets who receives batches and returns the shared memory and what serves the sockets: { inbox,
  // descriptors, outbox, control, io, ioReason }.
  Napi::Object Open(Napi::Function on_batch);

  // These answer a number above 0, or a negative result.
  int32_t Connect(const Address& address, uint32_t frame_bytes_max);
  int32_t Listen(const Address& address, int backlog, uint32_t frame_bytes_max);
  void Accept(uint32_t listener_id, int fd, uint32_t frame_bytes_max);

  // Takes `fd` over, or closes it.
  int32_t AdoptRaw(int fd);
  // Lends the memory of `buffer` for one receive of bulk on a raw stream; it is kept until the next
  // is lent.
  void Lend(Napi::Value buffer, MutableByteSpan memory);

  // Null when the number means nothing (any more).
  RawConnection* FindRaw(uint32_t id) { return raws_.Find(id); }
  Connection* FindConnection(uint32_t id) { return connections_.Find(id); }
  ListenerHolder* FindListener(uint32_t id) { return listeners_.Find(id); }
  // Puts `payloads`, each `payload_bytes` long and one behind the other, into the outbox as
  // messages of topic `name`; what is in the way there leaves. At most kGatheredBytesMax a payload,
  // and all whole. Returns how many bytes of it wait in the outbox.
  size_t QueueMessages(uint32_t connection, uint16_t name, ByteSpan payloads, size_t payload_bytes);
  // Takes a connection out of the table; it is destroyed after this turn.
  void Retire(uint32_t id);
  void CloseConnection(uint32_t id);
  void CloseListener(uint32_t id);
  void CloseRaw(uint32_t id, bool resets);

  // Sends what JS put into the outbox and whatever else is queued.
  void Flush();
  // Bytes of the outbox; those that lie in it.
  ByteSpan OutboxAt(size_t offset, size_t length) const;
  // Whether JS has put anything there since.
  bool has_outbox() const { return has_memory() && control_data_[0] > 0; }

  // One that let the loop spin for `before` microseconds after a message now asks for `after`; 0 is
  // no wish. The longest wish of all is what the loop does.
  void ChangeSpin(uint32_t before, uint32_t after);
  void NoteMessages() { host_.NoteMessages(); }
  // There is a next turn, which does not wait.
  void SkipNextWait() { host_.SkipNextWait(); }

  // Hands a large payload to the next delivery; returns its number there.
  uint32_t AddLarge(Napi::ObjectReference buffer);
  SpareBuffers& spares() { return spares_; }

 private:
  EnvState(Napi::Env env, IoChoice io);
  ~EnvState() = default;

  // False in a worker that was terminated while this was made: nothing will be used then.
  bool has_memory() const {
    return !inbox_.As<uint8_t>().empty() && !descriptors_.As<uint8_t>().empty() &&
           outbox_data_ != nullptr && control_data_ != nullptr;
  }

  bool OnReady(uint32_t slot, bool readable, bool writable) override;
  void OnHangUp(uint32_t slot) override { driver_.OnHangUp(slot); }
  bool MayAsk(uint32_t slot) const override { return driver_.MayAsk(slot); }
  bool MayLook(uint32_t slot) const override { return driver_.MayLook(slot); }
  bool OnBeforeWait() override;
  bool OnAfterWait() override;
  bool OnPoll() override;
  bool ExpectsMore() override { return loop_.ExpectsMore(); }
  bool OnSleep() override { return loop_.PrepareSleep(); }
  bool IsAwake() const override { return loop_.has_awake(); }
  void OnClosed() override;
  void Deliver();
  // Queues the frames of the outbox with their connections; they stay borrowed from it until
  // settled.
  // A turn begins: what JS queues in it leaves early above this many bytes.
  void SetFlushMark();
  void TakeOutbox(std::vector<FramedStream*>& borrowers);
  static void OnCleanup(napi_async_cleanup_hook_handle handle, void* state);

  const Napi::Env env_;
  SharedMemory inbox_;
  SharedMemory descriptors_;
  SharedMemory outbox_;
  SharedMemory control_;
  uint8_t* outbox_data_ = nullptr;
  uint32_t* control_data_ = nullptr;  // [0]: bytes used in the outbox; [1]: how often it was taken;
  // [2]: see kFirstFlushBytes; [3]: how many connections have bytes that the system has not taken.

  LoopHost host_;
  const SelectedDriver selected_;
  HostedDriver& driver_;
  Loop loop_;
  InboundBatch batch_;
  std::map<uint32_t, size_t> spins_;  // How many wish for so many microseconds.
  HandleTable<Connection> connections_;
  HandleTable<ListenerHolder> listeners_;
  HandleTable<RawConnection> raws_;
  std::vector<std::unique_ptr<Connection>> retired_;
  std::vector<std::unique_ptr<RawConnection>> retired_raws_;
  std::vector<Napi::ObjectReference> large_;
  SpareBuffers spares_;
  std::vector<FramedStream*> borrowers_;
  Napi::ObjectReference lent_;
  Napi::FunctionReference on_batch_;
  std::unique_ptr<Napi::AsyncContext> async_context_;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  bool more_to_send_ = false;
  bool closing_ = false;
};

}  // namespace paipai
