#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "io/hosted_driver.h"
#include "io/readiness_host.h"

namespace paipai {

enum class IoChoice : uint8_t { kEpoll = 0, kUring = 1 };

struct SelectedDriver {
  std::unique_ptr<HostedDriver> driver;
  IoChoice io;
  // For people: how io_uring works here, or why it does not. Empty when nobody asked for it.
  std::string reason;
};

// The driver that is asked for, or epoll with the reason where io_uring cannot be used.
SelectedDriver SelectDriver(IoChoice asked, ReadinessHost& host);

}  // namespace paipai
