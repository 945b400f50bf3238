#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/region.h"
#include "test.h"

namespace paipai {
namespace {

constexpr size_t kBytes = 64 * 1024;

int Memfd(unsigned flags, off_t bytes, int seals) {
  const int fd = memfd_create("test", flags);
  CHECK(fd >= 0 && ftruncate(fd, bytes) == 0);
  if (seals != 0) CHECK_EQUAL(fcntl(fd, F_ADD_SEALS, seals), 0);
  return fd;
}

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

void BothEndsSeeTheSameBytes() {
  Result<SharedRegion> created = SharedRegion::Create(kBytes);
  CHECK(created.has_value());
  CHECK_EQUAL(created->bytes().size(), kBytes);
  CHECK_EQUAL(created->bytes()[kBytes - 1], 0);
  Result<SharedRegion> adopted = SharedRegion::Adopt(dup(created->fd()), kBytes);
  CHECK(adopted.has_value());
  created->bytes()[7] = 42;
  CHECK_EQUAL(adopted->bytes()[7], 42);
  created->CloseDescriptor();
  CHECK_EQUAL(created->fd(), -1);
  adopted->bytes()[8] = 43;
  CHECK_EQUAL(created->bytes()[8], 43);
}

void TheSizeCannotChange() {
  Result<SharedRegion> created = SharedRegion::Create(kBytes);
  CHECK(ftruncate(created->fd(), 0) != 0);
  CHECK(ftruncate(created->fd(), 2 * kBytes) != 0);
}

void WhatIsNotSealedIsRefusedAndClosed() {
  constexpr off_t kSize = static_cast<off_t>(kBytes);
  int pipes[2];
  CHECK_EQUAL(pipe(pipes), 0);
  close(pipes[1]);
  const int refused[] = {
      pipes[0],
      Memfd(MFD_CLOEXEC, kSize, 0),
      Memfd(MFD_CLOEXEC | MFD_ALLOW_SEALING, kSize, 0),
      Memfd(MFD_CLOEXEC | MFD_ALLOW_SEALING, kSize, F_SEAL_SHRINK | F_SEAL_GROW),
      Memfd(MFD_CLOEXEC | MFD_ALLOW_SEALING, kSize, F_SEAL_GROW | F_SEAL_SEAL),
  };
  for (const int fd : refused) {
    CHECK(SharedRegion::Adopt(fd, kBytes).error().Is(ErrorCode::PROTOCOL));
    CHECK(!IsOpen(fd));
  }
}

void AnotherSizeThanToldIsRefused() {
  for (const size_t told : {kBytes - 1, kBytes + 1, 2 * kBytes}) {
    Result<SharedRegion> created = SharedRegion::Create(kBytes);
    CHECK(SharedRegion::Adopt(dup(created->fd()), told).error().Is(ErrorCode::PROTOCOL));
  }
}

// Sealed against writing: mapping it for writing fails, and nothing is left open.
void AReadOnlyRegionIsRefused() {
  const int fd = Memfd(MFD_CLOEXEC | MFD_ALLOW_SEALING, static_cast<off_t>(kBytes),
                       F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  CHECK(SharedRegion::Adopt(fd, kBytes).error() == Error::System(EPERM));
  CHECK(!IsOpen(fd));
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"both ends see the same bytes", BothEndsSeeTheSameBytes},
          {"the size cannot change", TheSizeCannotChange},
          {"what is not sealed is refused and closed", WhatIsNotSealedIsRefusedAndClosed},
          {"another size than told is refused", AnotherSizeThanToldIsRefused},
          {"a read-only region is refused", AReadOnlyRegionIsRefused},
      });
}
