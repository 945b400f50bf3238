#include "binding/spin_set.h"

#include <unistd.h>

#include <utility>

namespace paipai {

bool SpinSet::Open() {
  if (fd_ < 0) fd_ = epoll_create1(EPOLL_CLOEXEC);
  return fd_ >= 0;
}

void SpinSet::Close() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

bool SpinSet::Change(int fd, uint32_t before, uint32_t after, void* member) {
  // One that watches nothing leaves the set: epoll reports errors and hang-ups of every member.
  const int operation = before == 0 ? EPOLL_CTL_ADD : after == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  epoll_event event{};
  event.events = after;
  event.data.ptr = member;
  return before == after || epoll_ctl(fd_, operation, fd, &event) == 0;
}

size_t SpinSet::Ready(std::span<epoll_event> events) {
  const int count = epoll_wait(fd_, events.data(), static_cast<int>(events.size()), 0);
  return count < 0 ? 0 : static_cast<size_t>(count);
}

}  // namespace paipai
