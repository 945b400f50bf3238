#include "socket/listener.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace paipai {

Result<void> Listener::Listen(const Address& address, int backlog) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error::System(errno);
  const int on = 1;
  // As libuv does: a restarted server gets its port back while old connections linger in TIME_WAIT.
  if (address.is_ip()) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, address.data(), address.size()) < 0 || listen(fd, backlog) < 0) {
    const int error = errno;
    close(fd);
    return Error::System(error);
  }
  Result<uint32_t> slot = loop_.driver().Attach(fd);
  if (!slot) {
    close(fd);
    return slot.error();
  }
  fd_ = fd;
  slot_ = *slot;
  Resume();
  return {};
}

void Listener::Resume() {
  if (fd_ >= 0 && !accept_.submitted()) loop_.driver().Submit(slot_, accept_);
}

void Listener::Close() {
  if (fd_ < 0) return;
  loop_.driver().Cancel(accept_);
  loop_.driver().Detach(slot_);
  close(std::exchange(fd_, -1));
}

void Listener::SetKeepsAlive(bool keeps_alive) {
  if (fd_ >= 0) loop_.driver().SetKeepsAlive(slot_, keeps_alive);
}

void Listener::Accept::OnComplete(int32_t result) {
  if (result >= 0) {
    user_.OnAccept(result);
  } else {
    user_.OnPaused(result);
  }
}

}  // namespace paipai
