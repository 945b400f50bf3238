#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/driver.h"

namespace paipai {

// What the drivers have in common that live inside somebody else's loop: the word of the host that
// a descriptor is ready, and completions that wait to be reaped. Thread: loop.
class HostedDriver : public Driver {
 public:
  // The host's word that what it knows by `slot` is ready. Runs what waited for it; call Reap
  // afterwards. True: there may be more to do at once, by OnReady(slot, true, false); true comes a
  // bounded number of times.
  virtual bool OnReady(uint32_t slot, bool readable, bool writable) = 0;
  // The host's word that both directions of it have ended, behind the OnReady and Reap of that.
  virtual void OnHangUp(uint32_t) {}
  // Whether OnReady(slot, true, false) may be called without the host's word: it finds out itself
  // whether there is anything to receive.
  virtual bool MayAsk(uint32_t slot) const = 0;
  // Whether somebody reads there who only OnReady can tell, so that the host has to look first.
  virtual bool MayLook(uint32_t) const { return false; }

 protected:
  // Linux takes 1,024 vectors a call (UIO_MAXIOV); more than 64 saves nothing measurable.
  static constexpr size_t kVectorsMax = 64;

  void Complete(Operation& operation, int32_t result) {
    completions_.push_back({&operation, result});
  }
  // Nothing more comes of what `operation` completed so far.
  void Forget(Operation& operation);
  // Calls OnComplete for all that completed, and for all that this completes at once; returns how
  // many.
  size_t DeliverCompletions();

  // Accepts those who wait at `fd`, each a completion. Returns 0, or the -errno that ends it.
  int32_t AcceptReady(int fd, Operation& operation);
  // How the connecting of `fd` went: 0 or -errno.
  static int32_t ConnectResult(int fd);

 private:
  struct Completion {
    Operation* operation;
    int32_t result;
  };
  std::vector<Completion> completions_;
  std::vector<Completion> reaping_;
};

}  // namespace paipai
