#include "shm/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace paipai {

#ifdef __linux__

namespace {

// The size can never change again, nor can the seals.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Error CloseAndFail(int fd, Error error) {
  close(fd);
  return error;
}

}  // namespace

Result<SharedRegion> SharedRegion::Create(size_t bytes) {
  // It holds for a memfd as well, and whoever goes beyond it is ended by SIGXFSZ.
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) return Error::System(EFBIG);
  const int fd = memfd_create("paipainet", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return Error::System(errno);
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0 || fcntl(fd, F_ADD_SEALS, kSeals) != 0) {
    return CloseAndFail(fd, Error::System(errno));
  }
  return Map(fd, bytes);
}

Result<SharedRegion> SharedRegion::Adopt(int fd, size_t bytes) {
  // Fails on what cannot be sealed: a file, a socket, a memfd made without leave to seal.
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    return CloseAndFail(fd, Error::Of(ErrorCode::PROTOCOL));
  }
  struct stat status;
  if (fstat(fd, &status) != 0) return CloseAndFail(fd, Error::System(errno));
  if (!std::in_range<size_t>(status.st_size) || static_cast<size_t>(status.st_size) != bytes) {
    return CloseAndFail(fd, Error::Of(ErrorCode::PROTOCOL));
  }
  return Map(fd, bytes);
}

Result<SharedRegion> SharedRegion::Map(int fd, size_t bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return CloseAndFail(fd, Error::System(errno));
  return SharedRegion(fd, static_cast<uint8_t*>(mapped), bytes);
}

#else

Result<SharedRegion> SharedRegion::Create(size_t) { return Error::System(ENOSYS); }

Result<SharedRegion> SharedRegion::Adopt(int fd, size_t) {
  close(fd);
  return Error::System(ENOSYS);
}

#endif

SharedRegion::SharedRegion(SharedRegion&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

SharedRegion& SharedRegion::operator=(SharedRegion&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SharedRegion::~SharedRegion() {
  if (data_ != nullptr) munmap(data_, size_);
  CloseDescriptor();
}

void SharedRegion::CloseDescriptor() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

}  // namespace paipai
