#pragma once

#include <cstdio>
#include <cstdlib>

namespace paipai::internal {

[[noreturn, gnu::cold, gnu::noinline]] inline void AssertFailed(const char* condition,
                                                                const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace paipai::internal

// Ends the process with file and line on stderr when `condition` is false, in every build.
// For what must hold in our own code; what comes from outside is an ordinary Error.
#define PP_ASSERT(condition)                                              \
  (__builtin_expect(!(condition), 0)                                      \
       ? ::paipai::internal::AssertFailed(#condition, __FILE__, __LINE__) \
       : static_cast<void>(0))

// As PP_ASSERT, in debug builds only: for hot paths. The condition is not evaluated otherwise.
#ifdef NDEBUG
#define PP_DEBUG_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#else
#define PP_DEBUG_ASSERT(condition) PP_ASSERT(condition)
#endif
