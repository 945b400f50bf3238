#pragma once

#include <cstdint>

namespace paipai {

// What a driver on readiness needs from whoever waits: libuv's polls in an addon, an epoll set of
// one's own elsewhere. The host calls HostedDriver::OnReady for a watched descriptor;
// level-triggered. Thread: loop.
class ReadinessHost {
 public:
  virtual ~ReadinessHost() = default;

  // Prepares to watch `fd` under `slot`. Returns 0 or -errno.
  virtual int Open(uint32_t slot, int fd) = 0;
  // Changes what is watched; both false is nothing. Returns 0 or -errno.
  virtual int Watch(uint32_t slot, bool readable, bool writable) = 0;
  // Forgets `slot`; afterwards the descriptor may be closed at once.
  virtual void Close(uint32_t slot) = 0;
  virtual void SetKeepsAlive(uint32_t slot, bool keeps_alive) = 0;
};

}  // namespace paipai
