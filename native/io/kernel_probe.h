#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "io/uring_ring.h"

namespace paipai {

// How a ring is set up. One thread submits and waits, so the kernel need not interrupt it to make
// completions: it does so when the thread next enters the kernel (Linux 6.0).
inline constexpr uint32_t kBestUringFlags = uring::kSetupSubmitAll | uring::kSetupCoopTaskrun |
                                            uring::kSetupTaskrunFlag | uring::kSetupSingleIssuer;

// What this kernel allows of io_uring.
struct UringProbe {
  // A ring that has shown that it works, nothing in it; null when there is none.
  std::unique_ptr<UringRing> ring;
  // For people: the flags that the ring has, or what was refused.
  std::string reason;
};

// Tries the best flags first, then plain ones: each time the set-up, the list of operations, and a
// self-test over a socket pair. A version number says none of this: containers refuse the calls by
// a seccomp filter, administrators by kernel.io_uring_disabled.
UringProbe ProbeUring(uint32_t entries);

}  // namespace paipai
