#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

// The entry point that libFuzzer, or replay.cc without it, calls with each input.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Ends the run when `condition` is false, which the fuzzer reports as a finding.
#define FUZZ_CHECK(condition)                                                                  \
  ((condition) ? static_cast<void>(0)                                                          \
               : (std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), \
                  std::abort()))
