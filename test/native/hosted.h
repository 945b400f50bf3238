#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <utility>

#include "epoll_host.h"
#include "io/epoll_driver.h"
#include "io/kernel_probe.h"
#include "io/uring_driver.h"
#include "test.h"

namespace paipai::test {

enum class HostedKind { kEpoll, kUring, kPlainUring };

// Each of them is met by the tests, the ring with both set-ups of the probe.
inline constexpr HostedKind kHostedKinds[] = {HostedKind::kEpoll, HostedKind::kUring,
                                              HostedKind::kPlainUring};

// A driver and the host that it lives in.
class Hosted {
 public:
  explicit Hosted(HostedKind kind) {
    if (kind == HostedKind::kEpoll) {
      driver_ = std::make_unique<EpollDriver>(host_);
      return;
    }
    const uint32_t flags = kind == HostedKind::kUring ? kBestUringFlags : 0;
    Result<std::unique_ptr<UringRing>> ring = UringRing::Open(UringDriver::kEntries, flags);
    if (ring) {
      driver_ = std::move(*UringDriver::Open(host_, std::move(*ring)));
      return;
    }
    CHECK(!KernelGivesRings());
    std::printf("  left out, no such ring here: %d\n", ring.error().result());
  }

  // Whether the kernel allows it.
  bool is_here() const { return driver_ != nullptr; }
  EpollHost& host() { return host_; }
  HostedDriver& driver() { return *driver_; }

 private:
  // Asked with nothing of ours between, or a fault of Open would pass for a kernel without rings.
  // One that knows the best flags (Linux 6.0) has all that we need.
  static bool KernelGivesRings() {
    uring::Params params{};
    params.flags = kBestUringFlags;
    return static_cast<bool>(
        OwnedDescriptor(static_cast<int>(syscall(uring::kSysSetup, 8, &params))));
  }

  EpollHost host_;
  std::unique_ptr<HostedDriver> driver_;
};

}  // namespace paipai::test
