#pragma once

#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "shm/pair.h"

namespace paipai::test {

// Both halves of what two ends share, as they come through a door: first that of the side that
// connected.
inline std::pair<SharedPair, SharedPair> SharedPairs() {
  static int count = 0;
  const std::string name =
      "paipainet-pairs-" + std::to_string(getpid()) + "-" + std::to_string(++count);
  const std::vector<uint8_t> token(kDoorTokenBytes, 7);
  Result<SharedDoor> door = SharedDoor::Open(name);
  PP_ASSERT(door.has_value());
  Result<SharedPair> entered = SharedDoor::Enter(name, token);
  PP_ASSERT(entered.has_value());
  Result<SharedPair> taken = door->Take(token);
  PP_ASSERT(taken.has_value());
  return {std::move(*entered), std::move(*taken)};
}

inline RingControl& ControlOf(MutableByteSpan ring) {
  return *reinterpret_cast<RingControl*>(ring.data());
}

}  // namespace paipai::test
