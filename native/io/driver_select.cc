#include "io/driver_select.h"

#include <cstring>
#include <utility>

#include "io/epoll_driver.h"
#include "io/kernel_probe.h"
#include "io/uring_driver.h"

namespace paipai {

SelectedDriver SelectDriver(IoChoice asked, ReadinessHost& host) {
  SelectedDriver selected{nullptr, IoChoice::kEpoll, ""};
  if (asked == IoChoice::kUring) {
    UringProbe probe = ProbeUring(UringDriver::kEntries);
    selected.reason = std::move(probe.reason);
    if (probe.ring != nullptr) {
      Result<std::unique_ptr<UringDriver>> opened = UringDriver::Open(host, std::move(probe.ring));
      if (opened) {
        selected.driver = std::move(*opened);
        selected.io = IoChoice::kUring;
        return selected;
      }
      selected.reason =
          std::string("the ring cannot be watched: ") + std::strerror(-opened.error().result());
    }
  }
  selected.driver = std::make_unique<EpollDriver>(host);
  return selected;
}

}  // namespace paipai
