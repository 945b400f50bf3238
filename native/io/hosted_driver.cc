#include "io/hosted_driver.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

namespace paipai {
namespace {

// Accepting in one readiness, before others get their turn.
constexpr int kAcceptsMax = 64;

}  // namespace

void HostedDriver::Forget(Operation& operation) {
  for (std::vector<Completion>* list : {&completions_, &reaping_}) {
    for (Completion& completion : *list) {
      if (completion.operation != &operation) continue;
      // A connection that was accepted but not handed over has no owner yet.
      if (operation.kind() == OperationKind::kAccept && completion.result >= 0)
        close(completion.result);
      completion.operation = nullptr;
    }
  }
}

size_t HostedDriver::DeliverCompletions() {
  size_t count = 0;
  // A completion may submit and so complete others: swap until nothing is left. `reaping_` is a
  // member so that Forget, called from within, finds what is not delivered yet.
  while (!completions_.empty()) {
    PP_DEBUG_ASSERT(reaping_.empty());
    reaping_.swap(completions_);
    for (size_t i = 0; i < reaping_.size(); ++i) {
      Operation* operation = reaping_[i].operation;
      if (operation == nullptr) continue;
      reaping_[i].operation = nullptr;
      ++count;
      operation->OnComplete(reaping_[i].result);
    }
    reaping_.clear();
  }
  return count;
}

int32_t HostedDriver::AcceptReady(int fd, Operation& operation) {
  for (int i = 0; i < kAcceptsMax; ++i) {
    const int accepted = accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      Complete(operation, accepted);
      continue;
    }
    // A client that gave up in the queue is its own affair.
    if (errno == ECONNABORTED || errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
  }
  return 0;
}

int32_t HostedDriver::ConnectResult(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
  return -error;
}

}  // namespace paipai
