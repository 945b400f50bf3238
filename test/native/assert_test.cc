#include "base/assert.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "base/result.h"
#include "test.h"

namespace paipai {
namespace {

struct Death {
  int signal = 0;  // 0: it lived.
  std::string message;
};

// What becomes of a child process that calls `run`.
template <class Run>
Death RunInChild(Run run) {
  int ends[2];
  CHECK_EQUAL(pipe(ends), 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    run();
    _exit(0);
  }
  close(ends[1]);
  Death death;
  char buffer[256];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;) {
    death.message.append(buffer, static_cast<size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  CHECK_EQUAL(waitpid(child, &status, 0), child);
  death.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return death;
}

void WhatHoldsPasses() {
  PP_ASSERT(1 + 1 == 2);
  PP_DEBUG_ASSERT(1 + 1 == 2);
}

void WhatDoesNotHoldAborts() {
  const Death death = RunInChild([] { PP_ASSERT(1 + 1 == 3); });
  CHECK_EQUAL(death.signal, SIGABRT);
  CHECK(death.message.find("assert_test.cc:") != std::string::npos);
  CHECK(death.message.find("1 + 1 == 3") != std::string::npos);
}

void DebugAssertsAreForDebugBuilds() {
  bool is_evaluated = false;
  PP_DEBUG_ASSERT((is_evaluated = true));
#ifdef NDEBUG
  CHECK(!is_evaluated);
#else
  CHECK(is_evaluated);
  CHECK_EQUAL(RunInChild([] { PP_DEBUG_ASSERT(false); }).signal, SIGABRT);
#endif
}

void TakingAValueThatIsNotThereAborts() {
  const auto take_value = [] {
    Result<int> result = Error::System(1);
    static_cast<void>(*result);
  };
  const auto take_error = [] {
    Result<int> result = 1;
    static_cast<void>(result.error());
  };
  CHECK_EQUAL(RunInChild(take_value).signal, SIGABRT);
  CHECK_EQUAL(RunInChild(take_error).signal, SIGABRT);
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(argument_count, arguments,
                        {
                            {"WhatHoldsPasses", WhatHoldsPasses},
                            {"WhatDoesNotHoldAborts", WhatDoesNotHoldAborts},
                            {"DebugAssertsAreForDebugBuilds", DebugAssertsAreForDebugBuilds},
                            {"TakingAValueThatIsNotThereAborts", TakingAValueThatIsNotThereAborts},
                        });
}
