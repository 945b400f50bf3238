#include "io/kernel_probe.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/descriptor.h"

namespace paipai {
namespace {

using uring::Op;
using Purpose = UringRing::Purpose;

constexpr struct {
  uint32_t flags;
  const char* name;
} kSetups[] = {
    {kBestUringFlags, "with a single issuer and cooperative task work"},
    {0, "with plain flags"},
};

constexpr Op kOps[] = {Op::kNop,         Op::kPollAdd,        Op::kCancel, Op::kSend,
                       Op::kSendMessage, Op::kReceiveMessage, Op::kReceive};

constexpr int kWaitMs = 1000;

// The next completion is there at once, and is that of `user_data`.
bool Brings(UringRing& ring, uint64_t user_data, int32_t result) {
  uring::Cqe cqe;
  return ring.Take(cqe) && cqe.user_data == user_data && cqe.result == result;
}

// One byte at `byte`, without waiting for the socket: complete when the call returns, or the driver
// would wait where it must not.
bool Transfers(UringRing& ring, Op op, int fd, uint8_t& byte, int32_t result) {
  uring::Sqe& sqe = ring.Queue(op, fd, 1);
  sqe.address = reinterpret_cast<uintptr_t>(&byte);
  sqe.length = 1;
  sqe.op_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  return ring.Enter(Purpose::kToSubmit, 0) && Brings(ring, 1, result);
}

// Asks as libuv does: an epoll set is told of changes, where poll(2) would look for itself.
bool IsReadable(int set, int timeout_ms) {
  epoll_event event{};
  int count;
  do {
    // Interrupted when the kernel makes a completion meanwhile.
    count = epoll_wait(set, &event, 1, timeout_ms);
  } while (count < 0 && errno == EINTR);
  return count == 1;
}

// What fails, or null.
const char* SelfTest(UringRing& ring) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
    return "a socket pair for the self-test";
  const OwnedDescriptor ours(fds[0]);
  const OwnedDescriptor peer(fds[1]);
  const OwnedDescriptor set(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(set.get(), EPOLL_CTL_ADD, ring.fd(), &event) < 0) return "watching the ring";

  ring.Queue(Op::kPollAdd, ours.get(), 2).op_flags = POLLIN;
  if (!ring.Enter(Purpose::kToSubmit, 0) || IsReadable(set.get(), 0)) return "a poll that waits";
  uint8_t byte = 7;
  if (write(peer.get(), &byte, 1) != 1 || !IsReadable(set.get(), kWaitMs))
    return "a poll's wake-up";
  if (!Brings(ring, 2, POLLIN)) return "a poll's completion";

  byte = 0;
  if (!Transfers(ring, Op::kReceive, ours.get(), byte, 1) || byte != 7) return "a receive";
  if (!Transfers(ring, Op::kReceive, ours.get(), byte, -EAGAIN)) return "a receive without bytes";
  if (!Transfers(ring, Op::kSend, ours.get(), byte, 1) || read(peer.get(), &byte, 1) != 1)
    return "a send";

  ring.Queue(Op::kPollAdd, ours.get(), 3).op_flags = POLLIN;
  ring.Queue(Op::kCancel, -1, 4).address = 3;
  if (!ring.Enter(Purpose::kForEvents, 2)) return "taking a poll back";
  uint64_t seen = 0;
  for (uring::Cqe cqe; ring.Take(cqe);) seen = seen * 8 + cqe.user_data;
  return seen == 3 * 8 + 4 || seen == 4 * 8 + 3 ? nullptr : "a poll that was taken back";
}

std::string Refusal(const char* what, int32_t result) {
  std::string text = std::string(what) + ": " + std::strerror(-result);
  if (result == -EPERM) text += " (kernel.io_uring_disabled, or a seccomp filter)";
  return text;
}

// The ring, or why there is none in `reason`.
std::unique_ptr<UringRing> Try(uint32_t entries, uint32_t flags, std::string& reason) {
  Result<std::unique_ptr<UringRing>> opened = UringRing::Open(entries, flags);
  if (!opened) {
    reason = Refusal("io_uring_setup", opened.error().result());
    return nullptr;
  }
  std::unique_ptr<UringRing> ring = std::move(*opened);
  for (const Op op : kOps) {
    if (ring->Supports(op)) continue;
    reason = "io_uring has no operation " + std::to_string(static_cast<int>(op)) + " here";
    return nullptr;
  }
  const char* const failed = SelfTest(*ring);
  if (failed == nullptr) return ring;
  reason = std::string("the self-test of io_uring fails at ") + failed;
  return nullptr;
}

}  // namespace

UringProbe ProbeUring(uint32_t entries) {
  UringProbe probe;
  for (const auto& setup : kSetups) {
    probe.ring = Try(entries, setup.flags, probe.reason);
    if (probe.ring == nullptr) continue;
    probe.reason = std::string("io_uring works here ") + setup.name;
    break;
  }
  return probe;
}

}  // namespace paipai
