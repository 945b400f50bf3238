#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "loop/loop.h"
#include "socket/inbound_batch.h"
#include "socket/stream.h"

namespace paipai {

// Who uses a raw stream. Thread: loop.
class RawStreamUser {
 public:
  // What Write or ShutDown left under `token` is done: 0, or -errno when it never will be. In
  // order.
  virtual void OnDone(uint32_t token, int32_t result) = 0;

 protected:
  ~RawStreamUser() = default;
};

// A connection that carries the bytes of somebody else's protocol, without frames. What comes lands
// in the inbox of the batch; what goes is given to the kernel at once, and the rest waits. Each
// direction ends for itself. Thread: loop.
class RawStream final : private StreamUser, private Flushable {
 public:
  RawStream(Loop& loop, InboundBatch& batch, RawStreamUser& user, uint32_t id)
      : loop_(loop), batch_(batch), user_(user), id_(id), stream_(loop, *this) {}

  // Takes over a connected, non-blocking descriptor, its options as they are; it is closed on
  // failure as well. Receives nothing before Resume. Fails: -errno.
  Result<void> Adopt(int fd) { return stream_.Adopt(fd, Stream::Delay::kAsIs); }

  // Sends `bytes` as far as the kernel takes them now, behind those that wait. True: all of them.
  // False: OnDone(token) follows, and the rest is referenced until then. Fails: -errno.
  Result<bool> Write(ByteSpan bytes, uint32_t token) { return WriteAll({&bytes, 1}, token); }
  // The same for several, in order; `pieces` itself is not kept.
  Result<bool> WriteAll(std::span<const ByteSpan> pieces, uint32_t token);
  // The same for bytes that are gone when the call returns.
  Result<bool> WriteCopy(ByteSpan bytes, uint32_t token);
  // Sends an end-of-stream behind everything else, and not before this turn ends; OnDone(token)
  // follows. Whoever writes after this fails with EPIPE.
  void ShutDown(uint32_t token);
  // If it waits for the end of the turn alone, it leaves now.
  void FinishShutDown();

  // From now on it receives nothing by itself: once for each delivery it tells that there is
  // something, which its user reads.
  void Announce() { announces_ = true; }
  // Of a stream that announces: receives into `room` what is there. 0 is the end. Fails: -errno.
  Result<size_t> Read(MutableByteSpan room);

  void Resume();
  void Pause() { stream_.StopReceiving(); }
  // Ends both directions at once; nothing follows. `resets`: the other side sees ECONNRESET.
  void Close(bool resets);
  void SetKeepsAlive(bool keeps_alive) { stream_.SetKeepsAlive(keeps_alive); }

  // These fail: -errno.
  Result<void> SetNoDelay(bool no_delay);
  // TCP asks whether the other side is there after `idle_seconds` of silence; 0: after the system's
  // time.
  Result<void> SetKeepAlive(bool keep_alive, uint32_t idle_seconds);

  int fd() const { return stream_.fd(); }
  // Bytes that wait.
  size_t queued_bytes() const { return queued_bytes_; }

 private:
  struct Waiting {
    ByteSpan bytes;
    uint32_t token;
    enum class Kind : uint8_t {
      kPiece,
      kLast,
      kShutDown
    } kind;                          // OnDone is called for kPiece not.
    std::unique_ptr<uint8_t[]> own;  // Of WriteCopy.
  };

  // How many of the first bytes of `pieces` the kernel takes now. Fails: -errno.
  Result<size_t> SendNow(std::span<const ByteSpan> pieces);
  void Wait(ByteSpan bytes, uint32_t token, Waiting::Kind kind, std::unique_ptr<uint8_t[]> own);
  // At the end of the turn in which it was shut down.
  void Flush() override;
  bool is_waiting() const { return first_ < waiting_.size(); }
  // Takes the first out; its token is told of `result`.
  void PopFirst(int32_t result);
  void EndWaiting(int32_t result);

  size_t GatherReceive(iovec* vectors, size_t max) override;
  bool reads_itself() const override { return announces_; }
  void TellReadable();
  void TellEnd(int32_t result);
  void OnReceived(size_t bytes) override;
  size_t GatherSend(iovec* vectors, size_t max) override;
  void OnSent(size_t bytes) override;
  void OnConnected() override {}
  void OnSendFailed(int32_t result) override;
  void OnHangUp() override;
  void OnEnd(int32_t result) override;

  Loop& loop_;
  InboundBatch& batch_;
  RawStreamUser& user_;
  const uint32_t id_;
  Stream stream_;
  // Mostly one: a stream of Node's gives the next write when this one is done. Those before first_
  // are done.
  std::vector<Waiting> waiting_;
  size_t first_ = 0;
  size_t queued_bytes_ = 0;
  bool has_shut_down_ = false;
  uint32_t shut_down_token_ = 0;  // While this is to be flushed.
  MutableByteSpan room_;          // Where the receive under way lands.
  bool is_lent_ = false;          // By somebody who wants to keep it.
  bool is_bulk_ = false;          // The last receive filled its room.
  bool is_drained_ = false;       // It did not, so that nothing was left behind it.
  // Since so many deliveries it has received all that one receive may bring: its reader may want to
  // pause first.
  uint32_t filled_at_ = UINT32_MAX;
  bool has_ended_ = false;  // Nothing more comes.
  bool announces_ = false;
  uint32_t announced_at_ = UINT32_MAX;  // Since so many deliveries.
};

}  // namespace paipai
