#include "io/driver_select.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>

#include "epoll_host.h"
#include "io/kernel_probe.h"
#include "io/uring_driver.h"
#include "test.h"

namespace paipai {
namespace {

// From now on this process is refused `call` with EPERM, as containers do by default.
void Refuse(long call) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  CHECK_EQUAL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  CHECK_EQUAL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

// In a process of its own.
void InChild(void (*run)()) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    run();
    _exit(0);
  }
  int status = 0;
  CHECK_EQUAL(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

bool Has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

void EpollUnlessAskedFor() {
  test::EpollHost host;
  const SelectedDriver selected = SelectDriver(IoChoice::kEpoll, host);
  CHECK(selected.io == IoChoice::kEpoll && selected.driver != nullptr);
  CHECK(selected.reason.empty());
  CHECK(!host.is_open(0));
}

void UringWhereItWorks() {
  test::EpollHost host;
  const SelectedDriver selected = SelectDriver(IoChoice::kUring, host);
  std::printf("  %s\n", selected.reason.c_str());
  CHECK(selected.driver != nullptr && !selected.reason.empty());
  // Whoever refuses it here, a ring cannot be set up at all.
  if (selected.io == IoChoice::kEpoll)
    CHECK(!UringRing::Open(UringDriver::kEntries, 0).has_value());
}

void EpollWithTheReasonWhereItIsRefused() {
  InChild([] {
    Refuse(uring::kSysSetup);
    test::EpollHost host;
    const SelectedDriver selected = SelectDriver(IoChoice::kUring, host);
    CHECK(selected.io == IoChoice::kEpoll && selected.driver != nullptr);
    CHECK(Has(selected.reason, "io_uring_setup") && Has(selected.reason, "seccomp"));
  });
}

// Set-up is allowed, what comes after it is not.
void EpollWhereOperationsCannotBeListed() {
  if (!UringRing::Open(UringDriver::kEntries, 0)) return;
  InChild([] {
    Refuse(uring::kSysRegister);
    const UringProbe probe = ProbeUring(UringDriver::kEntries);
    CHECK(probe.ring == nullptr && Has(probe.reason, "no operation"));
  });
  InChild([] {
    Refuse(uring::kSysEnter);
    const UringProbe probe = ProbeUring(UringDriver::kEntries);
    CHECK(probe.ring == nullptr && Has(probe.reason, "self-test"));
  });
}

void EpollWhereTheHostDoesNotWatchARing() {
  if (!UringRing::Open(UringDriver::kEntries, 0)) return;
  test::EpollHost host;
  host.watch_result = -ENOMEM;
  const SelectedDriver selected = SelectDriver(IoChoice::kUring, host);
  CHECK(selected.io == IoChoice::kEpoll && !selected.reason.empty());
  CHECK(!host.is_open(0));
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"epoll unless asked for", EpollUnlessAskedFor},
          {"io_uring where it works", UringWhereItWorks},
          {"epoll, with the reason, where it is refused", EpollWithTheReasonWhereItIsRefused},
          {"epoll where operations cannot be listed or tried", EpollWhereOperationsCannotBeListed},
          {"epoll where the host does not watch a ring", EpollWhereTheHostDoesNotWatchARing},
      });
}
