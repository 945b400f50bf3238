#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "shm/pair.h"
#include "test.h"

namespace paipai {
namespace {

using Token = std::array<uint8_t, kDoorTokenBytes>;

constexpr Token kToken = {1, 2, 3};

std::string FreshName() {
  static int count = 0;
  return "paipainet-test-" + std::to_string(getpid()) + "-" + std::to_string(++count);
}

size_t OpenDescriptors() {
  DIR* folder = opendir("/proc/self/fd");
  size_t count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// A connection to the door, as anybody may make one.
OwnedDescriptor Visit(const std::string& name) {
  OwnedDescriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  CHECK_EQUAL(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  return fd;
}

void Send(int fd, const Token& token, const std::vector<int>& parts) {
  alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
  iovec vector{const_cast<uint8_t*>(token.data()), token.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (!parts.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(parts.size() * sizeof(int));
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(parts.size() * sizeof(int));
    std::memcpy(CMSG_DATA(part), parts.data(), parts.size() * sizeof(int));
  }
  CHECK_EQUAL(sendmsg(fd, &message, MSG_NOSIGNAL), token.size());
}

size_t RegionBytes() {
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  return SharedDoor::Enter(name, kToken)->region.bytes().size();
}

void BothEndsShareRingsAndWakeEachOther() {
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  CHECK(door.has_value());
  Result<SharedPair> near = SharedDoor::Enter(name, kToken);
  CHECK(near.has_value());
  Result<SharedPair> far = door->Take(kToken);
  CHECK(far.has_value());
  near->out()[sizeof(RingControl)] = 42;
  CHECK_EQUAL(far->in()[sizeof(RingControl)], 42);
  far->out()[sizeof(RingControl) + kRingCapacity - 1] = 43;
  CHECK_EQUAL(near->in()[sizeof(RingControl) + kRingCapacity - 1], 43);
  uint64_t count = 1;
  CHECK_EQUAL(write(near->peer_wake.get(), &count, sizeof(count)), sizeof(count));
  CHECK_EQUAL(read(far->own_wake.get(), &count, sizeof(count)), sizeof(count));
  CHECK_EQUAL(read(near->own_wake.get(), &count, sizeof(count)), -1);
  // The end of one is the end of its link.
  CHECK_EQUAL(recv(near->link.get(), &count, 1, 0), -1);
  CHECK_EQUAL(errno, EAGAIN);
  far->link.Close();
  CHECK_EQUAL(recv(near->link.get(), &count, 1, 0), 0);
}

void NobodyHasEntered() {
  Result<SharedDoor> door = SharedDoor::Open(FreshName());
  CHECK(door->Take(kToken).error().Is(ErrorCode::PROTOCOL));
}

void TheDoorIsClosedOrTakenOrNoName() {
  const std::string name = FreshName();
  CHECK_EQUAL(SharedDoor::Enter(name, kToken).error().result(), -ECONNREFUSED);
  Result<SharedDoor> door = SharedDoor::Open(name);
  CHECK_EQUAL(SharedDoor::Open(name).error().result(), -EADDRINUSE);
  for (const std::string& bad : {std::string(), std::string(108, 'x')}) {
    CHECK(SharedDoor::Open(bad).error().Is(ErrorCode::INVALID_ARGUMENT));
    CHECK(SharedDoor::Enter(bad, kToken).error().Is(ErrorCode::INVALID_ARGUMENT));
  }
  CHECK(SharedDoor::Enter(name, {kToken.data(), 31}).error().Is(ErrorCode::INVALID_ARGUMENT));
}

void StrangersBeforeTheRightOneAreTurnedAway() {
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  std::vector<OwnedDescriptor> strangers;
  strangers.push_back(Visit(name));  // It says nothing.
  strangers.push_back(Visit(name));
  Send(strangers.back().get(), Token{9}, {});
  strangers.push_back(Visit(name));
  strangers.back().Close();  // It has gone.
  Result<SharedPair> near = SharedDoor::Enter(name, kToken);
  CHECK(door->Take(kToken).has_value());
}

void ManyStrangersCostTheSharedMemory() {
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  std::vector<OwnedDescriptor> strangers;
  for (int i = 0; i < 16; ++i) strangers.push_back(Visit(name));
  CHECK(door->Take(kToken).error().Is(ErrorCode::PROTOCOL));
}

void AnotherTokenIsRefused() {
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  Token other = kToken;
  other.back() ^= 1;
  Result<SharedPair> near = SharedDoor::Enter(name, other);
  CHECK(door->Take(kToken).error().Is(ErrorCode::PROTOCOL));
}

int Memfd(size_t bytes, int seals) {
  const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  CHECK_EQUAL(ftruncate(fd, static_cast<off_t>(bytes)), 0);
  if (seals != 0) CHECK_EQUAL(fcntl(fd, F_ADD_SEALS, seals), 0);
  return fd;
}

void OtherDescriptorsAreRefusedAndClosed() {
  const size_t bytes = RegionBytes();
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const auto good_memory = [&] { return Memfd(bytes, seals); };
  const auto good_event = [] { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); };
  const auto pipe_end = [] {
    int ends[2];
    CHECK_EQUAL(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    close(ends[0]);
    return ends[1];
  };
  const std::vector<std::vector<std::function<int()>>> all = {
      {},
      {good_memory},
      {good_memory, good_event},
      {good_memory, good_event, good_event, good_event},
      {good_event, good_event, good_event},
      {pipe_end, good_event, good_event},
      {[&] { return Memfd(bytes, 0); }, good_event, good_event},
      {[&] { return Memfd(bytes, F_SEAL_GROW | F_SEAL_SEAL); }, good_event, good_event},
      {[&] { return Memfd(bytes - 4096, seals); }, good_event, good_event},
      {[&] { return Memfd(bytes + 4096, seals); }, good_event, good_event},
      {good_memory, pipe_end, good_event},
      {good_memory, good_event, pipe_end},
      {good_memory, good_memory, good_event},
      {good_memory, [] { return eventfd(0, EFD_CLOEXEC); }, good_event},
  };
  for (const std::vector<std::function<int()>>& makers : all) {
    const std::string name = FreshName();
    Result<SharedDoor> door = SharedDoor::Open(name);
    OwnedDescriptor visitor = Visit(name);
    const size_t before = OpenDescriptors();
    std::vector<OwnedDescriptor> owned;
    std::vector<int> parts;
    for (const std::function<int()>& make : makers) {
      parts.push_back(owned.emplace_back(make()).get());
    }
    Send(visitor.get(), kToken, parts);
    owned.clear();
    CHECK(door->Take(kToken).error().Is(ErrorCode::PROTOCOL));
    CHECK_EQUAL(OpenDescriptors(), before);
  }
}

void NothingIsLeftOpen() {
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 50; ++i) {
    const std::string name = FreshName();
    Result<SharedDoor> door = SharedDoor::Open(name);
    Result<SharedPair> near = SharedDoor::Enter(name, kToken);
    if (i % 2 == 0) CHECK(door->Take(kToken).has_value());
  }
  CHECK_EQUAL(OpenDescriptors(), before);
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"both ends share rings and wake each other", BothEndsShareRingsAndWakeEachOther},
          {"nobody has entered", NobodyHasEntered},
          {"the door is closed, or taken, or has no name", TheDoorIsClosedOrTakenOrNoName},
          {"strangers before the right one are turned away",
           StrangersBeforeTheRightOneAreTurnedAway},
          {"many strangers cost the shared memory", ManyStrangersCostTheSharedMemory},
          {"another token is refused", AnotherTokenIsRefused},
          {"other descriptors are refused, and closed", OtherDescriptorsAreRefusedAndClosed},
          {"nothing is left open", NothingIsLeftOpen},
      });
}
