#pragma once

#include <cstdint>

#include "base/result.h"
#include "io/operation.h"
#include "loop/loop.h"
#include "socket/address.h"

namespace paipai {

class ListenerUser {
 public:
  // A connected, non-blocking descriptor, now the user's to close.
  virtual void OnAccept(int fd) = 0;
  // Accepting stopped: -EMFILE and its like. Resume starts it again.
  virtual void OnPaused(int32_t result) = 0;

 protected:
  ~ListenerUser() = default;
};

// A listening socket. Thread: loop.
class Listener {
 public:
  Listener(Loop& loop, ListenerUser& user) : loop_(loop), accept_(user) {}
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { Close(); }

  // Binds and listens. Fails: -errno (EADDRINUSE, EACCES …).
  Result<void> Listen(const Address& address, int backlog);
  // Where it listens, with the port that the system chose.
  Result<Address> address() const { return Address::Local(fd_); }
  void Resume();
  // Stops accepting. The file of a Unix socket stays: whoever made it removes it. Idempotent.
  void Close();
  void SetKeepsAlive(bool keeps_alive);

 private:
  class Accept final : public Operation {
   public:
    explicit Accept(ListenerUser& user) : Operation(OperationKind::kAccept), user_(user) {}
    size_t Gather(iovec*, size_t) override { return 0; }
    void OnComplete(int32_t result) override;

   private:
    ListenerUser& user_;
  };

  Loop& loop_;
  Accept accept_;
  int fd_ = -1;
  uint32_t slot_ = 0;
};

}  // namespace paipai
