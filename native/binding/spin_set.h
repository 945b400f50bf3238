#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace paipai {

// An epoll set beside libuv's, asked without waiting: one system call tells what is ready, where
// libuv needs a whole turn of its loop. Level-triggered. Thread: loop.
class SpinSet {
 public:
  SpinSet() = default;
  SpinSet(const SpinSet&) = delete;
  SpinSet& operator=(const SpinSet&) = delete;
  ~SpinSet() { Close(); }

  // False when the system has no descriptor left.
  bool Open();
  void Close();
  bool is_open() const { return fd_ >= 0; }

  // Changes what is watched of `fd` from `before` to `after`, each EPOLLIN, EPOLLOUT, both, or 0:
  // not in the set. `member` comes back with its events. False when the system refused; then `fd`
  // is as it was.
  bool Change(int fd, uint32_t before, uint32_t after, void* member);

  // What is ready now, at most as much as `events` hold; returns how many.
  size_t Ready(std::span<epoll_event> events);

 private:
  int fd_ = -1;
};

}  // namespace paipai
