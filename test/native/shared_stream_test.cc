#include "socket/shared_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "epoll_host.h"
#include "frame/frame_encoder.h"
#include "framed_fixture.h"
#include "test.h"

namespace paipai {
namespace {

using test::Event;
using test::FramedFixture;
using Bytes = std::vector<uint8_t>;

constexpr std::array<uint8_t, kDoorTokenBytes> kToken = {7};

struct Halves {
  SharedPair near;
  SharedPair far;
};

Halves MakePair() {
  static int count = 0;
  const std::string name =
      "paipainet-stream-" + std::to_string(getpid()) + "-" + std::to_string(++count);
  Result<SharedDoor> door = SharedDoor::Open(name);
  Result<SharedPair> near = SharedDoor::Enter(name, kToken);
  Result<SharedPair> far = door->Take(kToken);
  CHECK(near.has_value() && far.has_value());
  return {std::move(*near), std::move(*far)};
}

// One end of a socket pair whose other end belongs to another fixture, or to the test.
class OwnEnd final : public test::Link {
 public:
  explicit OwnEnd(int fd) : fd_(fd) {}
  Driver& driver() override { return driver_; }
  int TakeDescriptor() override { return fd_; }
  size_t PeerWrites(ByteSpan) override { return 0; }
  void PeerEnds() override {}
  std::vector<uint8_t> PeerReads(size_t) override { return {}; }
  bool PeerSawEnd() override { return false; }
  void Wait() override {
    host_.Wait(driver_, 0);
    driver_.Reap();
  }

 private:
  const int fd_;
  test::EpollHost host_;
  EpollDriver driver_{host_};
};

struct Sockets {
  int fds[2];
  Sockets() {
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  }
};

// Two framed streams that talk to each other, each with its half of a pair.
struct Two {
  Sockets sockets;
  Halves halves = MakePair();
  MutableByteSpan near_out = halves.near.out();
  MutableByteSpan near_in = halves.near.in();
  OwnEnd near_end{sockets.fds[0]};
  OwnEnd far_end{sockets.fds[1]};
  FramedFixture near{near_end};
  FramedFixture far{far_end};

  Two() {
    CHECK(near.stream().SetSharedPair(std::move(halves.near)).has_value());
    CHECK(far.stream().SetSharedPair(std::move(halves.far)).has_value());
  }
  void Switch() {
    CHECK(far.stream().SwitchSending());
    Turns(4);
  }
  void Turns(int count) {
    for (int i = 0; i < count; ++i) {
      near.Turn();
      far.Turn();
    }
  }
};

Bytes Frame(uint32_t argument, size_t payload_bytes = 0, FrameType type = FrameType::kMessage,
            uint32_t stream_id = 0) {
  Bytes frame(kFrameHeaderBytes + payload_bytes, static_cast<uint8_t>(argument));
  FrameHeader header{};
  header.type = type;
  header.argument = argument;
  header.stream_id = stream_id;
  header.payload_bytes = static_cast<uint32_t>(payload_bytes);
  WriteFrameHeader(frame.data(), header);
  return frame;
}

void Queue(FramedFixture& fixture, Bytes frame) {
  fixture.stream().SendFrames(frame);
  fixture.stream().Settle();
}

std::vector<uint32_t> Arguments(const FramedFixture& fixture) {
  std::vector<uint32_t> arguments;
  for (const Event& event : fixture.events) {
    const bool is_frame =
        event.kind() == EventKind::kFrame || event.kind() == EventKind::kLargeFrame;
    if (is_frame && event.descriptor.type == static_cast<uint8_t>(FrameType::kMessage)) {
      arguments.push_back(event.descriptor.argument);
    }
  }
  return arguments;
}

int32_t EndOf(const FramedFixture& fixture) {
  CHECK(fixture.End() != nullptr);
  return fixture.End()->result();
}

int32_t ResultOf(ErrorCode code) { return Error::Of(code).result(); }

void FramesKeepTheirOrderThroughTheSwitch() {
  Two two;
  for (uint32_t i = 0; i < 3; ++i) {
    Queue(two.near, Frame(i, 100));
    Queue(two.far, Frame(i, 100));
  }
  CHECK(two.far.stream().SwitchSending());
  for (uint32_t i = 3; i < 6; ++i) {
    Queue(two.near, Frame(i, 100));
    Queue(two.far, Frame(i, 100));
  }
  two.Turns(6);
  Queue(two.near, Frame(6, 100'000));
  Queue(two.far, Frame(6, 100'000));
  two.Turns(6);
  const std::vector<uint32_t> all{0, 1, 2, 3, 4, 5, 6};
  CHECK(Arguments(two.near) == all);
  CHECK(Arguments(two.far) == all);
  // What came last did not come by the socket.
  CHECK(Load32(two.near_out.data()) > 100'000);
  CHECK(Load32(two.near_in.data()) > 100'000);
}

void ASwitchWithoutAPairIsRefused() {
  Sockets sockets;
  OwnEnd near_end(sockets.fds[0]);
  OwnEnd far_end(sockets.fds[1]);
  FramedFixture near(near_end);
  FramedFixture far(far_end);
  CHECK(!near.stream().SwitchSending());
  Queue(near, Frame(0, 0, FrameType::kSwitch));
  near.Turn();
  far.Turn();
  CHECK_EQUAL(EndOf(far), ResultOf(ErrorCode::PROTOCOL));
}

void ASecondSwitchIsRefused() {
  Two two;
  two.Switch();
  CHECK(!two.far.stream().SwitchSending());
  Queue(two.near, Frame(0, 0, FrameType::kSwitch));
  two.Turns(3);
  CHECK_EQUAL(EndOf(two.far), ResultOf(ErrorCode::PROTOCOL));
}

void ASwitchWithAPayloadOrBytesBehindItIsRefused() {
  for (const bool has_payload : {true, false}) {
    Sockets sockets;
    Halves halves = MakePair();
    OwnEnd end(sockets.fds[0]);
    FramedFixture ours(end);
    CHECK(ours.stream().SetSharedPair(std::move(halves.near)).has_value());
    Bytes bytes = Frame(0, has_payload ? 1 : 0, FrameType::kSwitch);
    SealFrame(bytes.data(), 0, Crc32c(ByteSpan(bytes).subspan(kFrameHeaderBytes)));
    if (!has_payload) bytes.push_back(0);
    CHECK_EQUAL(send(sockets.fds[1], bytes.data(), bytes.size(), 0), bytes.size());
    ours.Turn();
    ours.Turn();
    CHECK_EQUAL(EndOf(ours), ResultOf(ErrorCode::PROTOCOL));
    close(sockets.fds[1]);
  }
}

// The side that listened as a framed stream, the other in the hands of the test.
struct One {
  Sockets sockets;
  Halves halves = MakePair();
  RingWriter writer{halves.near.out()};
  RingReader reader{halves.near.in()};
  RingControl* const in_control = reinterpret_cast<RingControl*>(halves.near.out().data());
  RingControl* const out_control = reinterpret_cast<RingControl*>(halves.near.in().data());
  OwnEnd end{sockets.fds[0]};
  FramedFixture ours{end};
  uint32_t sequence = 0;

  One() {
    CHECK(ours.stream().SetSharedPair(std::move(halves.far)).has_value());
    CHECK(ours.stream().SwitchSending());
    const Bytes frame = Sealed(Frame(0, 0, FrameType::kSwitch));
    CHECK_EQUAL(send(sockets.fds[1], frame.data(), frame.size(), 0), frame.size());
    ours.Turn();
    ours.Turn();
  }
  ~One() { close(sockets.fds[1]); }
  Bytes Sealed(Bytes frame) {
    SealFrame(frame.data(), sequence++, Crc32c(ByteSpan(frame).subspan(kFrameHeaderBytes)));
    return frame;
  }
  void Write(const Bytes& bytes) {
    CHECK_EQUAL(*writer.Write(bytes), bytes.size());
    writer.Publish();
  }
};

void AByteOnTheSocketAfterTheSwitchIsRefused() {
  One with;
  CHECK_EQUAL(send(with.sockets.fds[1], "x", 1, 0), 1);
  with.ours.Turn();
  with.ours.Turn();
  CHECK_EQUAL(EndOf(with.ours), ResultOf(ErrorCode::PROTOCOL));
}

void TheEndOfTheSocketComesAfterWhatLiesInTheRing() {
  One with;
  with.Write(with.Sealed(Frame(1, 100)));
  with.Write(with.Sealed(Frame(2, 100)));
  shutdown(with.sockets.fds[1], SHUT_WR);
  for (int i = 0; i < 4; ++i) with.ours.Turn();
  CHECK(Arguments(with.ours) == (std::vector<uint32_t>{1, 2}));
  CHECK_EQUAL(EndOf(with.ours), 0);
}

void TheEndInTheMiddleOfAFrameIsTold() {
  One with;
  Bytes frame = with.Sealed(Frame(1, 100));
  frame.resize(50);
  with.Write(frame);
  shutdown(with.sockets.fds[1], SHUT_WR);
  for (int i = 0; i < 4; ++i) with.ours.Turn();
  CHECK_EQUAL(EndOf(with.ours), ResultOf(ErrorCode::FRAME_TRUNCATED));
}

void CountsThatCannotBeEndTheConnection() {
  for (const uint64_t claimed : {uint64_t{kRingCapacity} + 1, ~uint64_t{0}}) {
    One with;
    with.in_control->written = claimed;
    with.ours.Turn();
    with.ours.Turn();
    CHECK_EQUAL(EndOf(with.ours), ResultOf(ErrorCode::PROTOCOL));
  }
  One with;
  with.out_control->read = uint64_t{1} << 40;
  Queue(with.ours, Frame(1, kRingCapacity + 1));
  with.ours.Turn();
  with.ours.Turn();
  CHECK_EQUAL(EndOf(with.ours), ResultOf(ErrorCode::PROTOCOL));
}

void SpoiltBytesEndTheConnection() {
  One with;
  Bytes frame = with.Sealed(Frame(1, 100));
  frame[80] ^= 1;
  with.Write(frame);
  with.ours.Turn();
  with.ours.Turn();
  CHECK_EQUAL(EndOf(with.ours), ResultOf(ErrorCode::FRAME_PAYLOAD_CHECKSUM));
}

void AFullRingMakesTheSenderWait() {
  One with;
  constexpr uint32_t kFrames = 40;
  for (uint32_t i = 0; i < kFrames; ++i) Queue(with.ours, Frame(i, 40'000));
  for (int i = 0; i < 8; ++i) with.ours.Turn();
  CHECK(with.ours.stream().queued_bytes() > kRingCapacity);
  CHECK_EQUAL(with.out_control->written.load(), kRingCapacity);
  // Asleep, it asks to be woken when there is room.
  CHECK(!with.ours.loop().PrepareSleep());
  CHECK_EQUAL(with.out_control->writer_sleeps.load(), 1);
  size_t received = 0;
  Bytes room(10'000);
  while (received < kFrames * (40'000 + kFrameHeaderBytes)) {
    const size_t read = *with.reader.Read(room);
    received += read;
    if (read > 0 && with.reader.Publish()) {
      const uint64_t one = 1;
      CHECK_EQUAL(write(with.halves.near.peer_wake.get(), &one, sizeof(one)), sizeof(one));
    }
    with.ours.Turn();
    with.ours.loop().PrepareSleep();
  }
  CHECK_EQUAL(with.ours.stream().queued_bytes(), 0);
}

void NobodyWaitsForOneThatHasLetGo() {
  for (const bool is_before : {true, false}) {
    One with;
    if (is_before) with.halves.near.link.Close();
    with.ours.Turn();
    Queue(with.ours, Frame(1, 2 * kRingCapacity));
    with.ours.Turn();
    if (!is_before) with.halves.near.link.Close();
    shutdown(with.sockets.fds[1], SHUT_WR);
    for (int i = 0; i < 4; ++i) with.ours.Turn();
    CHECK_EQUAL(EndOf(with.ours), -EPIPE);
  }
}

void ASleeperIsWoken() {
  One with;
  with.ours.Turn();
  CHECK(!with.ours.loop().PrepareSleep());
  CHECK(!with.ours.loop().has_awake());
  const Bytes frame = with.Sealed(Frame(5, 10));
  CHECK_EQUAL(*with.writer.Write(frame), frame.size());
  with.ours.Turn();
  CHECK(Arguments(with.ours).empty());
  CHECK(with.writer.Publish());
  const uint64_t one = 1;
  CHECK_EQUAL(write(with.halves.near.peer_wake.get(), &one, sizeof(one)), sizeof(one));
  with.ours.Turn();
  CHECK(Arguments(with.ours) == (std::vector<uint32_t>{5}));
}

void OneThatIsAboutToSleepSeesWhatCame() {
  One with;
  with.ours.Turn();
  with.Write(with.Sealed(Frame(5, 10)));
  CHECK(with.ours.loop().PrepareSleep());
  with.ours.Turn();
  CHECK(Arguments(with.ours) == (std::vector<uint32_t>{5}));
}

void PausedNothingIsTaken() {
  One with;
  with.ours.stream().Pause();
  with.Write(with.Sealed(Frame(1, 10)));
  with.ours.Turn();
  CHECK(!with.ours.loop().PrepareSleep());
  with.ours.Turn();
  CHECK(Arguments(with.ours).empty());
  with.ours.stream().Resume();
  with.ours.Turn();
  CHECK(Arguments(with.ours) == (std::vector<uint32_t>{1}));
}

void LargeFramesSinksAndBulkGoThroughIt() {
  Two two;
  two.Switch();
  Queue(two.near, Frame(1, 3'000'000));
  Bytes target(2'000'000);
  CHECK(two.far.stream().SetSink(3, target));
  Bytes bulk(2'000'000);
  for (size_t i = 0; i < bulk.size(); ++i) bulk[i] = static_cast<uint8_t>(i * 7);
  two.near.stream().SendBulk(3, bulk, 99);
  two.Turns(60);
  CHECK(Arguments(two.far) == (std::vector<uint32_t>{1}));
  CHECK(target == bulk);
  CHECK(std::any_of(two.near.events.begin(), two.near.events.end(),
                    [](const Event& event) { return event.kind() == EventKind::kSent; }));
}

void ClosedInTheMiddleOfADelivery() {
  Two two;
  two.Switch();
  for (uint32_t i = 0; i < 10; ++i) Queue(two.near, Frame(i, 1'000));
  two.far.on_event = [&](const Event&) { two.far.stream().Close(); };
  two.Turns(4);
  CHECK(!two.far.loop().has_awake());
  CHECK_EQUAL(EndOf(two.near), 0);
}

void APairMayBeDroppedUntilItIsUsed() {
  Two two;
  two.near.stream().DropSharedPair();
  CHECK(!two.near.stream().SwitchSending());
  Queue(two.near, Frame(1, 10));
  two.Turns(2);
  CHECK(Arguments(two.far) == (std::vector<uint32_t>{1}));
  two.far.stream().SwitchSending();
  two.far.stream().DropSharedPair();
  two.Turns(2);
  CHECK_EQUAL(EndOf(two.near), ResultOf(ErrorCode::PROTOCOL));
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"frames keep their order through the switch", FramesKeepTheirOrderThroughTheSwitch},
          {"a switch without a pair is refused", ASwitchWithoutAPairIsRefused},
          {"a second switch is refused", ASecondSwitchIsRefused},
          {"a switch with a payload, or bytes behind it, is refused",
           ASwitchWithAPayloadOrBytesBehindItIsRefused},
          {"a byte on the socket after the switch is refused",
           AByteOnTheSocketAfterTheSwitchIsRefused},
          {"the end of the socket comes after what lies in the ring",
           TheEndOfTheSocketComesAfterWhatLiesInTheRing},
          {"the end in the middle of a frame is told", TheEndInTheMiddleOfAFrameIsTold},
          {"counts that cannot be end the connection", CountsThatCannotBeEndTheConnection},
          {"spoilt bytes end the connection", SpoiltBytesEndTheConnection},
          {"a full ring makes the sender wait", AFullRingMakesTheSenderWait},
          {"nobody waits for one that has let go", NobodyWaitsForOneThatHasLetGo},
          {"a sleeper is woken", ASleeperIsWoken},
          {"one that is about to sleep sees what came", OneThatIsAboutToSleepSeesWhatCame},
          {"paused, nothing is taken", PausedNothingIsTaken},
          {"large frames, sinks and bulk go through it", LargeFramesSinksAndBulkGoThroughIt},
          {"closed in the middle of a delivery", ClosedInTheMiddleOfADelivery},
          {"a pair may be dropped until it is used", APairMayBeDroppedUntilItIsUsed},
      });
}
