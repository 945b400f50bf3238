#include "socket/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace paipai {
namespace {

#ifdef __APPLE__
constexpr int kKeepAliveIdle = TCP_KEEPALIVE;
#else
constexpr int kKeepAliveIdle = TCP_KEEPIDLE;
#endif

// A Unix socket refuses options of TCP, and that is all right.
void SetOption(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof(value));
}

// Messages leave when we flush, not when Nagle's algorithm lets them; we gather writes ourselves.
void SetNoDelay(int fd) { SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

// What may wait in the kernel beyond the congestion window while bulk is under way: enough to keep
// a fast link busy until the loop comes round again. Inside of one host there is no link, and what
// waits is only late.
constexpr int kUnsentBytes = 128 << 10;
constexpr int kUnsentBytesWithinHost = 32 << 10;

// Whether both ends have the same address.
bool IsWithinHost(int fd) {
  const auto address_of = [fd](auto get, sockaddr_storage& address) {
    socklen_t length = sizeof(address);
    return get(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  };
  sockaddr_storage own{};
  sockaddr_storage other{};
  if (!address_of(getsockname, own) || !address_of(getpeername, other)) return false;
  if (own.ss_family == AF_INET) {
    return reinterpret_cast<sockaddr_in&>(own).sin_addr.s_addr ==
           reinterpret_cast<sockaddr_in&>(other).sin_addr.s_addr;
  }
  return own.ss_family == AF_INET6 &&
         std::memcmp(&reinterpret_cast<sockaddr_in6&>(own).sin6_addr,
                     &reinterpret_cast<sockaddr_in6&>(other).sin6_addr, sizeof(in6_addr)) == 0;
}

}  // namespace

Result<void> Stream::Connect(const Address& address) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error::System(errno);
  int connected;
  do {
    connected = connect(fd, address.data(), address.size());
  } while (connected < 0 && errno == EINTR);
  // A Unix socket with a full queue answers EAGAIN and is not being connected; the caller sees that
  // error.
  if (connected < 0 && errno != EINPROGRESS) {
    const int error = errno;
    close(fd);
    return Error::System(error);
  }
  SetNoDelay(fd);
  Result<void> attached = Attach(fd);
  if (!attached) return attached;
  // Also when connect succeeded at once: the answer comes by the same way, in a later turn.
  connect_ = std::make_unique<ConnectOnce>(*this);
  loop_.driver().Submit(slot_, *connect_);
  return {};
}

Result<void> Stream::Adopt(int fd, Delay delay) {
  if (delay == Delay::kNone) SetNoDelay(fd);
  Result<void> attached = Attach(fd);
  if (attached) connected_ = true;
  return attached;
}

Result<void> Stream::Attach(int fd) {
  PP_ASSERT(fd_ < 0);
  Result<uint32_t> slot = loop_.driver().Attach(fd);
  if (!slot) {
    close(fd);
    return slot.error();
  }
  fd_ = fd;
  slot_ = *slot;
  return {};
}

void Stream::StartReceiving() {
  if (fd_ >= 0 && connected_ && !receive_.submitted()) loop_.driver().Submit(slot_, receive_);
}

void Stream::StopReceiving() {
  if (receive_.submitted()) loop_.driver().Cancel(receive_);
}

void Stream::Send() {
  if (fd_ >= 0 && connected_ && !send_.submitted()) loop_.driver().Submit(slot_, send_);
}

void Stream::KeepUnsentShort() {
  if (fd_ < 0 || !connected_ || std::exchange(keeps_unsent_short_, true)) return;
  const int bytes = IsWithinHost(fd_) ? kUnsentBytesWithinHost : kUnsentBytes;
  setsockopt(fd_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
}

void Stream::ShutdownSending() {
  if (fd_ >= 0) shutdown(fd_, SHUT_WR);
}

void Stream::Close() {
  if (fd_ < 0) return;
  // Those whose completion waits to be reaped have left the slot already: cancel each by name.
  loop_.driver().Cancel(receive_);
  loop_.driver().Cancel(send_);
  if (connect_ != nullptr) loop_.driver().Cancel(*connect_);
  loop_.driver().Detach(slot_);
  close(std::exchange(fd_, -1));
  connected_ = false;
}

void Stream::SetKeepsAlive(bool keeps_alive) {
  if (fd_ >= 0) loop_.driver().SetKeepsAlive(slot_, keeps_alive);
}

size_t Stream::Receive::Gather(iovec* vectors, size_t max) {
  if (!stream_.expects_end_) return stream_.user_.GatherReceive(vectors, max);
  vectors[0] = {&stream_.stray_, sizeof(stream_.stray_)};
  return 1;
}

void Stream::SetTcpOptions(bool no_delay, uint32_t keep_alive_ms) {
  if (fd_ < 0) return;
  SetOption(fd_, IPPROTO_TCP, TCP_NODELAY, no_delay);
  SetOption(fd_, SOL_SOCKET, SO_KEEPALIVE, keep_alive_ms > 0);
  if (keep_alive_ms == 0) return;
  const uint32_t seconds = std::max(1u, (keep_alive_ms + 999) / 1000);
  SetOption(fd_, IPPROTO_TCP, kKeepAliveIdle, static_cast<int>(seconds));
}

void Stream::Receive::OnComplete(int32_t result) {
  if (result > 0 && stream_.expects_end_) {
    stream_.user_.OnEnd(Error::Of(ErrorCode::PROTOCOL).result());
  } else if (result > 0) {
    stream_.user_.OnReceived(static_cast<size_t>(result));
  } else {
    stream_.user_.OnEnd(result);
  }
}

void Stream::SendOnce::OnComplete(int32_t result) {
  if (result >= 0) {
    stream_.user_.OnSent(static_cast<size_t>(result));
  } else {
    stream_.user_.OnSendFailed(result);
  }
}

void Stream::ConnectOnce::OnComplete(int32_t result) {
  if (result < 0) {
    stream_.user_.OnEnd(result);
    return;
  }
  stream_.connected_ = true;
  stream_.user_.OnConnected();
}

}  // namespace paipai
