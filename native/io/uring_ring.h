#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/descriptor.h"
#include "base/result.h"
#include "io/uring_abi.h"

namespace paipai {

// One io_uring: two rings of memory shared with the kernel, and the calls that move them on.
//
//   submissions   | taken by the kernel | queued | free |
//                                      tail - queued   tail
//   completions   | read | waiting      | free |
//                       head           tail (the kernel's)
//
// Without SQPOLL the kernel looks at submissions only inside Enter. Thread: the one that opened it.
class UringRing {
 public:
  // `entries` submissions, a power of 2, and four times as many completions; more of these wait in
  // the kernel. Fails: -errno of io_uring_setup and mmap (EPERM: refused, EINVAL: a flag is
  // unknown); ENOSYS when the kernel is too old.
  static Result<std::unique_ptr<UringRing>> Open(uint32_t entries, uint32_t setup_flags);
  UringRing(const UringRing&) = delete;
  UringRing& operator=(const UringRing&) = delete;
  ~UringRing();

  // Readable while completions wait. Not so with DEFER_TASKRUN, which therefore is none of our
  // flags: epoll hears nothing of work that was deferred (seen on Linux 6.18).
  int fd() const { return fd_.get(); }
  bool Supports(uring::Op op) const;

  bool is_full() const { return queued_ == entries_; }
  uint32_t queued() const { return queued_; }
  // The next submission, zeroed; queued from here on. Not when it is full.
  uring::Sqe& Queue(uring::Op op, int fd, uint64_t user_data);

  // Submits all that is queued and, unless `wait` is 0, waits until so many completions are there.
  // kForEvents: the kernel also brings up what it kept back. Fails: EBUSY, EAGAIN, ENOMEM when
  // completions are to be taken first or memory is short: call again; else what refuses the call.
  enum class Purpose : uint8_t { kToSubmit, kForEvents };
  Result<void> Enter(Purpose purpose, uint32_t wait);
  // Whether only kForEvents will show all that has happened.
  bool HasHiddenEvents() const;

  // Takes the next completion; false when none waits.
  bool Take(uring::Cqe& cqe);

 private:
  UringRing() = default;

  OwnedDescriptor fd_;
  uint8_t* rings_ = nullptr;
  size_t rings_bytes_ = 0;
  uring::Sqe* sqes_ = nullptr;
  size_t sqes_bytes_ = 0;
  uint32_t* sq_tail_ = nullptr;
  uint32_t* sq_flags_ = nullptr;
  uint32_t* cq_head_ = nullptr;
  uint32_t* cq_tail_ = nullptr;
  uring::Cqe* cqes_ = nullptr;
  uint32_t entries_ = 0;
  uint32_t cq_mask_ = 0;
  uint32_t queued_ = 0;
};

}  // namespace paipai
