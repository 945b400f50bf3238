#include "socket/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstring>

namespace paipai {
namespace {

using NameCall = int (*)(int, sockaddr*, socklen_t*);

Result<int> Ask(NameCall call, int fd, sockaddr_storage& storage, socklen_t& size) {
  size = sizeof(storage);
  if (call(fd, reinterpret_cast<sockaddr*>(&storage), &size) < 0) return Error::System(errno);
  return 0;
}

}  // namespace

Result<Address> Address::Ip(const std::string& host, uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size_ = sizeof(*v4);
    return address;
  }
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size_ = sizeof(*v6);
    return address;
  }
  return Error::Of(ErrorCode::INVALID_ADDRESS);
}

Result<Address> Address::Unix(std::string_view path) {
  Address address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage_);
  if (path.empty() || path.size() >= sizeof(un->sun_path) || path.find('\0') != path.npos) {
    return Error::Of(ErrorCode::INVALID_ADDRESS);
  }
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.data(), path.size());
  address.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

Result<Address> Address::Local(int fd) {
  Address address;
  Result<int> asked = Ask(getsockname, fd, address.storage_, address.size_);
  if (!asked) return asked.error();
  return address;
}

Result<Address> Address::Remote(int fd) {
  Address address;
  Result<int> asked = Ask(getpeername, fd, address.storage_, address.size_);
  if (!asked) return asked.error();
  return address;
}

std::string Address::Format() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage_);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    return "tcp://" + std::string(text) + ":" + std::to_string(ntohs(v4->sin_port));
  }
  if (family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage_);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
    return "tcp://[" + std::string(text) + "]:" + std::to_string(ntohs(v6->sin6_port));
  }
  const auto* un = reinterpret_cast<const sockaddr_un*>(&storage_);
  const size_t room =
      size_ > offsetof(sockaddr_un, sun_path) ? size_ - offsetof(sockaddr_un, sun_path) : 0;
  return "unix://" + std::string(un->sun_path, strnlen(un->sun_path, room));
}

}  // namespace paipai
