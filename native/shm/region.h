#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace paipai {

// Memory that two processes share: a memfd, sealed so that neither end can change its size, mapped
// for reading and writing. The descriptor is owned here and travels by SCM_RIGHTS.
//
// The other end may write anything at any time, so whoever reads a value from the region copies it
// once and checks the copy. Without the seals it could also shorten the file, and touching a page
// behind the end is SIGBUS: hence no mapping without them.
// Thread: any one at a time. Source: memfd_create(2), fcntl(2) F_ADD_SEALS.
class SharedRegion {
 public:
  // A new one, zeroed. `bytes` is a multiple of the page.
  // Fails with the system's error: ENOSYS or EPERM where memfd_create is refused, EFBIG above the
  // limit on the size of files, EMFILE, ENOMEM.
  static Result<SharedRegion> Create(size_t bytes);

  // One that the peer made. `fd` is owned from here on, also on failure. Fails with PROTOCOL when
  // it is no memfd of exactly `bytes` with its size sealed, else with the system's error.
  static Result<SharedRegion> Adopt(int fd, size_t bytes);

  SharedRegion(SharedRegion&& other) noexcept;
  SharedRegion& operator=(SharedRegion&& other) noexcept;
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;
  ~SharedRegion();

  int fd() const { return fd_; }
  MutableByteSpan bytes() const { return {data_, size_}; }

  // After the peer has its copy of the descriptor: the mapping alone keeps the memory.
  void CloseDescriptor();

 private:
  static Result<SharedRegion> Map(int fd, size_t bytes);

  SharedRegion(int fd, uint8_t* data, size_t size) : fd_(fd), data_(data), size_(size) {}

  int fd_;
  uint8_t* data_;
  size_t size_;
};

}  // namespace paipai
