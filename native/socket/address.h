#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace paipai {

// A socket address: an IP address with port, or the path of a Unix socket. Names are resolved
// above, never here.
class Address {
 public:
  // `host` is a literal IPv4 or IPv6 address ("127.0.0.1", "::1"). Fails: INVALID_ADDRESS.
  static Result<Address> Ip(const std::string& host, uint16_t port);
  // `path` is 1 to 107 bytes without a zero. Fails: INVALID_ADDRESS.
  static Result<Address> Unix(std::string_view path);
  // The own or the other end of a connected or listening socket. Fails: -errno.
  static Result<Address> Local(int fd);
  static Result<Address> Remote(int fd);

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  int family() const { return storage_.ss_family; }
  bool is_ip() const { return family() == AF_INET || family() == AF_INET6; }

  // As users write it: tcp://127.0.0.1:80, tcp://[::1]:80, unix:///path, unix:// for an unnamed
  // end.
  std::string Format() const;

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

}  // namespace paipai
