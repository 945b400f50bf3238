#include "shm/pair.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#ifdef __linux__
#include <sys/eventfd.h>
#endif

namespace paipai {

#ifdef __linux__

namespace {

constexpr size_t kRegionBytes = ((2 * RingBytes(kRingCapacity) + 4095) / 4096) * 4096;
constexpr size_t kPartsMax = 3;  // The memfd, the wake-up of the sender, that of the receiver.
// Others of this network namespace can see the name and come first; more than so many cost us the
// shared memory and nothing else.
constexpr int kStrangersMax = 16;

struct AbstractAddress {
  sockaddr_un address{};
  socklen_t size = 0;
};

Result<AbstractAddress> AddressOf(std::string_view name) {
  AbstractAddress made;
  made.address.sun_family = AF_UNIX;
  // The first byte stays 0, which makes the name abstract.
  if (name.empty() || name.size() >= sizeof(made.address.sun_path)) {
    return Error::Of(ErrorCode::INVALID_ARGUMENT);
  }
  std::memcpy(made.address.sun_path + 1, name.data(), name.size());
  made.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return made;
}

OwnedDescriptor UnixSocket() {
  return OwnedDescriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool IsOwnUser(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

// Not by the first difference: how long it takes must not tell where that is.
bool SameBytes(ByteSpan a, ByteSpan b) {
  if (a.size() != b.size()) return false;
  uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<uint8_t>(a[i] ^ b[i]);
  return difference == 0;
}

// A write to anything else might block, and end this process with SIGPIPE.
bool IsEventfd(int fd) {
  char path[32];
  char target[32];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(path, target, sizeof(target));
  const std::string_view name = "anon_inode:[eventfd]";
  return length == static_cast<ssize_t>(name.size()) &&
         std::string_view(target, name.size()) == name && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

// What lies in one accepted connection, if it is what the door was opened for.
Result<SharedPair> TakeParts(OwnedDescriptor link, ByteSpan token) {
  uint8_t bytes[kDoorTokenBytes];
  alignas(cmsghdr) char control[CMSG_SPACE(kPartsMax * sizeof(int))];
  iovec vector{bytes, sizeof(bytes)};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t received = recvmsg(link.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  OwnedDescriptor parts[kPartsMax];
  size_t count = 0;
  // Whatever came is closed with its owner, also what is not wanted.
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); received >= 0 && part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < here; ++i) {
      int received_fd;
      std::memcpy(&received_fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      OwnedDescriptor owned(received_fd);
      // The control bytes are padded, so one more than asked for may have come.
      if (count < kPartsMax) parts[count] = std::move(owned);
      ++count;
    }
  }
  const bool is_whole = received == static_cast<ssize_t>(kDoorTokenBytes) && count == kPartsMax &&
                        (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
  if (!is_whole || !SameBytes({bytes, kDoorTokenBytes}, token) || !IsEventfd(parts[1].get()) ||
      !IsEventfd(parts[2].get())) {
    return Error::Of(ErrorCode::PROTOCOL);
  }
  Result<SharedRegion> region = SharedRegion::Adopt(parts[0].Release(), kRegionBytes);
  if (!region) return region.error();
  region->CloseDescriptor();
  return SharedPair{std::move(*region), std::move(parts[2]), std::move(parts[1]), std::move(link),
                    false};
}

Result<void> PutParts(const SharedPair& pair, ByteSpan token) {
  alignas(cmsghdr) char control[CMSG_SPACE(kPartsMax * sizeof(int))] = {};
  iovec vector{const_cast<uint8_t*>(token.data()), token.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(kPartsMax * sizeof(int));
  const int parts[kPartsMax] = {pair.region.fd(), pair.own_wake.get(), pair.peer_wake.get()};
  std::memcpy(CMSG_DATA(part), parts, sizeof(parts));
  const ssize_t sent = sendmsg(pair.link.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return Error::System(errno);
  if (sent != static_cast<ssize_t>(token.size())) return Error::System(EAGAIN);
  return {};
}

}  // namespace

Result<SharedDoor> SharedDoor::Open(std::string_view name) {
  Result<AbstractAddress> address = AddressOf(name);
  if (!address) return address.error();
  OwnedDescriptor listener = UnixSocket();
  const auto* where = reinterpret_cast<const sockaddr*>(&address->address);
  if (!listener || bind(listener.get(), where, address->size) < 0 ||
      listen(listener.get(), kStrangersMax) < 0) {
    return Error::System(errno);
  }
  return SharedDoor(std::move(listener));
}

Result<SharedPair> SharedDoor::Enter(std::string_view name, ByteSpan token) {
  if (token.size() != kDoorTokenBytes) return Error::Of(ErrorCode::INVALID_ARGUMENT);
  Result<AbstractAddress> address = AddressOf(name);
  if (!address) return address.error();
  OwnedDescriptor socket = UnixSocket();
  // A Unix connection stands at once, or not at all.
  if (!socket || connect(socket.get(), reinterpret_cast<const sockaddr*>(&address->address),
                         address->size) < 0) {
    return Error::System(errno);
  }
  if (!IsOwnUser(socket.get())) return Error::Of(ErrorCode::PROTOCOL);
  Result<SharedRegion> region = SharedRegion::Create(kRegionBytes);
  if (!region) return region.error();
  OwnedDescriptor own_wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  OwnedDescriptor peer_wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!own_wake || !peer_wake) return Error::System(errno);
  SharedPair pair{std::move(*region), std::move(own_wake), std::move(peer_wake), std::move(socket),
                  true};
  Result<void> put = PutParts(pair, token);
  if (!put) return put.error();
  pair.region.CloseDescriptor();
  return pair;
}

Result<SharedPair> SharedDoor::Take(ByteSpan token) {
  for (int strangers = 0; strangers < kStrangersMax; ++strangers) {
    OwnedDescriptor accepted(
        accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) {
      const bool is_empty = errno == EAGAIN || errno == EWOULDBLOCK;
      return is_empty ? Error::Of(ErrorCode::PROTOCOL) : Error::System(errno);
    }
    if (!IsOwnUser(accepted.get())) continue;
    Result<SharedPair> pair = TakeParts(std::move(accepted), token);
    if (pair || !pair.error().Is(ErrorCode::PROTOCOL)) return pair;
  }
  return Error::Of(ErrorCode::PROTOCOL);
}

#else

Result<SharedDoor> SharedDoor::Open(std::string_view) { return Error::System(ENOSYS); }
Result<SharedPair> SharedDoor::Enter(std::string_view, ByteSpan) { return Error::System(ENOSYS); }
Result<SharedPair> SharedDoor::Take(ByteSpan) { return Error::System(ENOSYS); }

#endif

}  // namespace paipai
