#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "shm/pair.h"
#include "test.h"

namespace paipai {
namespace {

constexpr size_t kRegionBytes = ((2 * RingBytes(kRingCapacity) + 4095) / 4096) * 4096;
constexpr int kRegionSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
// As many that are not the right one are looked at.
constexpr int kStrangersMax = 16;

using Token = std::vector<uint8_t>;

Token TokenOf(uint8_t seed) { return Token(kDoorTokenBytes, seed); }

// A name that no other program and no other case has.
std::string FreshName() {
  static int count = 0;
  return "paipainet-test-" + std::to_string(getpid()) + "-" + std::to_string(++count);
}

size_t OpenDescriptors() {
  DIR* const folder = opendir("/proc/self/fd");
  CHECK(folder != nullptr);
  size_t count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// All that a case opened is closed again.
struct DescriptorsStayTheSame {
  const size_t before = OpenDescriptors();
  ~DescriptorsStayTheSame() { CHECK_EQUAL(OpenDescriptors(), before); }
};

OwnedDescriptor Eventfd(int flags = EFD_NONBLOCK | EFD_CLOEXEC) {
  OwnedDescriptor made(eventfd(0, flags));
  CHECK(static_cast<bool>(made));
  return made;
}

OwnedDescriptor Memfd(size_t bytes = kRegionBytes, int seals = kRegionSeals) {
  OwnedDescriptor made(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK(made && ftruncate(made.get(), static_cast<off_t>(bytes)) == 0);
  if (seals != 0) CHECK_EQUAL(fcntl(made.get(), F_ADD_SEALS, seals), 0);
  return made;
}

// Somebody at the door who does not go by Enter.
OwnedDescriptor Knock(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  OwnedDescriptor made(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  CHECK(static_cast<bool>(made));
  CHECK_EQUAL(connect(made.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  return made;
}

void Put(const OwnedDescriptor& link, const Token& token, const std::vector<int>& parts) {
  std::vector<uint8_t> bytes = token;
  iovec vector{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
  if (!parts.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(parts.size() * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(parts.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), parts.data(), parts.size() * sizeof(int));
  }
  CHECK_EQUAL(sendmsg(link.get(), &message, MSG_NOSIGNAL), bytes.size());
}

void CheckRefused(const Result<SharedPair>& taken) {
  CHECK(!taken && taken.error().Is(ErrorCode::PROTOCOL));
}

// What one end writes the other reads, and each wakes the other.
void CheckConnected(SharedPair& entered, SharedPair& taken) {
  CHECK(entered.connected && !taken.connected);
  for (const auto& [from, to] : {std::pair{&entered, &taken}, std::pair{&taken, &entered}}) {
    RingWriter writer(from->out());
    RingReader reader(to->in());
    const uint8_t said[] = {1, 2, 3};
    CHECK_EQUAL(*writer.Write(said), 3);
    writer.Publish();
    uint8_t heard[8];
    CHECK_EQUAL(*reader.Read(heard), 3);
    CHECK_EQUAL(heard[2], 3);
    uint64_t count = 1;
    CHECK_EQUAL(write(from->peer_wake.get(), &count, sizeof(count)), sizeof(count));
    CHECK_EQUAL(read(to->own_wake.get(), &count, sizeof(count)), sizeof(count));
    CHECK(read(from->own_wake.get(), &count, sizeof(count)) < 0 && errno == EAGAIN);
  }
}

void WhoHasTheTokenSharesMemory() {
  const DescriptorsStayTheSame check;
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  CHECK(door.has_value());
  Result<SharedPair> entered = SharedDoor::Enter(name, TokenOf(1));
  CHECK(entered.has_value());
  Result<SharedPair> taken = door->Take(TokenOf(1));
  CHECK(taken.has_value());
  // The mapping alone keeps the memory.
  CHECK(entered->region.fd() < 0 && taken->region.fd() < 0);
  CheckConnected(*entered, *taken);
}

void TheLinkSaysThatTheOtherEndHasLetGo() {
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  Result<SharedPair> entered = SharedDoor::Enter(name, TokenOf(1));
  Result<SharedPair> taken = door->Take(TokenOf(1));
  pollfd link{taken->link.get(), POLLIN, 0};
  CHECK_EQUAL(poll(&link, 1, 0), 0);
  entered = Error::Of(ErrorCode::PEER_CLOSED);
  CHECK_EQUAL(poll(&link, 1, 0), 1);
}

void AnotherTokenIsRefused() {
  const DescriptorsStayTheSame check;
  for (const size_t at : {size_t{0}, kDoorTokenBytes - 1}) {
    const std::string name = FreshName();
    Result<SharedDoor> door = SharedDoor::Open(name);
    Token other = TokenOf(1);
    other[at] ^= 1;
    CHECK(SharedDoor::Enter(name, other).has_value());
    CheckRefused(door->Take(TokenOf(1)));
  }
}

void ATokenOfAnotherLengthIsRefused() {
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  for (const size_t bytes : {size_t{0}, kDoorTokenBytes - 1, kDoorTokenBytes + 1}) {
    CHECK(SharedDoor::Enter(name, Token(bytes, 1)).error().Is(ErrorCode::INVALID_ARGUMENT));
    CHECK(SharedDoor::Enter(name, TokenOf(1)).has_value());
    CheckRefused(door->Take(Token(bytes, 1)));
  }
}

void NobodyHasEntered() {
  const DescriptorsStayTheSame check;
  Result<SharedDoor> door = SharedDoor::Open(FreshName());
  CheckRefused(door->Take(TokenOf(1)));
}

void StrangersBeforeTheRightOneArePassedOver() {
  const DescriptorsStayTheSame check;
  for (const int strangers : {1, kStrangersMax - 1, kStrangersMax}) {
    const std::string name = FreshName();
    Result<SharedDoor> door = SharedDoor::Open(name);
    std::vector<OwnedDescriptor> waiting;
    for (int i = 0; i < strangers; ++i) {
      waiting.push_back(Knock(name));
      // Some say nothing, some have a token of their own.
      if (i % 2 == 1) Put(waiting.back(), TokenOf(9), {});
    }
    Result<SharedPair> entered = SharedDoor::Enter(name, TokenOf(1));
    CHECK(entered.has_value());
    Result<SharedPair> taken = door->Take(TokenOf(1));
    CHECK_EQUAL(taken.has_value(), strangers < kStrangersMax);
    if (taken) CheckConnected(*entered, *taken);
  }
}

// Whoever fills the door keeps the others out, who hear that at once.
void AFullDoorRefusesWithoutWaiting() {
  const DescriptorsStayTheSame check;
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  std::vector<OwnedDescriptor> waiting;
  for (int i = 0; i <= kStrangersMax; ++i) waiting.push_back(Knock(name));
  CHECK(SharedDoor::Enter(name, TokenOf(1)).error() == Error::System(EAGAIN));
}

void WrongDescriptorsAreRefusedAndClosed() {
  const DescriptorsStayTheSame check;
  int pipes[2];
  CHECK_EQUAL(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
  const OwnedDescriptor pipe_out(pipes[0]);
  const OwnedDescriptor pipe_in(pipes[1]);
  const OwnedDescriptor file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const OwnedDescriptor memfd = Memfd();
  const OwnedDescriptor unsealed = Memfd(kRegionBytes, 0);
  const OwnedDescriptor half_sealed = Memfd(kRegionBytes, F_SEAL_SHRINK | F_SEAL_GROW);
  const OwnedDescriptor shorter = Memfd(kRegionBytes - 4096);
  const OwnedDescriptor longer = Memfd(kRegionBytes + 4096);
  const OwnedDescriptor empty = Memfd(0);
  const OwnedDescriptor one = Eventfd();
  const OwnedDescriptor other = Eventfd();
  const OwnedDescriptor blocking = Eventfd(EFD_CLOEXEC);
  const int m = memfd.get();
  const int a = one.get();
  const int b = other.get();
  const std::vector<std::vector<int>> refused = {
      {},
      {m},
      {m, a},
      {m, a, b, b},
      {m, a, b, b, b},
      std::vector<int>(16, a),
      {a, m, b},
      {a, b, a},
      {pipe_out.get(), a, b},
      {file.get(), a, b},
      {unsealed.get(), a, b},
      {half_sealed.get(), a, b},
      {shorter.get(), a, b},
      {longer.get(), a, b},
      {empty.get(), a, b},
      {m, blocking.get(), b},
      {m, a, blocking.get()},
      {m, pipe_in.get(), b},
      {m, a, pipe_out.get()},
      {m, a, m},
      {m, file.get(), b},
  };
  for (const std::vector<int>& parts : refused) {
    const std::string name = FreshName();
    Result<SharedDoor> door = SharedDoor::Open(name);
    const OwnedDescriptor link = Knock(name);
    Put(link, TokenOf(1), parts);
    const DescriptorsStayTheSame nothing_left_but_the_stranger;
    CheckRefused(door->Take(TokenOf(1)));
    // Put for another time, the right ones still get in.
    const OwnedDescriptor right = Knock(name);
    Put(right, TokenOf(1), {m, a, b});
    CHECK(door->Take(TokenOf(1)).has_value());
  }
}

void PartsNotTakenAreClosedWithTheDoor() {
  const DescriptorsStayTheSame check;
  const std::string name = FreshName();
  Result<SharedPair> entered = Error::Of(ErrorCode::PEER_CLOSED);
  {
    Result<SharedDoor> door = SharedDoor::Open(name);
    entered = SharedDoor::Enter(name, TokenOf(1));
    CHECK(entered.has_value());
  }
  pollfd link{entered->link.get(), POLLIN, 0};
  CHECK_EQUAL(poll(&link, 1, 0), 1);
}

void NamesHaveALengthAndOneOwner() {
  const DescriptorsStayTheSame check;
  CHECK(SharedDoor::Open("").error().Is(ErrorCode::INVALID_ARGUMENT));
  CHECK(SharedDoor::Enter("", TokenOf(1)).error().Is(ErrorCode::INVALID_ARGUMENT));
  const std::string longest = (FreshName() + std::string(107, 'x')).substr(0, 107);
  Result<SharedDoor> door = SharedDoor::Open(longest);
  CHECK(door.has_value());
  Result<SharedPair> entered = SharedDoor::Enter(longest, TokenOf(1));
  CHECK(entered.has_value());
  CHECK(door->Take(TokenOf(1)).has_value());
  CHECK(SharedDoor::Open(longest).error() == Error::System(EADDRINUSE));
  CHECK(SharedDoor::Open(longest + "x").error().Is(ErrorCode::INVALID_ARGUMENT));
  CHECK(SharedDoor::Enter(longest + "x", TokenOf(1)).error().Is(ErrorCode::INVALID_ARGUMENT));
  CHECK(SharedDoor::Open(std::string(4096, 'x')).error().Is(ErrorCode::INVALID_ARGUMENT));
}

void NobodyEntersAClosedDoor() {
  const DescriptorsStayTheSame check;
  const std::string name = FreshName();
  CHECK(SharedDoor::Enter(name, TokenOf(1)).error() == Error::System(ECONNREFUSED));
  {
    CHECK(SharedDoor::Open(name).has_value());
  }
  CHECK(SharedDoor::Enter(name, TokenOf(1)).error() == Error::System(ECONNREFUSED));
}

void AnotherUserIsRefusedOnBothSides() {
  if (geteuid() != 0) {
    std::printf("  skipped: only root can be two users\n");
    return;
  }
  constexpr uid_t kNobody = 65534;
  const DescriptorsStayTheSame check;
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  CHECK_EQUAL(seteuid(kNobody), 0);
  CHECK(SharedDoor::Enter(name, TokenOf(1)).error().Is(ErrorCode::PROTOCOL));
  const OwnedDescriptor link = Knock(name);
  const OwnedDescriptor memfd = Memfd();
  const OwnedDescriptor wake = Eventfd();
  Put(link, TokenOf(1), {memfd.get(), wake.get(), wake.get()});
  CHECK_EQUAL(seteuid(0), 0);
  CheckRefused(door->Take(TokenOf(1)));
}

// `run` in a process of its own, whose limits are not ours.
void InAnotherProcess(void (*run)()) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    run();
    _exit(0);
  }
  int status = 0;
  CHECK_EQUAL(waitpid(child, &status, 0), child);
  CHECK_EQUAL(status, 0);
}

void CheckEnteringFails(Error error) {
  const std::string name = FreshName();
  Result<SharedDoor> door = SharedDoor::Open(name);
  const DescriptorsStayTheSame check;
  const Result<SharedPair> entered = SharedDoor::Enter(name, TokenOf(1));
  CHECK(!entered && entered.error() == error);
  CheckRefused(door->Take(TokenOf(1)));
}

// As in containers whose system call filter is older than the call.
void WithoutMemfdNothingIsShared() {
  InAnotherProcess([] {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_memfd_create, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{sizeof(filter) / sizeof(filter[0]), filter};
    CHECK_EQUAL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQUAL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    CheckEnteringFails(Error::System(EPERM));
  });
}

// The system would not only refuse to make the memory that long, but end the process by SIGXFSZ.
void ALimitOnTheSizeOfFilesIsRespected() {
  InAnotherProcess([] {
    const rlimit limit{kRegionBytes - 1, kRegionBytes - 1};
    CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CheckEnteringFails(Error::System(EFBIG));
  });
}

void WithoutDescriptorsNothingIsShared() {
  InAnotherProcess([] {
    const std::string name = FreshName();
    Result<SharedDoor> door = SharedDoor::Open(name);
    Result<SharedPair> waiting = SharedDoor::Enter(name, TokenOf(1));
    CHECK(waiting.has_value());
    // The lowest that is free.
    const int next = dup(0);
    close(next);
    for (int more = 0; more < 4; ++more) {
      const rlimit limit{static_cast<rlim_t>(next + more), static_cast<rlim_t>(next + 16)};
      CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
      CHECK(SharedDoor::Enter(name, TokenOf(1)).error() == Error::System(EMFILE));
      CHECK_EQUAL(dup(0), more == 0 ? -1 : next);
      close(next);
    }
    // What can be accepted but not taken out is lost, and everything of it closed.
    const rlimit limit{static_cast<rlim_t>(next + 2), static_cast<rlim_t>(next + 16)};
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CheckRefused(door->Take(TokenOf(1)));
    CHECK_EQUAL(dup(0), next);
  });
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"who has the token shares memory", WhoHasTheTokenSharesMemory},
          {"the link says that the other end has let go", TheLinkSaysThatTheOtherEndHasLetGo},
          {"another token is refused", AnotherTokenIsRefused},
          {"a token of another length is refused", ATokenOfAnotherLengthIsRefused},
          {"nobody has entered", NobodyHasEntered},
          {"strangers before the right one are passed over",
           StrangersBeforeTheRightOneArePassedOver},
          {"a full door refuses without waiting", AFullDoorRefusesWithoutWaiting},
          {"wrong descriptors are refused and closed", WrongDescriptorsAreRefusedAndClosed},
          {"parts not taken are closed with the door", PartsNotTakenAreClosedWithTheDoor},
          {"names have a length and one owner", NamesHaveALengthAndOneOwner},
          {"nobody enters a closed door", NobodyEntersAClosedDoor},
          {"another user is refused on both sides", AnotherUserIsRefusedOnBothSides},
          {"without memfd nothing is shared", WithoutMemfdNothingIsShared},
          {"a limit on the size of files is respected", ALimitOnTheSizeOfFilesIsRespected},
          {"without descriptors nothing is shared", WithoutDescriptorsNothingIsShared},
      });
}
