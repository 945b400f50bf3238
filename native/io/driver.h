#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "io/operation.h"

namespace paipai {

// The seam to the kernel, shaped as completions: operations are submitted, their results reaped. A
// driver on readiness (epoll) imitates completions; one on a completion ring needs no imitation.
// Thread: loop.
class Driver {
 public:
  virtual ~Driver() = default;

  // Takes notice of `fd` (the caller still owns it) and returns its slot. Fails: -errno of the
  // host.
  virtual Result<uint32_t> Attach(int fd) = 0;
  // Cancels what is submitted on `slot` and forgets it. The caller closes the descriptor
  // afterwards.
  virtual void Detach(uint32_t slot) = 0;

  // Starts `operation` on `slot`: one of each kind at a time (kAccept, kReceive and kConnect share
  // the reading side). It may run at once, but completes in Reap, never here.
  virtual void Submit(uint32_t slot, Operation& operation) = 0;
  // After this the operation does not complete any more, whatever the kernel did of it.
  virtual void Cancel(Operation& operation) = 0;

  // Delivers what has completed; returns how many completions. Completions that these cause are
  // delivered too.
  virtual size_t Reap() = 0;
  // What is submitted has reached the kernel after this. Before the host waits.
  virtual void Commit() {}

  // Whether the descriptor in `slot` keeps the host's loop alive; it does from the start.
  virtual void SetKeepsAlive(uint32_t slot, bool keeps_alive) = 0;

 protected:
  static void MarkSubmitted(Operation& operation, uint32_t slot) {
    operation.slot_ = slot;
    operation.submitted_ = true;
  }
  static void MarkDone(Operation& operation) { operation.submitted_ = false; }
};

}  // namespace paipai
