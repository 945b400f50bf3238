#include "socket/shared_stream.h"

#include <dirent.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "framed_fixture.h"
#include "framed_peer.h"
#include "memory/pool_budget.h"
#include "shared_pairs.h"
#include "test.h"

namespace paipai {
namespace {

using test::Bytes;
using test::ControlOf;
using test::Event;
using test::Frame;
using test::FramedFixture;
using test::FramesOf;
using test::PeerReader;
using test::PeerWriter;
using test::RandomBytes;
using test::SharedPairs;
using test::SocketLink;
using test::Unsealed;

constexpr int kTurnsMax = 200'000;
// Longer than any machine needs: whoever waits so long has lost a wake-up.
constexpr int kLostMs = 20'000;

size_t OpenDescriptors() {
  DIR* const folder = opendir("/proc/self/fd");
  CHECK(folder != nullptr);
  size_t count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

template <class Turn, class Done>
void Until(Turn turn, Done done) {
  for (int turns = 0; !done(); ++turns) {
    CHECK(turns < kTurnsMax);
    turn();
  }
}

// A stream through shared memory alone, with a loop of its own.
class End final : public StreamUser {
 public:
  explicit End(SharedPair pair) : stream(loop, *this, std::move(pair)) {}

  test::EpollHost host;
  EpollDriver driver{host};
  Loop loop{driver};

  Bytes to_send;
  Bytes received;
  size_t room_bytes = 64 << 10;  // What one receive is offered.
  int received_count = 0;
  std::vector<int32_t> ends;
  std::vector<int32_t> send_failures;
  std::function<void()> on_received = [] {};
  std::function<void()> on_sent = [] {};

  SharedStream stream;

  void Open() {
    CHECK(stream.Open().has_value());
    stream.StartReceiving();
  }
  void Send(size_t byte_count) {
    test::Random random(byte_count);
    const Bytes bytes = RandomBytes(random, byte_count);
    to_send.insert(to_send.end(), bytes.begin(), bytes.end());
    stream.Send();
  }
  // A turn in which nothing is waited for.
  void Turn() {
    host.Wait(driver, 0);
    driver.Reap();
    loop.Poll();
  }
  // What a host does that may sleep: true when it was woken, false when it had no need to sleep.
  bool SleepUntilWoken() {
    if (loop.PrepareSleep()) return false;
    CHECK(host.Wait(driver, kLostMs) > 0);
    driver.Reap();
    return true;
  }
  // Whether it sleeps and nothing wakes it.
  bool SleepsQuietly() {
    if (loop.PrepareSleep()) return false;
    return host.Wait(driver, 0) == 0 && !loop.has_awake();
  }

 private:
  size_t GatherReceive(iovec* vectors, size_t) override {
    room_.resize(room_bytes);
    vectors[0] = {room_.data(), room_.size()};
    return room_bytes == 0 ? 0 : 1;
  }
  void OnReceived(size_t bytes) override {
    CHECK(bytes > 0);
    ++received_count;
    received.insert(received.end(), room_.begin(), room_.begin() + static_cast<ptrdiff_t>(bytes));
    on_received();
  }
  size_t GatherSend(iovec* vectors, size_t) override {
    // In two pieces.
    const size_t half = to_send.size() / 2;
    vectors[0] = {to_send.data(), half};
    vectors[1] = {to_send.data() + half, to_send.size() - half};
    return to_send.empty() ? 0 : 2;
  }
  void OnSent(size_t bytes) override {
    to_send.erase(to_send.begin(), to_send.begin() + static_cast<ptrdiff_t>(bytes));
    on_sent();
  }
  void OnConnected() override {}
  void OnSendFailed(int32_t result) override { send_failures.push_back(result); }
  void OnEnd(int32_t result) override { ends.push_back(result); }

  Bytes room_;
};

struct TwoEnds {
  explicit TwoEnds(std::pair<SharedPair, SharedPair> pairs = SharedPairs())
      : a(std::make_unique<End>(std::move(pairs.first))),
        b(std::make_unique<End>(std::move(pairs.second))) {
    a->Open();
    b->Open();
  }
  std::unique_ptr<End> a;
  std::unique_ptr<End> b;
};

void BytesGoBothWays() {
  const size_t before = OpenDescriptors();
  {
    TwoEnds ends;
    ends.a->Send(1000);
    ends.b->Send(3);
    CHECK(ends.a->to_send.empty() && ends.b->to_send.empty());
    ends.a->Turn();
    ends.b->Turn();
    CHECK_EQUAL(ends.b->received.size(), 1000);
    CHECK_EQUAL(ends.a->received.size(), 3);
  }
  CHECK_EQUAL(OpenDescriptors(), before);
}

void ASleeperIsWokenOnce() {
  TwoEnds ends;
  CHECK(ends.b->SleepsQuietly());
  ends.a->Send(10);
  CHECK(ends.b->SleepUntilWoken());
  CHECK_EQUAL(ends.b->received.size(), 0);
  // Awake it costs the sender no call, and the wake-up of before is used up.
  ends.a->Send(10);
  CHECK_EQUAL(ends.b->host.Wait(ends.b->driver, 0), 0);
  CHECK(!ends.b->SleepUntilWoken());
  ends.b->Turn();
  CHECK_EQUAL(ends.b->received.size(), 20);
  CHECK(ends.b->SleepsQuietly());
}

void ASenderWaitsForRoomAndGoesOn() {
  TwoEnds ends;
  End& a = *ends.a;
  End& b = *ends.b;
  a.Send(3 * kRingCapacity + 5);
  CHECK_EQUAL(a.to_send.size(), 2 * kRingCapacity + 5);
  CHECK(a.SleepsQuietly());
  // Trying again changes nothing.
  a.stream.Send();
  CHECK_EQUAL(a.to_send.size(), 2 * kRingCapacity + 5);
  CHECK(a.SleepsQuietly());
  test::Random random(3 * kRingCapacity + 5);
  const Bytes expected = RandomBytes(random, 3 * kRingCapacity + 5);
  Until(
      [&] {
        b.Turn();
        if (!a.to_send.empty()) {
          a.SleepUntilWoken();
          a.Turn();
        }
      },
      [&] { return b.received.size() == expected.size(); });
  CHECK(b.received == expected);
  a.Turn();
  CHECK(a.SleepsQuietly());
}

// One that takes nothing leaves the bytes where they are, and sleeps meanwhile.
void ReceivingIsStoppedAndGoesOn() {
  TwoEnds ends;
  End& b = *ends.b;
  b.stream.StopReceiving();
  ends.a->Send(100);
  b.Turn();
  CHECK(b.received.empty() && b.SleepsQuietly());
  b.stream.StartReceiving();
  b.Turn();
  CHECK_EQUAL(b.received.size(), 100);
}

// Without room for what is there it does not sleep: room comes with the next turn.
void WithoutRoomItStaysAwake() {
  TwoEnds ends;
  End& b = *ends.b;
  b.room_bytes = 0;
  ends.a->Send(100);
  b.Turn();
  CHECK(b.received.empty() && b.loop.PrepareSleep());
  b.room_bytes = 1;
  Until([&] { b.Turn(); }, [&] { return b.received.size() == 100; });
  CHECK_EQUAL(b.received_count, 100);
}

// What has come so far is told, and others get their turn, before the ring is empty.
void APollReceivesAPart() {
  TwoEnds ends;
  End& b = *ends.b;
  static_assert(kReceiveBytesPerTurn < kRingCapacity);
  ends.a->Send(kRingCapacity);
  b.loop.Poll();
  CHECK_EQUAL(b.received.size(), kReceiveBytesPerTurn);
  Until([&] { b.Turn(); }, [&] { return b.received.size() == kRingCapacity; });
}

void ASenderThatWaitsHearsThatNobodyReads() {
  TwoEnds ends;
  ends.a->Send(kRingCapacity + 1);
  CHECK_EQUAL(ends.a->to_send.size(), 1);
  ends.b->stream.Close();
  CHECK(ends.a->SleepUntilWoken());
  ends.a->Turn();
  CHECK(ends.a->send_failures == std::vector<int32_t>{-EPIPE});
  CHECK(ends.a->SleepsQuietly() && ends.a->ends.empty());
}

// What finds room is taken, as by a socket whose peer has just gone.
void ASenderHearsOnlyWhenTheRingIsFull() {
  TwoEnds ends;
  ends.b.reset();
  ends.a->Turn();
  ends.a->Send(kRingCapacity);
  CHECK(ends.a->to_send.empty() && ends.a->send_failures.empty());
  ends.a->Send(1);
  CHECK(ends.a->send_failures == std::vector<int32_t>{-EPIPE});
  CHECK(ends.a->SleepsQuietly());
}

void TheEndComesBehindTheBytes() {
  for (const int32_t result : {0, -ECONNRESET}) {
    TwoEnds ends;
    End& b = *ends.b;
    ends.a->Send(300'000);
    ends.a.reset();
    b.room_bytes = 1000;
    CHECK(b.stream.EndAfterBytes(result));
    b.Turn();
    CHECK(!b.received.empty() && b.ends.empty());
    // Said again, as by a socket that is asked again: nothing changes.
    CHECK(b.stream.EndAfterBytes(0));
    Until([&] { b.Turn(); }, [&] { return !b.ends.empty(); });
    CHECK_EQUAL(b.received.size(), 300'000);
    CHECK(b.ends == std::vector<int32_t>{result});
    CHECK(!b.stream.EndAfterBytes(0));
  }
}

void TheEndWaitsWhileReceivingIsStopped() {
  TwoEnds ends;
  End& b = *ends.b;
  ends.a->Send(100);
  b.stream.StopReceiving();
  CHECK(b.stream.EndAfterBytes(0));
  b.Turn();
  CHECK(b.received.empty() && b.ends.empty());
  b.stream.StartReceiving();
  CHECK(b.loop.PrepareSleep());
  b.Turn();
  CHECK(b.received.size() == 100 && b.ends.size() == 1);
  CHECK(b.SleepsQuietly());
}

void AnEmptyRingEndsAtOnce() {
  TwoEnds ends;
  CHECK(!ends.b->stream.EndAfterBytes(0));
  ends.b->stream.Close();
  CHECK(!ends.b->stream.EndAfterBytes(0));
}

void CountsThatCannotBeEndOneDirectionEach() {
  for (const uint64_t claimed : {kRingCapacity + 1, uint64_t{1} << 63, ~uint64_t{0}}) {
    std::pair<SharedPair, SharedPair> pairs = SharedPairs();
    const MutableByteSpan from_a = pairs.first.out();
    TwoEnds ends(std::move(pairs));
    CHECK(ends.b->SleepsQuietly());
    // Woken by whoever scribbled, or on its own: it finds out.
    ControlOf(from_a).written = claimed;
    ends.b->stream.StartReceiving();
    ends.b->Turn();
    CHECK(ends.b->ends == std::vector<int32_t>{Error::Of(ErrorCode::PROTOCOL).result()});
    CHECK(ends.b->received.empty() && ends.b->SleepsQuietly());

    ControlOf(from_a).read = claimed;
    // It looks at the reader's count when it needs more room than it knows of.
    ends.a->Send(kRingCapacity + 1);
    CHECK(ends.a->send_failures == std::vector<int32_t>{Error::Of(ErrorCode::PROTOCOL).result()});
    // Neither touched the other direction.
    ends.b->Send(5);
    ends.a->Turn();
    CHECK_EQUAL(ends.a->received.size(), 5);
  }
}

void ASenderThatWaitsFindsACountThatCannotBe() {
  std::pair<SharedPair, SharedPair> pairs = SharedPairs();
  const MutableByteSpan from_a = pairs.first.out();
  TwoEnds ends(std::move(pairs));
  ends.a->Send(kRingCapacity + 1);
  ControlOf(from_a).read = kRingCapacity + 1;
  CHECK(ends.a->loop.PrepareSleep());
  ends.a->Turn();
  CHECK(ends.a->send_failures == std::vector<int32_t>{Error::Of(ErrorCode::PROTOCOL).result()});
}

// Flags that never rest and wake-ups without a reason cost turns and nothing else.
void ScribbledFlagsAndIdleWakeUpsDoNoHarm() {
  std::pair<SharedPair, SharedPair> pairs = SharedPairs();
  const MutableByteSpan rings[] = {pairs.first.out(), pairs.first.in()};
  const int wake = dup(pairs.first.peer_wake.get());
  TwoEnds ends(std::move(pairs));
  for (int i = 0; i < 100; ++i) {
    for (const MutableByteSpan ring : rings) {
      ControlOf(ring).reader_sleeps = i % 3 == 0 ? 0xffffffff : 0;
      ControlOf(ring).writer_sleeps = i % 2 == 0 ? 7 : 0;
    }
    const uint64_t most = 0xfffffffffffffffe;
    [[maybe_unused]] const ssize_t written = write(wake, &most, sizeof(most));
    ends.a->Send(1000);
    ends.b->Turn();
  }
  CHECK_EQUAL(ends.b->received.size(), 100'000);
  close(wake);
}

void ItMayBeClosedWhereverItCalls() {
  {
    TwoEnds ends;
    End& b = *ends.b;
    b.room_bytes = 10;
    b.on_received = [&] { b.stream.Close(); };
    ends.a->Send(100);
    b.Turn();
    CHECK_EQUAL(b.received.size(), 10);
    CHECK(!b.loop.has_awake());
    b.stream.Close();
    b.stream.StartReceiving();
    b.stream.Send();
    b.Turn();
    CHECK_EQUAL(b.received.size(), 10);
  }
  TwoEnds ends;
  ends.a->on_sent = [&] { ends.a->stream.Close(); };
  ends.a->Send(2 * kRingCapacity);
  CHECK_EQUAL(ends.a->to_send.size(), kRingCapacity);
  CHECK(!ends.a->loop.has_awake() && ends.a->send_failures.empty());
}

void ADescriptorThatCannotBeWatchedIsToldAtOnce() {
  const size_t before = OpenDescriptors();
  {
    std::pair<SharedPair, SharedPair> pairs = SharedPairs();
    End end(std::move(pairs.first));
    const size_t opened = OpenDescriptors();
    end.host.open_result = -ENOMEM;
    CHECK(end.stream.Open().error() == Error::System(ENOMEM));
    CHECK_EQUAL(OpenDescriptors(), opened);
  }
  CHECK_EQUAL(OpenDescriptors(), before);
}

// Frames.

// One end of a socket pair, whose other end is a framed stream as well.
class SocketEnd final : public test::Link {
 public:
  explicit SocketEnd(int fd) : fd_(fd) {}
  int timeout_ms = 0;
  size_t ready_count = 0;  // Of the last Wait.

  Driver& driver() override { return driver_; }
  int TakeDescriptor() override { return fd_; }
  size_t PeerWrites(ByteSpan) override { return 0; }
  void PeerEnds() override {}
  std::vector<uint8_t> PeerReads(size_t) override { return {}; }
  bool PeerSawEnd() override { return false; }
  void Wait() override {
    ready_count = host_.Wait(driver_, timeout_ms);
    driver_.Reap();
  }

 private:
  test::EpollHost host_;
  EpollDriver driver_{host_};
  const int fd_;
};

// Two framed streams that share memory, the switch not yet made.
struct TwoFramed {
  explicit TwoFramed(uint32_t frame_bytes_max = kFrameBytesMaxDefault) {
    int fds[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    std::pair<SharedPair, SharedPair> pairs = SharedPairs();
    near_link = std::make_unique<SocketEnd>(fds[0]);
    far_link = std::make_unique<SocketEnd>(fds[1]);
    near = std::make_unique<FramedFixture>(*near_link, frame_bytes_max);
    far = std::make_unique<FramedFixture>(*far_link, frame_bytes_max);
    CHECK(near->stream().SetSharedPair(std::move(pairs.first)).has_value());
    CHECK(far->stream().SetSharedPair(std::move(pairs.second)).has_value());
  }
  void Switch() {
    CHECK(far->stream().SwitchSending());
    const auto has_switched = [](const FramedFixture& with) {
      return std::any_of(with.events.begin(), with.events.end(), [](const Event& event) {
        return event.descriptor.type == static_cast<uint8_t>(FrameType::kSwitch);
      });
    };
    Until([&] { Turn(); }, [&] { return has_switched(*near) && has_switched(*far); });
    near->events.clear();
    far->events.clear();
  }
  void Turn() {
    far->Turn();
    near->Turn();
  }

  std::unique_ptr<SocketEnd> near_link;  // Of the side that connected.
  std::unique_ptr<SocketEnd> far_link;
  std::unique_ptr<FramedFixture> near;
  std::unique_ptr<FramedFixture> far;
};

void Say(FramedFixture& with, const Frame& frame) {
  Bytes bytes = Unsealed(frame);
  with.stream().SendFrames(bytes);
  with.stream().Settle();
}

// Frames numbered by their stream, of many sizes.
Frame Numbered(uint32_t number) {
  return {FrameType::kMessage, number, Bytes(number % 5 == 0 ? 40'000 : number % 97, 1)};
}

// Each direction is one sequence, whatever part of it goes which way.
void FramesKeepTheirOrderThroughTheSwitch() {
  for (const uint32_t before : {0u, 1u, 60u}) {
    TwoFramed both;
    std::vector<Frame> expected[2];
    FramedFixture* const sides[] = {both.near.get(), both.far.get()};
    uint32_t number = 0;
    const auto say = [&](uint32_t count) {
      for (uint32_t i = 0; i < count; ++i) {
        const Frame frame = Numbered(++number);
        for (int side = 0; side < 2; ++side) {
          Say(*sides[side], frame);
          expected[side].push_back(frame);
        }
      }
    };
    say(before);
    CHECK(both.far->stream().SwitchSending());
    CHECK(!both.far->stream().SwitchSending());
    expected[1].push_back({FrameType::kSwitch, 0, {}});
    say(60);
    const size_t before_answer = expected[0].size();
    Until([&] { both.Turn(); }, [&] { return !FramesOf(both.far->events).empty(); });
    say(60);
    Until([&] { both.Turn(); },
          [&] {
            return FramesOf(both.near->events).size() == expected[1].size() &&
                   FramesOf(both.far->events).size() == expected[0].size() + 1;
          });
    CHECK(FramesOf(both.near->events) == expected[1]);
    // The answer comes when the first SWITCH was seen, somewhere among the frames.
    std::vector<Frame> heard = FramesOf(both.far->events);
    const auto answer = std::find(heard.begin(), heard.end(), Frame{FrameType::kSwitch, 0, {}});
    CHECK(answer != heard.end());
    CHECK(static_cast<size_t>(answer - heard.begin()) >= std::min<size_t>(before_answer, before));
    heard.erase(answer);
    CHECK(heard == expected[0]);
    CHECK(!both.near->is_closed && !both.far->is_closed);
  }
}

// A framed stream that shares memory with a peer in the hands of the test.
struct HandHeld {
  // `connected`: whether the framed stream is the side that connected.
  explicit HandHeld(bool connected = true) : with(link) {
    std::pair<SharedPair, SharedPair> pairs = SharedPairs();
    SharedPair& own = connected ? pairs.first : pairs.second;
    peer.emplace(std::move(connected ? pairs.second : pairs.first));
    writer.emplace(peer->out());
    reader.emplace(peer->in());
    CHECK(with.stream().SetSharedPair(std::move(own)).has_value());
  }
  // Both directions have moved.
  void Switch() {
    frames.Add({FrameType::kSwitch, 0, {}});
    SendBySocket();
    Until([&] { Turn(); }, [&] { return FramesOf(with.events).size() == 1; });
    with.events.clear();
    Turn();
    sent.TakeAll(link);
    CHECK_EQUAL(sent.frames.size(), 1);
    CHECK(sent.frames[0].type == FrameType::kSwitch);
    sent.frames.clear();
  }
  void SendBySocket() {
    CHECK_EQUAL(link.PeerWrites(frames.wire), frames.wire.size());
    frames.wire.clear();
  }
  void SendByRing() {
    CHECK_EQUAL(*writer->Write(frames.wire), frames.wire.size());
    if (writer->Publish()) Wake();
    frames.wire.clear();
  }
  void Wake() {
    const uint64_t one = 1;
    CHECK_EQUAL(write(peer->peer_wake.get(), &one, sizeof(one)), sizeof(one));
  }
  size_t ReadByRing(size_t bytes_max = kRingCapacity) {
    Bytes room(bytes_max);
    const size_t count = *reader->Read(room);
    sent.Take(ByteSpan(room).first(count));
    if (reader->Publish()) Wake();
    return count;
  }
  void LetGo() { peer.reset(); }
  // As when the peer's process is killed.
  void Die() {
    link.PeerEnds();
    LetGo();
  }
  void Turn() { with.Turn(); }
  void TurnUntilEnd() {
    Until([&] { Turn(); }, [&] { return with.End() != nullptr; });
    CHECK(with.is_closed && with.stream().fd() < 0);
    CHECK_EQUAL(with.large_in_hand, 0);
    CHECK_EQUAL(with.loop().pool().blocks_in_use(), 0);
    CHECK(!with.loop().has_awake());
  }
  void CheckEndsWith(Error error) {
    TurnUntilEnd();
    CHECK_EQUAL(with.End()->result(), error.result());
  }

  SocketLink link;
  PeerWriter frames;
  PeerReader sent;
  std::optional<SharedPair> peer;
  std::optional<RingWriter> writer;
  std::optional<RingReader> reader;
  FramedFixture with;
};

const Error kProtocol = Error::Of(ErrorCode::PROTOCOL);

void ASwitchOutOfPlaceIsAnError() {
  {  // Without a pair.
    SocketLink link;
    FramedFixture with(link);
    CHECK(!with.stream().SwitchSending());
    PeerWriter peer;
    peer.Add({FrameType::kSwitch, 0, {}});
    link.PeerWrites(peer.wire);
    Until([&] { with.Turn(); }, [&] { return with.End() != nullptr; });
    CHECK_EQUAL(with.End()->result(), kProtocol.result());
  }
  {  // The pair let go of before.
    HandHeld held;
    held.with.stream().DropSharedPair();
    held.frames.Add({FrameType::kSwitch, 0, {}});
    held.SendBySocket();
    held.CheckEndsWith(kProtocol);
  }
  {  // Twice.
    HandHeld held;
    held.Switch();
    held.frames.Add({FrameType::kSwitch, 0, {}});
    held.SendByRing();
    held.CheckEndsWith(kProtocol);
  }
  // With a payload, in the inbox and in memory of its own.
  for (const size_t size : {size_t{1}, kInPlaceBytesMax, kInPlaceBytesMax + 1, size_t{100'000}}) {
    HandHeld held;
    held.frames.Add({FrameType::kSwitch, 0, Bytes(size, 1)});
    held.SendBySocket();
    held.CheckEndsWith(Error::Of(ErrorCode::FRAME_TOO_LARGE));
  }
  {  // With a frame behind it in the socket.
    HandHeld held;
    held.frames.Add({FrameType::kSwitch, 0, {}});
    held.frames.Add({FrameType::kPing, 0, {}});
    held.SendBySocket();
    held.CheckEndsWith(kProtocol);
  }
}

void AByteInTheSocketAfterTheSwitchIsAnError() {
  HandHeld held;
  held.Switch();
  held.frames.Add({FrameType::kMessage, 5, {}});
  held.SendByRing();
  held.Turn();
  CHECK_EQUAL(FramesOf(held.with.events).size(), 1);
  const uint8_t byte[] = {0};
  held.link.PeerWrites(byte);
  held.CheckEndsWith(kProtocol);
}

void ThePairIsTakenOnceAndKeptOnceUsed() {
  HandHeld held;
  CHECK(held.with.stream().SetSharedPair(SharedPairs().first).error().Is(ErrorCode::INVALID_STATE));
  held.Switch();
  held.with.stream().DropSharedPair();
  held.frames.Add({FrameType::kMessage, 5, {}});
  held.SendByRing();
  Until([&] { held.Turn(); }, [&] { return !held.with.events.empty(); });
  held.with.stream().Close();
  CHECK(held.with.stream().SetSharedPair(SharedPairs().first).error().Is(ErrorCode::INVALID_STATE));
}

// It could not be said where in the bulk the switch was.
void BulkUnderWayKeepsTheSwitchBack() {
  HandHeld held(false);
  const Bytes bulk(100'000, 3);
  held.with.stream().SendBulk(1, bulk, 1);
  CHECK(!held.with.stream().SwitchSending());
  Until([&] { held.Turn(); },
        [&] {
          held.sent.TakeAll(held.link);
          return held.with.stream().queued_bytes() == 0;
        });
  CHECK(held.with.stream().SwitchSending());
  held.with.stream().SendBulk(1, bulk, 2);
  const size_t before = held.sent.frames.size();
  held.Turn();
  held.Turn();
  held.sent.TakeAll(held.link);
  CHECK_EQUAL(held.sent.frames.size(), before + 1);
  held.ReadByRing();
  CHECK(held.sent.frames.size() > before + 1);
}

void ASenderWaitsForRoomInTheRingAndGoesOn() {
  HandHeld held;
  held.Switch();
  const Bytes bulk(3 * kRingCapacity, 3);
  held.with.stream().SendBulk(1, bulk, 9);
  for (int i = 0; i < 10; ++i) held.Turn();
  CHECK(held.with.stream().queued_bytes() > kRingCapacity);
  CHECK(!held.with.loop().PrepareSleep());
  Until(
      [&] {
        held.ReadByRing(100'000);
        held.Turn();
      },
      [&] { return held.with.stream().queued_bytes() == 0; });
  while (held.ReadByRing() > 0) {
  }
  size_t arrived = 0;
  for (const Frame& frame : held.sent.frames) arrived += frame.payload.size();
  CHECK_EQUAL(arrived, bulk.size());
}

void WhatWasSaidBeforeTheEndIsHeard() {
  for (const bool dies : {false, true}) {
    HandHeld held;
    held.Switch();
    for (uint32_t i = 1; i <= 10; ++i) held.frames.Add(Numbered(i));
    held.SendByRing();
    if (dies) {
      held.Die();
    } else {
      held.link.PeerEnds();
    }
    held.TurnUntilEnd();
    CHECK_EQUAL(held.with.End()->result(), 0);
    CHECK_EQUAL(FramesOf(held.with.events).size(), 10);
  }
}

// The end is known, and what came before it not yet heard, when JS pauses, goes on or ends itself.
void WhatWasSaidBeforeTheEndIsHeardWhateverJsDoes() {
  for (int doing = 0; doing < 3; ++doing) {
    HandHeld held;
    held.Switch();
    for (uint32_t i = 1; i <= 10; ++i) held.frames.Add(Numbered(i));
    held.SendByRing();
    held.link.PeerEnds();
    // The socket's end comes ahead of the ring's bytes.
    held.link.Wait();
    if (doing == 0) {
      held.with.stream().Pause();
      held.with.stream().Resume();
    } else if (doing == 1) {
      held.with.stream().Shutdown();
    } else {
      held.with.stream().Pause();
      held.Turn();
      CHECK(held.with.events.empty());
      held.with.stream().Resume();
    }
    held.link.Wait();
    held.with.Flush();
    held.TurnUntilEnd();
    CHECK_EQUAL(held.with.End()->result(), 0);
    CHECK_EQUAL(FramesOf(held.with.events).size(), 10);
  }
}

// A peer that went away may have said why, though we could say nothing any more.
void WhatWasSaidIsHeardAlsoWhenNothingCanBeSent() {
  HandHeld held;
  held.Switch();
  const Bytes bulk(2 * kRingCapacity, 3);
  held.with.stream().SendBulk(1, bulk, 9);
  held.Turn();
  held.Turn();
  held.frames.Add({FrameType::kGoodbye, 0, Bytes(100, 1)});
  held.SendByRing();
  held.Die();
  // Both ends are heard of in one turn.
  held.TurnUntilEnd();
  CHECK_EQUAL(FramesOf(held.with.events).size(), 1);
  CHECK_EQUAL(held.with.End()->result(), -EPIPE);
}

void APausedStreamHearsThatNothingCanBeSent() {
  HandHeld held;
  held.Switch();
  held.with.stream().Pause();
  const Bytes bulk(2 * kRingCapacity, 3);
  held.with.stream().SendBulk(1, bulk, 9);
  held.Turn();
  held.Die();
  held.CheckEndsWith(Error::System(EPIPE));
}

void AFrameCutOffByTheEndIsAnError() {
  for (const size_t size : {size_t{100}, size_t{100'000}}) {
    for (const size_t left : {size_t{1}, size_t{70}}) {
      HandHeld held;
      held.Switch();
      held.frames.Add({FrameType::kMessage, 1, Bytes(size, 1)});
      held.frames.wire.resize(held.frames.wire.size() - left);
      held.SendByRing();
      held.link.PeerEnds();
      held.CheckEndsWith(Error::Of(ErrorCode::FRAME_TRUNCATED));
    }
  }
}

void SpoiledBytesEndTheConnection() {
  HandHeld held;
  held.Switch();
  held.frames.Add({FrameType::kMessage, 1, Bytes(100, 1)});
  held.frames.Add({FrameType::kMessage, 2, Bytes(100, 1)});
  held.frames.wire.back() ^= 1;
  held.SendByRing();
  held.CheckEndsWith(Error::Of(ErrorCode::FRAME_PAYLOAD_CHECKSUM));
  CHECK_EQUAL(FramesOf(held.with.events).size(), 1);
}

void CountsThatCannotBeEndTheConnection() {
  for (const bool of_reader : {false, true}) {
    HandHeld held;
    held.Switch();
    if (of_reader) {
      ControlOf(held.peer->in()).read = ~uint64_t{0};
      Say(held.with, {FrameType::kMessage, 1, Bytes(kRingCapacity, 1)});
    } else {
      ControlOf(held.peer->out()).written = kRingCapacity + 64;
      held.Wake();
    }
    held.CheckEndsWith(kProtocol);
  }
}

// Shutdown: what is queued goes first, and both say all they have to say.
void BothEndInOrder() {
  TwoFramed both;
  both.Switch();
  for (uint32_t i = 1; i <= 40; ++i) {
    Say(*both.near, Numbered(i));
    Say(*both.far, Numbered(i));
  }
  both.near->stream().Shutdown();
  Until([&] { both.Turn(); }, [&] { return both.near->End() && both.far->End(); });
  for (FramedFixture* with : {both.near.get(), both.far.get()}) {
    CHECK_EQUAL(with->End()->result(), 0);
    CHECK_EQUAL(FramesOf(with->events).size(), 40);
    CHECK(with->is_closed);
  }
}

void NothingStaysOpen() {
  const size_t before = OpenDescriptors();
  for (int ending = 0; ending < 4; ++ending) {
    TwoFramed both;
    if (ending > 0) both.Switch();
    if (ending == 2) both.near->stream().Close();
    if (ending == 3) both.near->stream().Shutdown();
    for (int i = 0; i < 5; ++i) both.Turn();
    CHECK_EQUAL(both.far->is_closed, ending >= 2);
  }
  CHECK_EQUAL(OpenDescriptors(), before);
}

// Everything that a connection carries, both ways at once, in random order and sizes.
void FramesSinksAndBulkGoThroughTheRing() {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    test::Random random(seed);
    TwoFramed both;
    both.Switch();
    FramedFixture* const sides[] = {both.near.get(), both.far.get()};
    Bytes bulk[2];
    Bytes target[2];
    std::vector<Frame> expected[2];
    std::vector<Bytes> large;  // By token.
    large.reserve(100);
    for (int side = 0; side < 2; ++side) {
      bulk[side] = RandomBytes(random, 1 + random.Below(1'500'000));
      target[side].resize(bulk[side].size());
      CHECK(sides[1 - side]->stream().SetSink(7, target[side]));
      sides[side]->stream().SendBulk(7, bulk[side], 1000);
    }
    for (int i = 0; i < 60; ++i) {
      const size_t side = random.Below(2);
      const bool is_large = random.Below(10) == 0;
      const Frame frame{FrameType::kMessage, static_cast<uint32_t>(100 + i),
                        RandomBytes(random, random.Below(is_large ? 300'000 : 2000))};
      expected[side].push_back(frame);
      if (is_large) {
        large.push_back(frame.payload);
        Bytes header = Unsealed(frame);
        sides[side]->stream().SendLarge(header.data(), large.back(),
                                        static_cast<uint32_t>(large.size()));
      } else {
        Say(*sides[side], frame);
      }
      if (random.Below(3) == 0) both.Turn();
      if (random.Below(8) == 0) {
        sides[random.Below(2)]->stream().Pause();
      } else {
        for (FramedFixture* with : sides) with->stream().Resume();
      }
    }
    for (FramedFixture* with : sides) with->stream().Resume();
    const auto landed = [](const FramedFixture& with) {
      size_t bytes = 0;
      for (const Event& event : with.events) {
        if (event.kind() == EventKind::kSink) bytes = event.descriptor.offset;
      }
      return bytes;
    };
    Until([&] { both.Turn(); },
          [&] {
            return FramesOf(both.far->events).size() == expected[0].size() &&
                   FramesOf(both.near->events).size() == expected[1].size() &&
                   landed(*both.far) == bulk[0].size() && landed(*both.near) == bulk[1].size();
          });
    CHECK(FramesOf(both.far->events) == expected[0]);
    CHECK(FramesOf(both.near->events) == expected[1]);
    CHECK(target[0] == bulk[0] && target[1] == bulk[1]);
  }
}

// One side of a transfer between threads: sends `to_send_bytes` in frames of random sizes and takes
// as many, and sleeps whenever it may. A wake-up that is lost ends the program.
void Transfer(FramedFixture& with, SocketEnd& link, uint64_t seed, size_t to_send_bytes) {
  constexpr size_t kFrameMost = 40'000;
  constexpr size_t kQueuedMost = 256 << 10;
  test::Random random(seed);
  uint32_t next_sent = 1;
  uint32_t next_heard = 1;
  size_t sent_bytes = 0;
  size_t heard_bytes = 0;
  bool has_heard_end = false;
  with.on_event = [&](const Event& event) {
    if (event.kind() != EventKind::kFrame && event.kind() != EventKind::kLargeFrame) return;
    CHECK_EQUAL(event.descriptor.stream_id, next_heard);
    ++next_heard;
    heard_bytes += event.payload.size();
    has_heard_end = event.descriptor.type == static_cast<uint8_t>(FrameType::kGoodbye);
  };
  bool has_sent_end = false;
  for (;;) {
    while (with.stream().queued_bytes() < kQueuedMost && !has_sent_end) {
      has_sent_end = sent_bytes >= to_send_bytes;
      const size_t size = has_sent_end            ? 0
                          : random.Below(20) == 0 ? random.Below(kFrameMost)
                                                  : random.Below(500);
      const FrameType type = has_sent_end ? FrameType::kGoodbye : FrameType::kMessage;
      Say(with, {type, next_sent++, Bytes(size, static_cast<uint8_t>(next_sent))});
      sent_bytes += size;
    }
    const bool has_more = with.Flush();
    if (has_heard_end && has_sent_end && with.stream().queued_bytes() == 0) break;
    const bool has_said_all = has_sent_end || with.stream().queued_bytes() >= kQueuedMost;
    const bool may_sleep =
        !has_more && has_said_all && !with.batch().has_events() && !with.loop().PrepareSleep();
    link.timeout_ms = may_sleep ? kLostMs : 0;
    link.Wait();
    CHECK(!may_sleep || link.ready_count > 0);
    with.loop().Poll();
    with.Deliver();
    CHECK(!with.is_closed);
    with.events.clear();
  }
  CHECK(heard_bytes >= to_send_bytes);
}

void TwoThreadsLoseNoByteAndNoWakeUp() {
  constexpr size_t kBytes = 32 << 20;  // Each way.
  TwoFramed both;
  both.Switch();
  std::thread far([&] { Transfer(*both.far, *both.far_link, 1, kBytes); });
  Transfer(*both.near, *both.near_link, 2, kBytes);
  far.join();
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"bytes go both ways", BytesGoBothWays},
          {"a sleeper is woken once", ASleeperIsWokenOnce},
          {"a sender waits for room and goes on", ASenderWaitsForRoomAndGoesOn},
          {"receiving is stopped and goes on", ReceivingIsStoppedAndGoesOn},
          {"without room it stays awake", WithoutRoomItStaysAwake},
          {"a poll receives a part", APollReceivesAPart},
          {"a sender that waits hears that nobody reads", ASenderThatWaitsHearsThatNobodyReads},
          {"a sender hears only when the ring is full", ASenderHearsOnlyWhenTheRingIsFull},
          {"the end comes behind the bytes", TheEndComesBehindTheBytes},
          {"the end waits while receiving is stopped", TheEndWaitsWhileReceivingIsStopped},
          {"an empty ring ends at once", AnEmptyRingEndsAtOnce},
          {"counts that cannot be end one direction each", CountsThatCannotBeEndOneDirectionEach},
          {"a sender that waits finds a count that cannot be",
           ASenderThatWaitsFindsACountThatCannotBe},
          {"scribbled flags and idle wake-ups do no harm", ScribbledFlagsAndIdleWakeUpsDoNoHarm},
          {"it may be closed wherever it calls", ItMayBeClosedWhereverItCalls},
          {"a descriptor that cannot be watched is told at once",
           ADescriptorThatCannotBeWatchedIsToldAtOnce},
          {"frames keep their order through the switch", FramesKeepTheirOrderThroughTheSwitch},
          {"a switch out of place is an error", ASwitchOutOfPlaceIsAnError},
          {"a byte in the socket after the switch is an error",
           AByteInTheSocketAfterTheSwitchIsAnError},
          {"the pair is taken once and kept once used", ThePairIsTakenOnceAndKeptOnceUsed},
          {"bulk under way keeps the switch back", BulkUnderWayKeepsTheSwitchBack},
          {"a framed sender waits for room in the ring", ASenderWaitsForRoomInTheRingAndGoesOn},
          {"what was said before the end is heard", WhatWasSaidBeforeTheEndIsHeard},
          {"what was said before the end is heard whatever JS does",
           WhatWasSaidBeforeTheEndIsHeardWhateverJsDoes},
          {"what was said is heard also when nothing can be sent",
           WhatWasSaidIsHeardAlsoWhenNothingCanBeSent},
          {"a paused stream hears that nothing can be sent",
           APausedStreamHearsThatNothingCanBeSent},
          {"a frame cut off by the end is an error", AFrameCutOffByTheEndIsAnError},
          {"spoiled bytes end the connection", SpoiledBytesEndTheConnection},
          {"counts that cannot be end the connection", CountsThatCannotBeEndTheConnection},
          {"both end in order", BothEndInOrder},
          {"nothing stays open", NothingStaysOpen},
          {"frames, sinks and bulk go through the ring", FramesSinksAndBulkGoThroughTheRing},
          {"two threads lose no byte and no wake-up", TwoThreadsLoseNoByteAndNoWakeUp},
      });
}
