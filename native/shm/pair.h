#pragma once

#include <cstddef>
#include <string_view>

#include "base/bytes.h"
#include "base/descriptor.h"
#include "base/result.h"
#include "shm/region.h"
#include "shm/ring.h"

namespace paipai {

// Bytes on their way in one direction. Cycled through all the time, so a larger one lives in a
// colder cache.
inline constexpr size_t kRingCapacity = size_t{512} << 10;

// What one end of a connection through shared memory holds: a region with a ring for each
// direction, two eventfds, one that wakes this end and one that wakes the other, and a link.
//
//   region  | ring of the side that connected | ring of the side that listened |
//           0                                 RingBytes(kRingCapacity)
struct SharedPair {
  SharedRegion region;
  OwnedDescriptor own_wake;
  OwnedDescriptor peer_wake;
  // The socket that these came by; nothing goes through it any more. Its end says that the other
  // process has let go, which an orderly end of the connection does not.
  OwnedDescriptor link;
  bool connected;  // Whether this is the side that connected.

  MutableByteSpan out() const { return RingAt(connected ? 0 : 1); }
  MutableByteSpan in() const { return RingAt(connected ? 1 : 0); }

 private:
  MutableByteSpan RingAt(size_t index) const {
    return region.bytes().subspan(index * RingBytes(kRingCapacity), RingBytes(kRingCapacity));
  }
};

inline constexpr size_t kDoorTokenBytes = 32;

// The way in which the parts of a pair get from one process to the other: a Unix socket under a
// name of its own, where descriptors can travel and the kernel says who is there. Names are
// abstract: they live in the network namespace, leave no file, and end with the socket. Both ends
// refuse whoever is of another user. Nothing here waits. Thread: any one at a time.
class SharedDoor {
 public:
  // The listening side opens it and tells the other, over the connection they have, the name and
  // the token. `name` is 1 to 100 bytes. Fails with the system's error.
  static Result<SharedDoor> Open(std::string_view name);

  // The connecting side makes the parts and puts its copies there, beside the token. Fails with
  // PROTOCOL when the door is another user's, else with the system's error (memfd_create refused,
  // no descriptor left, nobody listens).
  static Result<SharedPair> Enter(std::string_view name, ByteSpan token);

  // The listening side takes what lies there, once the other has said that it was put. Fails with
  // PROTOCOL when nothing does, or not beside the token, or not what it has to be.
  Result<SharedPair> Take(ByteSpan token);

 private:
  explicit SharedDoor(OwnedDescriptor listener) : listener_(std::move(listener)) {}

  OwnedDescriptor listener_;
};

}  // namespace paipai
