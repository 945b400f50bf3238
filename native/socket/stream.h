#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "io/operation.h"
#include "loop/loop.h"
#include "socket/address.h"

namespace paipai {

// Who uses a stream: gives the memory, takes the results. Thread: loop.
class StreamUser {
 public:
  // Room for bytes that are there; 0 vectors: none in this turn.
  virtual size_t GatherReceive(iovec* vectors, size_t max) = 0;
  // Whether GatherReceive only tells that they are there, and gives no room.
  virtual bool reads_itself() const { return false; }
  // `bytes` landed in what GatherReceive gave; 1 or more.
  virtual void OnReceived(size_t bytes) = 0;
  // What is to be sent next; 0 vectors: nothing.
  virtual size_t GatherSend(iovec* vectors, size_t max) = 0;
  virtual void OnSent(size_t bytes) = 0;
  // The connection stands.
  virtual void OnConnected() = 0;
  // Nothing more can be sent: -errno. The stream is still to be closed.
  virtual void OnSendFailed(int32_t result) = 0;
  // Both directions have ended, behind what OnReceived told; OnEnd follows in any case.
  virtual void OnHangUp() {}
  // Nothing more comes: 0 is the peer's orderly end, else -errno. The stream is still to be closed.
  virtual void OnEnd(int32_t result) = 0;

 protected:
  ~StreamUser() = default;
};

// One connected byte stream over TCP or a Unix socket. Owns its descriptor. Thread: loop.
class Stream {
 public:
  Stream(Loop& loop, StreamUser& user) : loop_(loop), user_(user), receive_(*this), send_(*this) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { Close(); }

  // Begins to connect; OnConnected or OnEnd follows. Fails at once: -errno.
  Result<void> Connect(const Address& address);
  // Whether small packets leave at once, or as the descriptor has it.
  enum class Delay { kNone, kAsIs };
  // Takes over a connected, non-blocking descriptor; it is closed on failure as well. Fails:
  // -errno.
  Result<void> Adopt(int fd, Delay delay);

  void StartReceiving();
  void StopReceiving();
  // From now on nothing but the end may come; a byte is PROTOCOL.
  void ExpectEndOnly() { expects_end_ = true; }
  // Submits a send unless one is on its way: GatherSend is asked now or when the kernel has room.
  void Send();
  // From now on the kernel takes little more than it can put on the wire: what it holds nothing
  // overtakes. On a Unix socket, which holds little anyway, it does nothing.
  void KeepUnsentShort();
  // Sends an end-of-stream behind everything that was sent.
  void ShutdownSending();
  // Ends both directions at once; no call to the user follows. Idempotent.
  void Close();
  void SetKeepsAlive(bool keeps_alive);
  // Of a TCP connection that stands; another is left as it is. `keep_alive_ms` is how long it may
  // be silent before TCP asks whether the peer is still there; 0: it never asks.
  void SetTcpOptions(bool no_delay, uint32_t keep_alive_ms);

  bool is_open() const { return fd_ >= 0; }
  bool is_connected() const { return connected_; }
  bool is_receiving() const { return receive_.submitted(); }
  int fd() const { return fd_; }

 private:
  class Receive final : public Operation {
   public:
    explicit Receive(Stream& stream) : Operation(OperationKind::kReceive), stream_(stream) {}
    size_t Gather(iovec* vectors, size_t max) override;
    bool is_read_by_owner() const override { return stream_.user_.reads_itself(); }
    void OnComplete(int32_t result) override;
    void OnHangUp() override { stream_.user_.OnHangUp(); }

   private:
    Stream& stream_;
  };
  class SendOnce final : public Operation {
   public:
    explicit SendOnce(Stream& stream) : Operation(OperationKind::kSend), stream_(stream) {}
    size_t Gather(iovec* vectors, size_t max) override {
      return stream_.user_.GatherSend(vectors, max);
    }
    void OnComplete(int32_t result) override;

   private:
    Stream& stream_;
  };
  class ConnectOnce final : public Operation {
   public:
    explicit ConnectOnce(Stream& stream) : Operation(OperationKind::kConnect), stream_(stream) {}
    size_t Gather(iovec*, size_t) override { return 0; }
    void OnComplete(int32_t result) override;

   private:
    Stream& stream_;
  };

  Result<void> Attach(int fd);

  Loop& loop_;
  StreamUser& user_;
  Receive receive_;
  SendOnce send_;
  std::unique_ptr<ConnectOnce> connect_;  // Of the side that connects.
  int fd_ = -1;
  uint32_t slot_ = 0;
  bool connected_ = false;
  bool expects_end_ = false;
  bool keeps_unsent_short_ = false;
  uint8_t stray_ = 0;  // Where a byte goes that may not come.
};

}  // namespace paipai
