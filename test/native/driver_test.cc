#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "fake_driver.h"
#include "hosted.h"
#include "test.h"

namespace paipai {
namespace {

using test::Hosted;
using Bytes = std::vector<uint8_t>;

// An operation that tells what happens to it.
class Probe final : public Operation {
 public:
  Probe(OperationKind kind, Bytes memory) : Operation(kind), memory_(std::move(memory)) {}

  std::vector<int32_t> results;
  std::function<void(int32_t)> on_complete = [](int32_t) {};
  bool has_room = true;
  bool is_left_to_owner = false;
  // Bytes of the memory already used up.
  size_t at = 0;

  const Bytes& memory() const { return memory_; }

 private:
  size_t Gather(iovec* vectors, size_t max) override {
    CHECK(max >= 2);
    if (!has_room || at == memory_.size()) return 0;
    // Two vectors, so that both forms of the system calls are met.
    const size_t left = memory_.size() - at;
    const size_t first = (left + 1) / 2;
    vectors[0] = {memory_.data() + at, first};
    if (left == first) return 1;
    vectors[1] = {memory_.data() + at + first, left - first};
    return 2;
  }

  bool is_read_by_owner() const override { return is_left_to_owner; }

  void OnComplete(int32_t result) override {
    results.push_back(result);
    if (result > 0 && kind() != OperationKind::kAccept) at += static_cast<size_t>(result);
    on_complete(result);
  }

  Bytes memory_;
};

// A driver with one attached stream, and the other end of it.
class Ends {
 public:
  virtual ~Ends() = default;
  virtual Driver& driver() = 0;
  virtual uint32_t slot() = 0;
  virtual void Detach() = 0;
  // The peer writes; the driver has noticed, nothing is reaped.
  virtual void PeerWrites(const Bytes& bytes) = 0;
  virtual void PeerEnds() = 0;
  virtual Bytes PeerReads() = 0;
};

class FakeEnds final : public Ends {
 public:
  FakeEnds() : slot_(*driver_.Attach(1000)) { driver_.AllowSend(slot_, SIZE_MAX / 2); }
  Driver& driver() override { return driver_; }
  uint32_t slot() override { return slot_; }
  void Detach() override { driver_.Detach(slot_); }
  void PeerWrites(const Bytes& bytes) override { driver_.Arrive(slot_, bytes); }
  void PeerEnds() override { driver_.EndReceive(slot_, 0); }
  Bytes PeerReads() override { return std::exchange(driver_.sent(slot_), {}); }

 private:
  test::FakeDriver driver_;
  const uint32_t slot_;
};

void SetNonBlocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

class SocketEnds final : public Ends {
 public:
  explicit SocketEnds(Hosted& hosted) : hosted_(hosted) {
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_), 0);
    slot_ = *driver().Attach(fds_[0]);
  }
  ~SocketEnds() override {
    if (is_attached_) driver().Detach(slot_);
    close(fds_[0]);
    close(fds_[1]);
  }
  Driver& driver() override { return hosted_.driver(); }
  uint32_t slot() override { return slot_; }
  void Detach() override {
    is_attached_ = false;
    driver().Detach(slot_);
  }
  void PeerWrites(const Bytes& bytes) override {
    CHECK_EQUAL(write(fds_[1], bytes.data(), bytes.size()), bytes.size());
    Notice();
  }
  void PeerEnds() override {
    shutdown(fds_[1], SHUT_WR);
    Notice();
  }
  Bytes PeerReads() override {
    Bytes bytes(1 << 20);
    const ssize_t size = read(fds_[1], bytes.data(), bytes.size());
    bytes.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return bytes;
  }
  void Notice() { hosted_.host().Wait(hosted_.driver(), 0); }
  int fd() const { return fds_[0]; }
  void ClosePeer() {
    close(fds_[1]);
    fds_[1] = -1;
  }

 private:
  Hosted& hosted_;
  bool is_attached_ = true;
  int fds_[2];
  uint32_t slot_;
};

// What holds for every driver.

void ReceiveStaysSubmittedUntilTheEnd(Ends& ends) {
  Probe receive(OperationKind::kReceive, Bytes(100));
  ends.driver().Submit(ends.slot(), receive);
  CHECK(receive.submitted());
  ends.PeerWrites({1, 2, 3});
  CHECK(receive.results.empty());  // Not before Reap.
  CHECK_EQUAL(ends.driver().Reap(), 1);
  CHECK(receive.submitted());
  ends.PeerWrites({4, 5});
  ends.driver().Reap();
  CHECK(receive.results == (std::vector<int32_t>{3, 2}));
  const Bytes expected = {1, 2, 3, 4, 5};
  CHECK(std::equal(expected.begin(), expected.end(), receive.memory().begin()));
  ends.PeerEnds();
  ends.driver().Reap();
  CHECK_EQUAL(receive.results.back(), 0);
  CHECK(!receive.submitted());
  CHECK_EQUAL(ends.driver().Reap(), 0);
}

void SendCompletesOnceInReap(Ends& ends) {
  Probe send(OperationKind::kSend, {1, 2, 3, 4, 5});
  ends.driver().Submit(ends.slot(), send);
  CHECK(send.results.empty());
  CHECK_EQUAL(ends.driver().Reap(), 1);
  CHECK(send.results == std::vector<int32_t>{5});
  CHECK(!send.submitted());
  CHECK((ends.PeerReads() == Bytes{1, 2, 3, 4, 5}));
  // Nothing to say is no completion.
  ends.driver().Submit(ends.slot(), send);
  CHECK_EQUAL(ends.driver().Reap(), 0);
  CHECK(!send.submitted());
}

void ACancelledOperationIsSilent(Ends& ends) {
  Probe receive(OperationKind::kReceive, Bytes(100));
  Probe send(OperationKind::kSend, {1});
  ends.driver().Submit(ends.slot(), receive);
  ends.PeerWrites({1});
  ends.driver().Submit(ends.slot(), send);
  // Both have happened and wait to be reaped.
  ends.driver().Cancel(receive);
  ends.driver().Cancel(send);
  CHECK_EQUAL(ends.driver().Reap(), 0);
  CHECK(receive.results.empty() && send.results.empty());
  CHECK(!receive.submitted());
  ends.driver().Cancel(receive);  // Of no effect.
  ends.driver().Submit(ends.slot(), receive);
  ends.PeerWrites({2});
  CHECK_EQUAL(ends.driver().Reap(), 1);
  ends.driver().Cancel(receive);
}

void OneCompletionMayCancelAnother(Ends& ends) {
  auto receive = std::make_unique<Probe>(OperationKind::kReceive, Bytes(100));
  auto send = std::make_unique<Probe>(OperationKind::kSend, Bytes{1});
  const auto end_both = [&](int32_t) {
    ends.driver().Cancel(*receive);
    ends.driver().Cancel(*send);
    ends.Detach();
  };
  receive->on_complete = end_both;
  send->on_complete = end_both;
  ends.driver().Submit(ends.slot(), *receive);
  ends.PeerWrites({1});
  ends.driver().Submit(ends.slot(), *send);
  CHECK_EQUAL(ends.driver().Reap(), 1);
  CHECK_EQUAL(receive->results.size() + send->results.size(), 1);
  receive.reset();
  send.reset();
  CHECK_EQUAL(ends.driver().Reap(), 0);
}

void ACompletionMaySubmitTheNext(Ends& ends) {
  Probe send(OperationKind::kSend, Bytes(10));
  int times = 0;
  send.on_complete = [&](int32_t) {
    send.at = 0;
    if (++times < 5) ends.driver().Submit(ends.slot(), send);
  };
  ends.driver().Submit(ends.slot(), send);
  CHECK_EQUAL(ends.driver().Reap(), 5);
  CHECK_EQUAL(ends.PeerReads().size(), 50);
}

// A receiver without room loses nothing.
void NoRoomIsAskedAgain(Ends& ends) {
  Probe receive(OperationKind::kReceive, Bytes(100));
  receive.has_room = false;
  ends.driver().Submit(ends.slot(), receive);
  ends.PeerWrites({1, 2, 3});
  CHECK_EQUAL(ends.driver().Reap(), 0);
  receive.has_room = true;
  ends.PeerWrites({4});
  CHECK_EQUAL(ends.driver().Reap(), 1);
  ends.driver().Cancel(receive);
}

using ContractCase = void (*)(Ends&);

template <void (*kCase)(Hosted&)>
void OnSockets() {
  for (const test::HostedKind kind : test::kHostedKinds) {
    Hosted hosted(kind);
    if (hosted.is_here()) kCase(hosted);
  }
}

template <ContractCase kCase>
void OnSocketEnds(Hosted& hosted) {
  SocketEnds ends(hosted);
  kCase(ends);
}

template <ContractCase kCase>
void OnEach() {
  FakeEnds fake;
  kCase(fake);
  OnSockets<OnSocketEnds<kCase>>();
}

// What holds for those with sockets.

void APartialSendWaitsForTheHost(Hosted& hosted) {
  SocketEnds ends(hosted);
  const int small = 4096;
  setsockopt(ends.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  test::Random random(1);
  Bytes bytes(300'000);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Next());
  Probe send(OperationKind::kSend, bytes);
  send.on_complete = [&](int32_t result) {
    CHECK(result > 0);
    if (send.at < bytes.size()) ends.driver().Submit(ends.slot(), send);
  };
  ends.driver().Submit(ends.slot(), send);
  Bytes received;
  while (received.size() < bytes.size()) {
    ends.driver().Reap();
    // Full: no completion without the peer.
    ends.Notice();
    ends.driver().Reap();
    const Bytes more = ends.PeerReads();
    CHECK(!more.empty());
    received.insert(received.end(), more.begin(), more.end());
    ends.Notice();
  }
  CHECK(received == bytes);
  CHECK(send.results.size() > 2);
}

void SendingToOneWhoLeftFails(Hosted& hosted) {
  SocketEnds ends(hosted);
  ends.ClosePeer();
  Probe send(OperationKind::kSend, {1});
  ends.driver().Submit(ends.slot(), send);
  ends.driver().Reap();
  CHECK(send.results == std::vector<int32_t>{-EPIPE});
  CHECK(!send.submitted());
}

struct TcpListener {
  int fd;
  sockaddr_in address{};

  explicit TcpListener(int backlog = 16) : fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQUAL(bind(fd, Raw(), sizeof address), 0);
    socklen_t size = sizeof address;
    CHECK_EQUAL(getsockname(fd, Raw(), &size), 0);
    CHECK_EQUAL(listen(fd, backlog), 0);
  }
  ~TcpListener() { close(fd); }
  sockaddr* Raw() { return reinterpret_cast<sockaddr*>(&address); }

  int Connect() {
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQUAL(connect(client, Raw(), sizeof address), 0);
    return client;
  }
};

void AResetEndsTheReceiveAfterItsBytes(Hosted& hosted) {
  TcpListener listener;
  test::EpollHost& host = hosted.host();
  HostedDriver& driver = hosted.driver();
  const int client = listener.Connect();
  const int fd = accept(listener.fd, nullptr, nullptr);
  SetNonBlocking(fd);
  const uint32_t slot = *driver.Attach(fd);
  Probe receive(OperationKind::kReceive, Bytes(100));
  const uint8_t bytes[] = {1, 2, 3};
  CHECK_EQUAL(write(client, bytes, 3), 3);
  const linger now = {1, 0};
  setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(client);
  driver.Submit(slot, receive);
  while (receive.submitted()) {
    CHECK(host.Wait(driver, 5000) > 0);
    driver.Reap();
  }
  CHECK(receive.results.back() == -ECONNRESET);
  driver.Detach(slot);
  close(fd);
}

void BytesBeforeAFailedSendComeFirst(Hosted& hosted) {
  TcpListener listener;
  test::EpollHost& host = hosted.host();
  HostedDriver& driver = hosted.driver();
  const int client = listener.Connect();
  const int fd = accept(listener.fd, nullptr, nullptr);
  SetNonBlocking(fd);
  const uint32_t slot = *driver.Attach(fd);
  // Fill the way out, so that a send waits.
  Probe send(OperationKind::kSend, Bytes(64 << 20));
  driver.Submit(slot, send);
  driver.Reap();
  driver.Submit(slot, send);
  Probe receive(OperationKind::kReceive, Bytes(100));
  driver.Submit(slot, receive);
  const uint8_t byte = 9;
  CHECK_EQUAL(write(client, &byte, 1), 1);
  close(client);  // With bytes unread: a reset follows.
  std::vector<int> order;
  send.on_complete = [&](int32_t) { order.push_back(1); };
  receive.on_complete = [&](int32_t) { order.push_back(2); };
  while (send.submitted()) {
    CHECK(host.Wait(driver, 5000) > 0);
    driver.Reap();
  }
  CHECK(!order.empty() && order.front() == 2);
  CHECK_EQUAL(receive.results.front(), 1);
  driver.Detach(slot);
  close(fd);
}

void ConnectCompletesOrFails(Hosted& hosted) {
  for (const bool is_there : {true, false}) {
    auto listener = std::make_unique<TcpListener>();
    sockaddr_in address = listener->address;
    if (!is_there) listener.reset();
    test::EpollHost& host = hosted.host();
    HostedDriver& driver = hosted.driver();
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int begun = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    if (begun < 0 && errno != EINPROGRESS) {
      CHECK(!is_there);
      close(fd);
      continue;
    }
    const uint32_t slot = *driver.Attach(fd);
    Probe connecting(OperationKind::kConnect, {});
    driver.Submit(slot, connecting);
    CHECK(connecting.results.empty());
    while (connecting.submitted()) {
      CHECK(host.Wait(driver, 5000) > 0);
      driver.Reap();
    }
    CHECK(connecting.results == std::vector<int32_t>{is_there ? 0 : -ECONNREFUSED});
    driver.Detach(slot);
    close(fd);
  }
}

size_t OpenDescriptors() {
  size_t count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0 ? 1u : 0u;
  return count;
}

void AcceptedButCancelledIsClosed(Hosted& hosted) {
  TcpListener listener;
  test::EpollHost& host = hosted.host();
  HostedDriver& driver = hosted.driver();
  const uint32_t slot = *driver.Attach(listener.fd);
  Probe accepting(OperationKind::kAccept, {});
  const int clients[] = {listener.Connect(), listener.Connect(), listener.Connect()};
  const size_t before = OpenDescriptors();
  // Cancelled before Reap, and from within it by the first of three.
  for (const bool within : {false, true}) {
    accepting.results.clear();
    driver.Submit(slot, accepting);
    if (within) {
      for (const int client : clients) {
        CHECK(client >= 0);
        close(listener.Connect());
      }
    }
    CHECK(host.Wait(driver, 5000) > 0);
    CHECK(OpenDescriptors() >= before + 3);
    if (within) {
      accepting.on_complete = [&](int32_t fd) {
        close(fd);
        driver.Cancel(accepting);
      };
    } else {
      driver.Cancel(accepting);
    }
    CHECK_EQUAL(driver.Reap(), within ? 1 : 0);
    CHECK_EQUAL(OpenDescriptors(), before);
  }
  driver.Detach(slot);
  for (const int client : clients) close(client);
}

void RunningOutOfDescriptorsStopsAccepting(Hosted& hosted) {
  TcpListener listener;
  test::EpollHost& host = hosted.host();
  HostedDriver& driver = hosted.driver();
  const uint32_t slot = *driver.Attach(listener.fd);
  Probe accepting(OperationKind::kAccept, {});
  const int client = listener.Connect();
  driver.Submit(slot, accepting);
  rlimit saved;
  getrlimit(RLIMIT_NOFILE, &saved);
  const rlimit none = {3, saved.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  CHECK(host.Wait(driver, 5000) > 0);
  setrlimit(RLIMIT_NOFILE, &saved);
  driver.Reap();
  CHECK(accepting.results == std::vector<int32_t>{-EMFILE});
  CHECK(!accepting.submitted());
  // Started again, it finds who waited.
  driver.Submit(slot, accepting);
  CHECK(host.Wait(driver, 5000) > 0);
  driver.Reap();
  CHECK_EQUAL(accepting.results.size(), 2);
  CHECK(accepting.results[1] >= 0);
  close(accepting.results[1]);
  driver.Detach(slot);
  close(client);
}

void EpollsHostMayRefuse() {
  test::EpollHost host;
  EpollDriver driver(host);
  int fds[2];
  CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  host.open_result = -ENOMEM;
  CHECK(driver.Attach(fds[0]).error() == Error::System(ENOMEM));
  host.open_result = 0;
  const uint32_t slot = *driver.Attach(fds[0]);
  host.watch_result = -ENOMEM;
  Probe receive(OperationKind::kReceive, Bytes(1));
  driver.Submit(slot, receive);
  driver.Reap();
  CHECK(receive.results == std::vector<int32_t>{-ENOMEM});
  CHECK(!receive.submitted());
  driver.Detach(slot);
  close(fds[0]);
  close(fds[1]);
}

void ASlotIsUsedAgain(Hosted& hosted) {
  test::EpollHost& host = hosted.host();
  HostedDriver& driver = hosted.driver();
  for (int i = 0; i < 100; ++i) {
    int fds[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    const uint32_t slot = *driver.Attach(fds[0]);
    CHECK_EQUAL(slot, 0);
    driver.SetKeepsAlive(slot, false);
    CHECK(!host.keeps_alive(slot));
    Probe receive(OperationKind::kReceive, Bytes(4));
    driver.Submit(slot, receive);
    CHECK_EQUAL(write(fds[1], "x", 1), 1);
    CHECK(host.Wait(driver, 5000) > 0);
    driver.Detach(slot);  // With a completion that waits, which its owner cancels.
    driver.Cancel(receive);
    CHECK_EQUAL(driver.Reap(), 0);
    close(fds[0]);
    close(fds[1]);
  }
}

// What is the ring's own.

// On each kind of ring that is to be had.
template <void (*kCase)(Hosted&)>
void OnRings() {
  for (const test::HostedKind kind : {test::HostedKind::kUring, test::HostedKind::kPlainUring}) {
    Hosted hosted(kind);
    if (hosted.is_here()) kCase(hosted);
  }
}

struct Pair {
  int fds[2];
  Pair() {
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    close(fds[0]);
    close(fds[1]);
  }
};

// More connections than a ring has submissions, completions or transfers, all at once.
void MoreAtOnceThanTheRingHolds(Hosted& hosted) {
  constexpr size_t kCount = 400;
  HostedDriver& driver = hosted.driver();
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<std::unique_ptr<Probe>> receives;
  std::vector<std::unique_ptr<Probe>> sends;
  std::vector<uint32_t> slots;
  for (size_t i = 0; i < kCount; ++i) {
    pairs.push_back(std::make_unique<Pair>());
    receives.push_back(std::make_unique<Probe>(OperationKind::kReceive, Bytes(8)));
    const auto byte = static_cast<uint8_t>(i);
    sends.push_back(std::make_unique<Probe>(OperationKind::kSend, Bytes{byte, byte}));
    slots.push_back(*driver.Attach(pairs[i]->fds[0]));
    driver.Submit(slots[i], *receives[i]);
  }
  driver.Commit();
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < kCount; ++i) {
      sends[i]->at = 0;
      driver.Submit(slots[i], *sends[i]);
      CHECK_EQUAL(write(pairs[i]->fds[1], &round, 1), 1);
    }
    CHECK(driver.Reap() >= kCount);
    size_t received = 0;
    while (received < kCount * static_cast<size_t>(round + 1)) {
      CHECK(hosted.host().Wait(driver, 5000) > 0);
      driver.Reap();
      received = 0;
      for (const auto& receive : receives) received += receive->results.size();
    }
    for (size_t i = 0; i < kCount; ++i) {
      uint8_t bytes[4];
      CHECK_EQUAL(read(pairs[i]->fds[1], bytes, sizeof bytes), 2);
      CHECK_EQUAL(bytes[1], static_cast<uint8_t>(i));
      CHECK_EQUAL(receives[i]->at, round + 1);
    }
  }
  for (const uint32_t slot : slots) driver.Detach(slot);
}

// After Detach the kernel holds neither the socket nor the memory: whoever closes it is seen to
// leave, and what comes then touches nothing.
void DetachLetsGoOfTheSocketAndTheMemory(Hosted& hosted) {
  HostedDriver& driver = hosted.driver();
  for (const bool is_committed : {false, true}) {
    for (const bool is_blocked : {false, true}) {
      int fds[2];
      CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
      const uint32_t slot = *driver.Attach(fds[0]);
      auto receive = std::make_unique<Probe>(OperationKind::kReceive, Bytes(64));
      auto send = std::make_unique<Probe>(OperationKind::kSend, Bytes(8 << 20));
      driver.Submit(slot, *receive);
      driver.Submit(slot, *send);
      if (is_blocked) {
        driver.Reap();
        driver.Submit(slot, *send);
      }
      if (is_committed) driver.Commit();
      CHECK_EQUAL(write(fds[1], "late", 4), 4);
      driver.Cancel(*receive);
      driver.Cancel(*send);
      receive.reset();
      send.reset();
      driver.Detach(slot);
      close(fds[0]);
      Bytes rest(16 << 20);
      ssize_t size;
      do {
        size = read(fds[1], rest.data(), rest.size());
      } while (size > 0);
      // Not EAGAIN: nobody holds the other end any more. Its unread bytes make it a reset.
      CHECK(size == 0 || errno == ECONNRESET);
      close(fds[1]);
      CHECK_EQUAL(driver.Reap(), 0);
    }
  }
}

// Somebody else wakes the poll, and takes away what it was woken for, while it is taken back.
void DetachMeetsAWakeUp(Hosted& hosted) {
  HostedDriver& driver = hosted.driver();
  Pair pair;
  std::atomic<bool> is_over = false;
  std::thread other([&] {
    uint8_t byte = 0;
    while (!is_over) {
      CHECK_EQUAL(write(pair.fds[1], &byte, 1), 1);
      // Unless the driver was first.
      recv(pair.fds[0], &byte, 1, MSG_DONTWAIT);
    }
  });
  for (int i = 0; i < 20'000; ++i) {
    const uint32_t slot = *driver.Attach(pair.fds[0]);
    Probe receive(OperationKind::kReceive, Bytes(8));
    driver.Submit(slot, receive);
    driver.Commit();
    driver.Cancel(receive);
    driver.Detach(slot);
  }
  is_over = true;
  other.join();
}

// A listening address is free again as soon as its owner has closed it.
void DetachFreesAListeningAddress(Hosted& hosted) {
  HostedDriver& driver = hosted.driver();
  sockaddr_in address;
  {
    TcpListener listener;
    address = listener.address;
    const uint32_t slot = *driver.Attach(listener.fd);
    Probe accepting(OperationKind::kAccept, {});
    driver.Submit(slot, accepting);
    driver.Commit();
    driver.Detach(slot);
  }
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(fd);
}

void TheHostIsKeptAliveByWhatIsSubmitted(Hosted& hosted) {
  HostedDriver& driver = hosted.driver();
  test::EpollHost& host = hosted.host();
  Pair pair;
  const uint32_t slot = *driver.Attach(pair.fds[0]);
  CHECK(!host.keeps_alive(0));
  Probe receive(OperationKind::kReceive, Bytes(8));
  driver.Submit(slot, receive);
  CHECK(host.keeps_alive(0));
  driver.SetKeepsAlive(slot, false);
  CHECK(!host.keeps_alive(0));
  driver.SetKeepsAlive(slot, true);
  CHECK(host.keeps_alive(0));
  driver.Cancel(receive);
  CHECK(!host.keeps_alive(0));
  driver.Submit(slot, receive);
  driver.Detach(slot);
  CHECK(!host.keeps_alive(0));
}

// With polls in the kernel, nothing taken back.
void ARingMayEndWithPollsInIt() {
  for (const test::HostedKind kind : {test::HostedKind::kUring, test::HostedKind::kPlainUring}) {
    Pair pair;
    Probe receive(OperationKind::kReceive, Bytes(8));
    {
      Hosted hosted(kind);
      if (!hosted.is_here()) continue;
      hosted.driver().Submit(*hosted.driver().Attach(pair.fds[0]), receive);
      hosted.driver().Commit();
    }
    CHECK_EQUAL(write(pair.fds[1], "x", 1), 1);
    CHECK(receive.results.empty());
  }
}

// Who gives the CPU away before it sleeps asks at once what is received here, and looks first where
// the owner reads.
void EpollIsAskedOrLookedAt() {
  Hosted hosted(test::HostedKind::kEpoll);
  HostedDriver& driver = hosted.driver();
  TcpListener listener;
  const int client = listener.Connect();
  const int fd = accept(listener.fd, nullptr, nullptr);
  SetNonBlocking(fd);
  const uint32_t slot = *driver.Attach(fd);
  CHECK(!driver.MayAsk(slot) && !driver.MayLook(slot));
  Probe receive(OperationKind::kReceive, Bytes(100));
  driver.Submit(slot, receive);
  CHECK(driver.MayAsk(slot) && !driver.MayLook(slot));
  receive.is_left_to_owner = true;
  CHECK(!driver.MayAsk(slot) && driver.MayLook(slot));
  driver.Detach(slot);
  close(fd);
  close(client);
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  signal(SIGPIPE, SIG_DFL);  // A driver that forgets MSG_NOSIGNAL ends the test.
  return test::RunCases(
      argument_count, arguments,
      {
          {"receive stays submitted until the end", OnEach<ReceiveStaysSubmittedUntilTheEnd>},
          {"send completes once, in reap", OnEach<SendCompletesOnceInReap>},
          {"a cancelled operation is silent", OnEach<ACancelledOperationIsSilent>},
          {"one completion may cancel another", OnEach<OneCompletionMayCancelAnother>},
          {"a completion may submit the next", OnEach<ACompletionMaySubmitTheNext>},
          {"no room is asked again", OnEach<NoRoomIsAskedAgain>},
          {"a partial send waits for the host", OnSockets<APartialSendWaitsForTheHost>},
          {"sending to one who left fails", OnSockets<SendingToOneWhoLeftFails>},
          {"a reset ends the receive after its bytes",
           OnSockets<AResetEndsTheReceiveAfterItsBytes>},
          {"bytes before a failed send come first", OnSockets<BytesBeforeAFailedSendComeFirst>},
          {"connect completes or fails", OnSockets<ConnectCompletesOrFails>},
          {"accepted but cancelled is closed", OnSockets<AcceptedButCancelledIsClosed>},
          {"running out of descriptors stops accepting",
           OnSockets<RunningOutOfDescriptorsStopsAccepting>},
          {"epoll's host may refuse", EpollsHostMayRefuse},
          {"a slot is used again", OnSockets<ASlotIsUsedAgain>},
          {"epoll is asked or looked at", EpollIsAskedOrLookedAt},
          {"more at once than the ring holds", OnRings<MoreAtOnceThanTheRingHolds>},
          {"detach lets go of the socket and the memory",
           OnSockets<DetachLetsGoOfTheSocketAndTheMemory>},
          {"detach meets a wake-up", OnSockets<DetachMeetsAWakeUp>},
          {"detach frees a listening address", OnSockets<DetachFreesAListeningAddress>},
          {"the host is kept alive by what is submitted",
           OnRings<TheHostIsKeptAliveByWhatIsSubmitted>},
          {"a ring may end with polls in it", ARingMayEndWithPollsInIt},
      });
}
