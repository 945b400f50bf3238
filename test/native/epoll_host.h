#pragma once

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "io/hosted_driver.h"
#include "io/readiness_host.h"

namespace paipai::test {

// The smallest host there is: one epoll set, level-triggered.
class EpollHost final : public ReadinessHost {
 public:
  EpollHost() : epoll_fd_(epoll_create1(EPOLL_CLOEXEC)) { PP_ASSERT(epoll_fd_ >= 0); }
  EpollHost(const EpollHost&) = delete;
  EpollHost& operator=(const EpollHost&) = delete;
  ~EpollHost() { close(epoll_fd_); }

  // What Open and Watch answer instead of doing their work; 0 is no such thing.
  int open_result = 0;
  int watch_result = 0;

  int Open(uint32_t slot, int fd) override {
    if (open_result < 0) return open_result;
    if (slot >= slots_.size()) slots_.resize(slot + 1);
    PP_ASSERT(slots_[slot].fd < 0);
    slots_[slot] = Slot{fd, 0, true};
    return 0;
  }

  int Watch(uint32_t slot, bool readable, bool writable) override {
    if (watch_result < 0) return watch_result;
    Slot& watched = slots_[slot];
    PP_ASSERT(watched.fd >= 0);
    epoll_event event{};
    event.events = (readable ? uint32_t{EPOLLIN} : 0u) | (writable ? uint32_t{EPOLLOUT} : 0u);
    event.data.u32 = slot;
    const int operation = event.events == 0     ? EPOLL_CTL_DEL
                          : watched.events == 0 ? EPOLL_CTL_ADD
                                                : EPOLL_CTL_MOD;
    if (watched.events == event.events) return 0;
    watched.events = event.events;
    return epoll_ctl(epoll_fd_, operation, watched.fd, &event) < 0 ? -errno : 0;
  }

  void Close(uint32_t slot) override {
    if (slots_[slot].events != 0) epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, slots_[slot].fd, nullptr);
    slots_[slot] = Slot{};
  }

  void SetKeepsAlive(uint32_t slot, bool keeps_alive) override {
    slots_[slot].keeps_alive = keeps_alive;
  }

  bool is_open(uint32_t slot) const { return slot < slots_.size() && slots_[slot].fd >= 0; }
  bool keeps_alive(uint32_t slot) const { return slots_[slot].keeps_alive; }

  // Tells `driver` what is ready, waiting for it up to `timeout_ms`; returns how many were.
  size_t Wait(HostedDriver& driver, int timeout_ms) {
    driver.Commit();
    epoll_event events[64];
    int count;
    do {
      count = epoll_wait(epoll_fd_, events, 64, timeout_ms);
    } while (count < 0 && errno == EINTR);
    for (int i = 0; i < count; ++i) {
      const uint32_t slot = events[i].data.u32;
      if (!is_open(slot)) continue;
      const bool failed = (events[i].events & (EPOLLERR | EPOLLHUP)) != 0;
      driver.OnReady(slot, failed || (events[i].events & EPOLLIN) != 0,
                     failed || (events[i].events & EPOLLOUT) != 0);
    }
    return count < 0 ? 0 : static_cast<size_t>(count);
  }

 private:
  struct Slot {
    int fd = -1;
    uint32_t events = 0;
    bool keeps_alive = false;
  };

  const int epoll_fd_;
  std::vector<Slot> slots_;
};

}  // namespace paipai::test
