#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace paipai {

enum class OperationKind : uint8_t {
  kReceive,   // Stays submitted: completes each time that bytes came, until it is cancelled or
              // fails.
  kSend,      // Completes once: the bytes the kernel took, 1 or more.
  kAccept,    // Stays submitted: completes with each new descriptor.
  kConnect,   // Completes once, with 0.
  kReadable,  // Stays submitted: completes with 0 while there is something to read, which its owner
              // reads itself.
};

// One operation in flight on one descriptor; embedded in what owns it, which outlives the
// submission or cancels it. Thread: loop.
class Operation {
 public:
  explicit Operation(OperationKind kind) : kind_(kind) {}
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // Where bytes go to or come from, asked for when the kernel is ready for them: an idle connection
  // holds no buffer. Fills at most `max` vectors and returns their count; 0 means "no room now": a
  // receive is asked again at the next readiness, a send is dropped. The memory stays as it is
  // until OnComplete.
  virtual size_t Gather(iovec* vectors, size_t max) = 0;
  // Of kReceive: whether its owner is told that there is something, and reads that itself, so that
  // Gather gives no room and nothing completes.
  virtual bool is_read_by_owner() const { return false; }

  // `result`: bytes (0 is the end of the stream for kReceive), a descriptor for kAccept, or -errno.
  // Called from Driver::Reap only; may submit, cancel and detach freely.
  virtual void OnComplete(int32_t result) = 0;
  // Of kReceive, behind what this readiness brought: both directions of the connection have ended.
  // Not every driver knows.
  virtual void OnHangUp() {}

  OperationKind kind() const { return kind_; }
  uint32_t slot() const { return slot_; }
  // Between Submit and the last completion.
  bool submitted() const { return submitted_; }

 protected:
  ~Operation() = default;

 private:
  friend class Driver;

  const OperationKind kind_;
  bool submitted_ = false;
  uint32_t slot_ = 0;
};

}  // namespace paipai
