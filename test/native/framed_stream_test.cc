#include "socket/framed_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/crc32c.h"
#include "frame/frame_decoder.h"
#include "frame/frame_encoder.h"
#include "framed_fixture.h"
#include "framed_peer.h"
#include "test.h"

namespace paipai {
namespace {

using test::Bytes;
using test::Event;
using test::FakeLink;
using test::Frame;
using test::FramedFixture;
using test::FramesOf;
using test::Link;
using test::PeerReader;
using test::PeerWriter;
using test::RandomBytes;
using test::SocketLink;
using test::Unsealed;
using test::UringLink;

constexpr int kTurnsMax = 200'000;

// Writes `wire` in pieces of `piece(…)` bytes, with turns between, until it is taken or the stream
// has ended.
template <class Piece>
void Write(Link& link, FramedFixture& with, ByteSpan wire, Piece piece) {
  for (int turns = 0; !wire.empty() && !with.is_closed; ++turns) {
    CHECK(turns < kTurnsMax);
    const size_t size = std::min<size_t>(wire.size(), piece());
    // A copy of its own, so that a read beyond it is seen.
    const Bytes copy(wire.begin(), wire.begin() + static_cast<ptrdiff_t>(size));
    wire = wire.subspan(link.PeerWrites(copy));
    with.Turn();
  }
}

void WriteAll(Link& link, FramedFixture& with, ByteSpan wire) {
  Write(link, with, wire, [] { return size_t{1} << 16; });
}

template <class Done>
void TurnUntil(FramedFixture& with, Done done) {
  for (int turns = 0; !done(); ++turns) {
    CHECK(turns < kTurnsMax);
    with.Turn();
  }
}

void EndAndWait(Link& link, FramedFixture& with) {
  if (!with.is_closed) link.PeerEnds();
  TurnUntil(with, [&] { return with.End() != nullptr; });
  CHECK(with.is_closed && with.stream().fd() < 0);
  CHECK_EQUAL(with.large_in_hand, 0);
  CHECK_EQUAL(with.loop().pool().blocks_in_use(), 0);
}

// Receiving.

void FramesOfEverySizeArrive(Link& link) {
  test::Random random(1);
  PeerWriter peer;
  std::vector<Frame> frames;
  for (const size_t size : {size_t{0}, size_t{1}, kInPlaceBytesMax - 1, kInPlaceBytesMax,
                            kInPlaceBytesMax + 1, kReceiveBytesMax - kFrameHeaderBytes,
                            kReceiveBytesMax, kReceiveBytesMax + 1, size_t{300'000}, size_t{5}}) {
    frames.push_back({FrameType::kRequest, 9, RandomBytes(random, size)});
    peer.Add(frames.back());
  }
  FramedFixture with(link);
  WriteAll(link, with, peer.wire);
  EndAndWait(link, with);
  CHECK_EQUAL(with.End()->result(), 0);
  CHECK(FramesOf(with.events) == frames);
}

struct SinkTarget {
  Bytes target;
  size_t landed = 0;
  uint32_t crc = 0;
};

// A random conversation in a random cut: frames small and large, some streams with a sink, some
// sinks set only later. The events are those that FrameDecoder sees, and sinks hold what was sent,
// reported before whatever follows on their stream.
void AnyCutReceivesAlike(Link& link, uint64_t seed) {
  test::Random random(seed);
  constexpr uint32_t kStreams = 4;
  PeerWriter peer;
  std::vector<Frame> expected;
  std::map<uint32_t, Bytes> sunk;
  for (uint32_t stream_id = 1; stream_id <= kStreams; ++stream_id) {
    if (random.Below(2) == 0) sunk[stream_id];
  }
  const uint64_t frame_count = 1 + random.Below(40);
  for (uint64_t i = 0; i < frame_count; ++i) {
    Frame frame;
    const uint64_t kind = random.Below(20);
    const size_t size = kind == 0   ? random.Below(200'000)
                        : kind == 1 ? kInPlaceBytesMax - 40 + random.Below(80)
                                    : random.Below(700);
    frame.payload = RandomBytes(random, size);
    frame.stream_id = static_cast<uint32_t>(1 + random.Below(kStreams));
    frame.type = random.Below(2) == 0 ? FrameType::kStreamData : FrameType::kResponse;
    peer.Add(frame);
    const auto sink = sunk.find(frame.stream_id);
    if (frame.type == FrameType::kStreamData && sink != sunk.end() && size > 0) {
      sink->second.insert(sink->second.end(), frame.payload.begin(), frame.payload.end());
    } else {
      expected.push_back(frame);
    }
  }

  FramedFixture with(link);
  std::map<uint32_t, SinkTarget> targets;
  std::map<uint32_t, size_t> sent_before;  // Of each sink, by the time of the frame now delivered.
  for (const auto& [stream_id, bytes] : sunk) {
    SinkTarget& sink = targets[stream_id];
    sink.target.resize(bytes.size() + random.Below(2));
    CHECK(with.stream().SetSink(stream_id, sink.target));
    CHECK(!with.stream().SetSink(stream_id, sink.target));
  }
  with.on_event = [&](const Event& event) {
    if (event.kind() != EventKind::kSink) return;
    SinkTarget& sink = targets.at(event.descriptor.stream_id);
    CHECK(event.descriptor.offset >= sink.landed && event.descriptor.offset <= sink.target.size());
    sink.landed = event.descriptor.offset;
    sink.crc = event.descriptor.extra;
    CHECK_EQUAL(sink.crc, Crc32c({sink.target.data(), sink.landed}));
  };
  const size_t piece_max = random.Below(2) == 0 ? 200'000 : 50;
  Write(link, with, peer.wire, [&] { return size_t{1} + random.Below(piece_max); });
  EndAndWait(link, with);
  CHECK_EQUAL(with.End()->result(), 0);
  CHECK(FramesOf(with.events) == expected);
  for (const auto& [stream_id, bytes] : sunk) {
    const SinkTarget& sink = targets.at(stream_id);
    CHECK_EQUAL(sink.landed, bytes.size());
    CHECK(std::equal(bytes.begin(), bytes.end(), sink.target.begin()));
  }
}

template <class SomeLink>
void AnyCutReceivesAlikeOn() {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SomeLink link;
    if (!link.is_here()) return;
    AnyCutReceivesAlike(link, seed);
  }
}

// The end of a stream comes after the report of all that landed in its sink.
void ASinkIsReportedBeforeItsEnd(Link& link) {
  PeerWriter peer;
  for (int i = 0; i < 10; ++i) peer.Add({FrameType::kStreamData, 3, Bytes(1000, uint8_t(i))});
  peer.Add({FrameType::kStreamEnd, 3, {}});
  FramedFixture with(link);
  Bytes target(10'000);
  CHECK(with.stream().SetSink(3, target));
  size_t landed = 0;
  with.on_event = [&](const Event& event) {
    if (event.kind() == EventKind::kSink) landed = event.descriptor.offset;
    if (event.kind() != EventKind::kFrame) return;
    CHECK_EQUAL(landed, 10'000);
    CHECK(with.stream().ClearSink(3));
    CHECK(!with.stream().ClearSink(3));
  };
  WriteAll(link, with, peer.wire);
  EndAndWait(link, with);
  CHECK_EQUAL(FramesOf(with.events).size(), 1);
  for (size_t i = 0; i < target.size(); ++i) CHECK_EQUAL(target[i], i / 1000);
}

// One byte too many ends the connection; what had landed before is told.
void ASinkOverflows(Link& link) {
  for (const size_t size : {size_t{1}, size_t{500}, size_t{100'000}}) {
    FakeLink own_link;
    Link& here = size == 1 ? link : own_link;
    PeerWriter peer;
    peer.Add({FrameType::kStreamData, 3, Bytes(100, 1)});
    peer.Add({FrameType::kStreamData, 3, Bytes(size, 2)});
    FramedFixture with(here);
    Bytes target(100 + size, 7);
    // The last byte is not part of the sink.
    CHECK(with.stream().SetSink(3, MutableByteSpan(target).first(99 + size)));
    WriteAll(here, with, peer.wire);
    EndAndWait(here, with);
    CHECK_EQUAL(with.End()->result(), Error::Of(ErrorCode::SINK_OVERFLOW).result());
    CHECK_EQUAL(with.events.size(), 2);
    CHECK(with.events[0].kind() == EventKind::kSink && with.events[0].descriptor.offset == 100);
    CHECK(std::all_of(target.begin() + 100, target.end(), [](uint8_t byte) { return byte == 7; }));
  }
}

// A sender that waits for credit gets it for what has landed, though the sink is far from full.
void ASinkIsReportedWhenNothingMoreCame(Link& link) {
  PeerWriter peer;
  peer.Add({FrameType::kStreamData, 3, Bytes(8192, 1)});
  FramedFixture with(link);
  Bytes target(1'000'000);
  CHECK(with.stream().SetSink(3, target));
  size_t landed = 0;
  with.on_event = [&](const Event& event) {
    if (event.kind() == EventKind::kSink) landed = event.descriptor.offset;
  };
  WriteAll(link, with, peer.wire);
  TurnUntil(with, [&] { return landed == 8192; });
}

// A sink cleared in the middle of a payload: its memory is not touched any more, and the stream of
// frames goes on behind.
void ASinkIsClearedInMidPayload() {
  for (const bool again : {false, true}) {
    FakeLink link;
    FramedFixture with(link);
    auto target = std::make_unique<Bytes>(200'000);
    CHECK(with.stream().SetSink(3, *target));
    PeerWriter peer;
    peer.Add({FrameType::kStreamData, 3, Bytes(150'000, 1)});
    peer.Add({FrameType::kPing, 0, Bytes(5, 2)});
    peer.Add({FrameType::kStreamData, 3, Bytes(40'000, 3)});
    const size_t cut = 70'000;
    WriteAll(link, with, ByteSpan(peer.wire).first(cut));
    CHECK(with.stream().ClearSink(3));
    target.reset();  // ASan sees whoever still writes there.
    Bytes other(40'000);
    if (again) CHECK(with.stream().SetSink(3, other));
    WriteAll(link, with, ByteSpan(peer.wire).subspan(cut));
    EndAndWait(link, with);
    CHECK_EQUAL(with.End()->result(), 0);
    const std::vector<Frame> frames = FramesOf(with.events);
    CHECK_EQUAL(frames.size(), again ? 1 : 2);
    CHECK(frames[0].type == FrameType::kPing);
    if (again) CHECK(other == Bytes(40'000, 3));
  }
}

// What nobody wants any more is checked all the same.
void AFlippedBitInAPayloadThrownAway() {
  FakeLink link;
  FramedFixture with(link);
  Bytes target(150'000);
  CHECK(with.stream().SetSink(3, target));
  PeerWriter peer;
  peer.Add({FrameType::kStreamData, 3, Bytes(150'000, 1)});
  const size_t cut = 70'000;
  WriteAll(link, with, ByteSpan(peer.wire).first(cut));
  CHECK(with.stream().ClearSink(3));
  peer.wire[cut + 1000] ^= 4;
  WriteAll(link, with, ByteSpan(peer.wire).subspan(cut));
  EndAndWait(link, with);
  CHECK_EQUAL(with.End()->result(), Error::Of(ErrorCode::FRAME_PAYLOAD_CHECKSUM).result());
}

// A sink set while the beginning of a frame for it waits takes that frame.
void ASinkMayComeLate() {
  for (size_t cut = 0; cut <= kFrameHeaderBytes + 50; ++cut) {
    FakeLink link;
    FramedFixture with(link);
    PeerWriter peer;
    peer.Add({FrameType::kStreamData, 3, Bytes(100, 4)});
    WriteAll(link, with, ByteSpan(peer.wire).first(cut));
    Bytes target(100);
    CHECK(with.stream().SetSink(3, target));
    WriteAll(link, with, ByteSpan(peer.wire).subspan(cut));
    EndAndWait(link, with);
    CHECK(target == Bytes(100, 4));
    CHECK(FramesOf(with.events).empty());
  }
}

// What FrameDecoder makes of the same bytes.
struct Oracle {
  std::vector<Frame> frames;
  int32_t result = 0;

  explicit Oracle(ByteSpan wire) {
    FrameDecoder decoder;
    const Result<void> pushed = decoder.Push(wire, *this);
    const Result<void> finished = decoder.Finish();
    result = !pushed ? pushed.error().result() : !finished ? finished.error().result() : 0;
  }
  void OnFrame(const FrameHeader& header, ByteSpan payload) {
    frames.push_back({header.type, header.stream_id, Bytes(payload.begin(), payload.end())});
  }
};

// One flipped bit anywhere, or an end anywhere: the frames before come, then the reason, nothing
// else.
void ABadByteEndsTheConnection(Link& link, uint64_t seed) {
  test::Random random(seed);
  PeerWriter peer;
  for (int i = 0; i < 6; ++i) {
    const size_t size = random.Below(4) == 0 ? random.Below(60'000) : random.Below(200);
    peer.Add({FrameType::kMessage, 1, RandomBytes(random, size)});
  }
  if (random.Below(3) == 0) {
    peer.wire.resize(random.Below(peer.wire.size()));
  } else {
    peer.wire[random.Below(peer.wire.size())] ^= static_cast<uint8_t>(1u << random.Below(8));
  }
  const Oracle oracle(peer.wire);
  FramedFixture with(link);
  const size_t piece_max = random.Below(2) == 0 ? 100'000 : 300;
  Write(link, with, peer.wire, [&] { return size_t{1} + random.Below(piece_max); });
  EndAndWait(link, with);
  CHECK_EQUAL(with.End()->result(), oracle.result);
  CHECK(FramesOf(with.events) == oracle.frames);
}

template <class SomeLink>
void ABadByteEndsTheConnectionOn() {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SomeLink link;
    if (!link.is_here()) return;
    ABadByteEndsTheConnection(link, seed);
  }
}

void ASkippedSequenceNumberEndsTheConnection() {
  for (const size_t size : {size_t{1}, size_t{100'000}}) {
    FakeLink link;
    FramedFixture with(link);
    PeerWriter peer;
    peer.Add({FrameType::kMessage, 1, {}});
    peer.Skip();
    peer.Add({FrameType::kMessage, 1, Bytes(size)});
    WriteAll(link, with, peer.wire);
    EndAndWait(link, with);
    CHECK_EQUAL(with.End()->result(), Error::Of(ErrorCode::FRAME_SEQUENCE).result());
    CHECK_EQUAL(FramesOf(with.events).size(), 1);
  }
}

// A length of 4 GiB with a right checksum: refused, nothing allocated.
void AFrameAboveTheLimitIsRefused() {
  for (const uint32_t size : {4097u, 0xffffffffu}) {
    FakeLink link;
    FramedFixture with(link, 4096);
    with.has_large_memory = false;
    FrameHeader header;
    header.type = FrameType::kMessage;
    header.payload_bytes = size;
    Bytes wire(kFrameHeaderBytes);
    WriteFrameHeader(wire.data(), header);
    WriteAll(link, with, wire);
    EndAndWait(link, with);
    CHECK_EQUAL(with.End()->result(), Error::Of(ErrorCode::FRAME_TOO_LARGE).result());
  }
}

void NoMemoryForALargePayloadEndsTheConnection() {
  FakeLink link;
  FramedFixture with(link);
  with.has_large_memory = false;
  PeerWriter peer;
  peer.Add({FrameType::kMessage, 1, Bytes(10)});
  peer.Add({FrameType::kMessage, 1, Bytes(100'000)});
  WriteAll(link, with, peer.wire);
  EndAndWait(link, with);
  CHECK_EQUAL(with.End()->result(), Error::Of(ErrorCode::POOL_EXHAUSTED).result());
  CHECK_EQUAL(FramesOf(with.events).size(), 1);
}

// An inbox that is full stops the receiving, not the connection; a payload of its own goes on
// meanwhile.
void AFullInboxWaitsForTheDelivery() {
  FakeLink link;
  FramedFixture with(link);
  PeerWriter peer;
  std::vector<Frame> frames;
  test::Random random(4);
  for (int i = 0; i < 100; ++i) {
    frames.push_back({FrameType::kMessage, 1, RandomBytes(random, 15'000)});
    peer.Add(frames.back());
  }
  ByteSpan wire = peer.wire;
  size_t taken;
  while ((taken = link.PeerWrites(wire.first(std::min<size_t>(wire.size(), 60'000)))) > 0) {
    wire = wire.subspan(taken);
    link.driver().Reap();
  }
  CHECK(!wire.empty());  // 1.5 MB do not fit.
  with.Deliver();
  WriteAll(link, with, wire);
  EndAndWait(link, with);
  CHECK(FramesOf(with.events) == frames);
}

// A batch without free descriptors takes no frame more, also none that needs no inbox.
void FullDescriptorsWaitForTheDelivery() {
  for (const bool sinks : {false, true}) {
    FakeLink link;
    FramedFixture with(link);
    Bytes target(100'000);
    if (sinks) CHECK(with.stream().SetSink(3, target));
    PeerWriter peer;
    peer.Add({FrameType::kStreamData, 3, Bytes(100'000, 6)});
    peer.Add({FrameType::kStreamEnd, 3, {}});
    CHECK_EQUAL(link.PeerWrites(ByteSpan(peer.wire).first(1000)), 1000);
    link.driver().Reap();
    for (size_t i = 0; i < kDescriptorsMax + 10; ++i) {
      Descriptor event;
      event.connection = FramedFixture::kId;
      event.kind = EventKind::kDrain;
      with.batch().AddEvent(event);
    }
    ByteSpan rest = ByteSpan(peer.wire).subspan(1000);
    rest = rest.subspan(link.PeerWrites(rest));
    link.driver().Reap();
    WriteAll(link, with, rest);
    EndAndWait(link, with);
    CHECK_EQUAL(with.End()->result(), 0);
    CHECK(FramesOf(with.events).back().type == FrameType::kStreamEnd);
    if (sinks) CHECK(target == Bytes(100'000, 6));
  }
}

void APausedStreamReceivesNothing(Link& link) {
  FramedFixture with(link);
  PeerWriter peer;
  peer.Add({FrameType::kMessage, 1, Bytes(10)});
  with.stream().Pause();
  const size_t early = link.PeerWrites(peer.wire);
  for (int i = 0; i < 3; ++i) with.Turn();
  CHECK(with.events.empty());
  with.stream().Resume();
  WriteAll(link, with, ByteSpan(peer.wire).subspan(early));
  TurnUntil(with, [&] { return !with.events.empty(); });
  EndAndWait(link, with);
  CHECK_EQUAL(FramesOf(with.events).size(), 1);
}

// Sending.

void FramesLeaveInOrder(Link& link) {
  test::Random random(2);
  FramedFixture with(link);
  std::vector<Frame> frames;
  std::vector<std::unique_ptr<Bytes>> kept;
  uint32_t token = 1;
  for (int i = 0; i < 60; ++i) {
    const bool is_large = random.Below(4) == 0;
    frames.push_back({FrameType::kResponse, 5,
                      RandomBytes(random, 1 + random.Below(is_large ? 100'000 : 9'000))});
    Bytes bytes = Unsealed(frames.back());
    if (is_large) {
      kept.push_back(std::make_unique<Bytes>(frames.back().payload));
      with.stream().SendLarge(bytes.data(), *kept.back(), token++);
    } else {
      with.stream().SendFrames(bytes);
      with.stream().Settle();
      std::fill(bytes.begin(), bytes.end(), uint8_t{0xee});
    }
  }
  PeerReader peer;
  TurnUntil(with, [&] {
    peer.TakeAll(link);
    return peer.frames.size() == frames.size();
  });
  CHECK(peer.frames == frames);
  with.Turn();
  uint32_t next = 1;
  for (const Event& event : with.events) {
    if (event.kind() == EventKind::kSent) CHECK_EQUAL(event.descriptor.extra, next++);
  }
  CHECK_EQUAL(next, token);
  CHECK_EQUAL(with.stream().queued_bytes(), 0);
  EndAndWait(link, with);
}

// Frames sent during a bulk transfer get through it; both arrive whole.
void FramesOvertakeBulk(Link& link) {
  test::Random random(3);
  FramedFixture with(link);
  const Bytes bulk = RandomBytes(random, 3'000'000);
  with.stream().SendBulk(7, bulk, 99);
  PeerReader peer;
  size_t pings = 0;
  bool sent = false;
  with.on_event = [&](const Event& event) { sent = sent || event.kind() == EventKind::kSent; };
  TurnUntil(with, [&] {
    if (pings < 20) {
      Bytes ping = Unsealed({FrameType::kPing, 0, Bytes(8)});
      with.stream().SendFrames(ping);
      with.stream().Settle();
      ++pings;
    }
    peer.Take(link.PeerReads(100'000));
    return sent && with.stream().queued_bytes() == 0;
  });
  peer.TakeAll(link);
  with.Turn();
  peer.TakeAll(link);
  Bytes received;
  size_t pings_received = 0, last_ping_at = 0;
  for (size_t i = 0; i < peer.frames.size(); ++i) {
    if (peer.frames[i].type == FrameType::kPing) {
      ++pings_received;
      last_ping_at = i;
    } else {
      received.insert(received.end(), peer.frames[i].payload.begin(), peer.frames[i].payload.end());
    }
  }
  CHECK(received == bulk);
  CHECK_EQUAL(pings_received, pings);
  CHECK(last_ping_at + 1 < peer.frames.size());
  EndAndWait(link, with);
}

// Bulk that the kernel holds is overtaken by nothing, so it is given little ahead of time.
void BulkKeepsWhatTheKernelHoldsShort() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  CHECK_EQUAL(bind(listener, raw, size), 0);
  CHECK_EQUAL(listen(listener, 1), 0);
  CHECK_EQUAL(getsockname(listener, raw, &size), 0);
  const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_EQUAL(connect(peer, raw, size), 0);
  const int own = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  close(listener);
  const auto unsent_max = [own] {
    uint32_t bytes = 0;
    socklen_t length = sizeof(bytes);
    CHECK_EQUAL(getsockopt(own, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, &length), 0);
    return bytes;
  };
  SocketLink link(own, peer);
  FramedFixture with(link);
  const uint32_t before = unsent_max();
  const Bytes bulk(1);
  const Bytes message(1);
  const Bytes header = Unsealed({FrameType::kMessage, 0, message});
  with.stream().SendLarge(header.data(), message, 1);
  CHECK_EQUAL(unsent_max(), before);
  with.stream().SendBulk(7, bulk, 2);
  CHECK(unsent_max() > 0 && unsent_max() <= uint32_t{128} << 10);
  with.stream().Close();
}

// Above the high mark, then below the low one, in whatever turn each happens: one drain event.
void DrainFollowsAHighQueue(Link& link) {
  FramedFixture with(link);
  const Bytes bulk(2'000'000);
  with.stream().SendBulk(7, bulk, 1);
  CHECK(with.stream().queued_bytes() > bulk.size());
  PeerReader peer;
  size_t drains = 0;
  with.on_event = [&](const Event& event) {
    drains += event.kind() == EventKind::kDrain ? 1u : 0u;
  };
  TurnUntil(with, [&] {
    CHECK(drains == 0 || with.stream().queued_bytes() < 300'000);
    peer.TakeAll(link);
    return with.stream().queued_bytes() == 0;
  });
  with.Turn();
  CHECK_EQUAL(drains, 1);
  EndAndWait(link, with);
}

// The same when the kernel takes at once whatever it is given, which is a part in each turn: what
// comes meanwhile is not to wait.
void DrainFollowsAlsoWhenItLeavesAtOnce() {
  FakeLink link(16 << 20);
  FramedFixture with(link);
  const Bytes small(1);
  const Bytes bulk(2'000'000);
  with.stream().SendBulk(7, small, 1);
  with.Flush();  // Nothing may leave yet: a send waits.
  CHECK(with.stream().queued_bytes() > 0);
  with.stream().SendBulk(7, bulk, 2);
  CHECK(with.stream().queued_bytes() > bulk.size());
  link.Wait();
  CHECK(with.stream().queued_bytes() > bulk.size() / 2);
  TurnUntil(with, [&] { return with.stream().queued_bytes() == 0; });
  with.Turn();
  const bool drained = std::any_of(with.events.begin(), with.events.end(), [](const Event& event) {
    return event.kind() == EventKind::kDrain;
  });
  CHECK(drained);
  EndAndWait(link, with);
}

// A peer that never reads: everything waits, bounded by what was queued, and closing lets go of it.
void APeerThatNeverReads(Link& link) {
  FramedFixture with(link);
  const Bytes bulk(5'000'000);
  with.stream().SendBulk(7, bulk, 1);
  for (int i = 0; i < 20; ++i) {
    Bytes frame = Unsealed({FrameType::kMessage, 1, Bytes(10'000)});
    with.stream().SendFrames(frame);
    with.Turn();
  }
  CHECK(with.stream().queued_bytes() > 3'000'000);
  CHECK(with.loop().pool().blocks_in_use() > 0);
  with.stream().Close();
  with.stream().Close();
  CHECK_EQUAL(with.stream().queued_bytes(), 0);
  CHECK_EQUAL(with.loop().pool().blocks_in_use(), 0);
  for (int i = 0; i < 3; ++i) with.Turn();
  CHECK(with.events.empty());  // Silently.
  CHECK(!with.is_closed);
  // What comes too late is ignored.
  with.stream().SendBulk(7, bulk, 2);
  Bytes frame = Unsealed({FrameType::kMessage, 1, {}});
  with.stream().SendFrames(frame);
  with.stream().Shutdown();
  with.stream().Resume();
  with.Turn();
  CHECK(with.events.empty());
}

void TheSendPoolRunsOut() {
  FakeLink link(0);
  FramedFixture with(link);
  std::vector<Buffer> hoard;
  hoard.reserve(kPoolBlocksMax);
  // Blocks are mapped but never touched.
  while (Buffer block = with.loop().pool().Acquire()) hoard.push_back(std::move(block));
  Bytes frame = Unsealed({FrameType::kMessage, 1, Bytes(10)});
  with.stream().SendFrames(frame);
  with.Turn();
  with.Turn();
  CHECK(with.End() != nullptr);
  CHECK_EQUAL(with.End()->result(), Error::Of(ErrorCode::POOL_EXHAUSTED).result());
}

// Ends.

// The peer has ended but still reads: it gets what is queued, then the end.
void HalfClosedWithDataQueued(Link& link) {
  FramedFixture with(link);
  test::Random random(5);
  const Bytes bulk = RandomBytes(random, 2'000'000);
  with.stream().SendBulk(7, bulk, 1);
  with.Turn();
  link.PeerEnds();
  PeerReader peer;
  TurnUntil(with, [&] {
    peer.Take(link.PeerReads(50'000));
    return with.End() != nullptr;
  });
  peer.TakeAll(link);
  CHECK_EQUAL(with.End()->result(), 0);
  size_t received = 0;
  for (const Frame& frame : peer.frames) received += frame.payload.size();
  CHECK_EQUAL(received, bulk.size());
  CHECK(link.PeerSawEnd());
}

void ShutdownSendsEverythingFirst(Link& link) {
  FramedFixture with(link);
  const Bytes bulk(1'000'000, 3);
  with.stream().SendBulk(7, bulk, 1);
  with.stream().Shutdown();
  with.stream().Shutdown();
  PeerReader peer;
  TurnUntil(with, [&] {
    peer.Take(link.PeerReads(50'000));
    return with.stream().queued_bytes() == 0;
  });
  TurnUntil(with, [&] {
    peer.TakeAll(link);
    return link.PeerSawEnd();
  });
  CHECK(!with.is_closed);  // The peer may still have something to say.
  PeerWriter writer;
  writer.Add({FrameType::kMessage, 1, Bytes(3)});
  WriteAll(link, with, writer.wire);
  EndAndWait(link, with);
  CHECK_EQUAL(with.End()->result(), 0);
  CHECK_EQUAL(FramesOf(with.events).size(), 1);
  CHECK(peer.decoder.Finish().has_value());
}

// Closing from inside any event of a delivery, with everything under way.
void ClosedFromInsideADelivery() {
  for (size_t close_at = 0; close_at < 9; ++close_at) {
    FakeLink link;
    FramedFixture with(link);
    Bytes target(200'000);
    CHECK(with.stream().SetSink(3, target));
    const Bytes bulk(3'000'000);
    with.stream().SendBulk(7, bulk, 1);
    PeerWriter peer;
    for (int i = 0; i < 4; ++i) {
      peer.Add({FrameType::kMessage, 1, Bytes(10)});
      peer.Add({FrameType::kStreamData, 3, Bytes(50'000)});
      peer.Add({FrameType::kMessage, 1, Bytes(50'000)});
    }
    size_t seen = 0;
    with.on_event = [&](const Event&) {
      if (seen++ != close_at) return;
      with.stream().Close();
      with.is_closed = true;
    };
    WriteAll(link, with, peer.wire);
    for (int i = 0; i < 3; ++i) with.Turn();
    CHECK(with.is_closed);
    CHECK(with.stream().fd() < 0);
    CHECK_EQUAL(with.large_in_hand, 0);
    CHECK_EQUAL(with.loop().pool().blocks_in_use(), 0);
  }
}

// The socket fails in the middle of whatever: the reason comes, once.
void AFailureInTheMiddle() {
  for (const bool while_sending : {false, true}) {
    FakeLink link;
    FramedFixture with(link);
    PeerWriter peer;
    peer.Add({FrameType::kMessage, 1, Bytes(100'000)});
    WriteAll(link, with, ByteSpan(peer.wire).first(1000));
    const Bytes bulk(3'000'000);
    with.stream().SendBulk(7, bulk, 1);
    with.Turn();
    CHECK_EQUAL(with.large_in_hand, 1);
    const int32_t result = while_sending ? -ETIMEDOUT : -ECONNRESET;
    CHECK(while_sending ? link.fake().EndWriting(0, result) : link.fake().EndReceive(0, result));
    with.Turn();
    CHECK(with.End() != nullptr);
    CHECK_EQUAL(with.End()->result(), result);
    CHECK_EQUAL(with.large_in_hand, 0);
    CHECK_EQUAL(with.events.size(), 1);
  }
}

// A peer that says why and goes: its last frame is read although nothing can be sent to it any
// more.
void LastWordsAreHeard() {
  for (const int32_t read_result : {0, -ECONNRESET}) {
    FakeLink link;
    FramedFixture with(link);
    const Bytes bulk(3'000'000);
    with.stream().SendBulk(7, bulk, 1);
    with.Turn();
    CHECK(link.fake().EndWriting(0, -EPIPE));
    with.Turn();
    CHECK(!with.is_closed);
    // Nothing else changes that: neither more to send nor a pause.
    Bytes frame = Unsealed({FrameType::kMessage, 1, Bytes(10)});
    with.stream().SendFrames(frame);
    with.stream().Pause();
    PeerWriter peer;
    peer.Add({FrameType::kGoodbye, 0, Bytes(30)});
    WriteAll(link, with, peer.wire);
    CHECK(link.fake().EndReceive(0, read_result));
    with.Turn();
    CHECK(with.End() != nullptr);
    CHECK_EQUAL(with.End()->result(), -EPIPE);
    CHECK_EQUAL(FramesOf(with.events).size(), 1);
    CHECK_EQUAL(with.loop().pool().blocks_in_use(), 0);
  }
  // Nobody listens: the end comes at once.
  FakeLink link;
  FramedFixture with(link);
  const Bytes bulk(3'000'000);
  with.stream().SendBulk(7, bulk, 1);
  with.stream().Pause();
  with.Turn();
  CHECK(link.fake().EndWriting(0, -EPIPE));
  with.Turn();
  CHECK(with.End() != nullptr);
}

void ADescriptorThatCannotBeWatchedIsClosed() {
  FakeLink link;
  link.fake().attach_errno = ENOMEM;
  std::vector<uint8_t> inbox(kInboxBytes);
  std::vector<Descriptor> descriptors(kDescriptorsMax);
  Loop loop(link.driver());
  InboundBatch batch(inbox, descriptors);
  struct Nobody final : FramedStreamUser {
    uint8_t* OnLargeBegin(size_t) override { return nullptr; }
    uint32_t OnLargeDone() override { return 0; }
    void OnLargeDropped() override {}
    void OnSentToken(uint32_t, uint32_t) override {}
    void OnClosed() override { CHECK(false); }
  } nobody;
  FramedStream stream(loop, batch, nobody, 1, kFrameBytesMaxDefault);
  const int fd = link.TakeDescriptor();
  CHECK(stream.Adopt(fd).error() == Error::System(ENOMEM));
  CHECK(fcntl(fd, F_GETFD) < 0);
}

using LinkCase = void (*)(Link&);

template <LinkCase kCase>
void OnEach() {
  FakeLink fake;
  kCase(fake);
  for (const test::HostedKind kind : test::kHostedKinds) {
    SocketLink link(kind);
    if (link.is_here()) kCase(link);
  }
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"frames of every size arrive", OnEach<FramesOfEverySizeArrive>},
          {"any cut receives alike, fake", AnyCutReceivesAlikeOn<FakeLink>},
          {"any cut receives alike, epoll", AnyCutReceivesAlikeOn<SocketLink>},
          {"any cut receives alike, io_uring", AnyCutReceivesAlikeOn<UringLink>},
          {"a sink is reported before its end", OnEach<ASinkIsReportedBeforeItsEnd>},
          {"a sink is reported when nothing more came", OnEach<ASinkIsReportedWhenNothingMoreCame>},
          {"a sink overflows", OnEach<ASinkOverflows>},
          {"a sink is cleared in mid-payload", ASinkIsClearedInMidPayload},
          {"a flipped bit in a payload thrown away", AFlippedBitInAPayloadThrownAway},
          {"a sink may come late", ASinkMayComeLate},
          {"a bad byte ends the connection, fake", ABadByteEndsTheConnectionOn<FakeLink>},
          {"a bad byte ends the connection, epoll", ABadByteEndsTheConnectionOn<SocketLink>},
          {"a bad byte ends the connection, io_uring", ABadByteEndsTheConnectionOn<UringLink>},
          {"a skipped sequence number ends the connection",
           ASkippedSequenceNumberEndsTheConnection},
          {"a frame above the limit is refused", AFrameAboveTheLimitIsRefused},
          {"no memory for a large payload ends the connection",
           NoMemoryForALargePayloadEndsTheConnection},
          {"a full inbox waits for the delivery", AFullInboxWaitsForTheDelivery},
          {"full descriptors wait for the delivery", FullDescriptorsWaitForTheDelivery},
          {"a paused stream receives nothing", OnEach<APausedStreamReceivesNothing>},
          {"frames leave in order", OnEach<FramesLeaveInOrder>},
          {"frames overtake bulk", OnEach<FramesOvertakeBulk>},
          {"drain follows a high queue", OnEach<DrainFollowsAHighQueue>},
          {"drain follows also when it leaves at once", DrainFollowsAlsoWhenItLeavesAtOnce},
          {"bulk keeps what the kernel holds short", BulkKeepsWhatTheKernelHoldsShort},
          {"a peer that never reads", OnEach<APeerThatNeverReads>},
          {"the send pool runs out", TheSendPoolRunsOut},
          {"half-closed with data queued", OnEach<HalfClosedWithDataQueued>},
          {"shutdown sends everything first", OnEach<ShutdownSendsEverythingFirst>},
          {"closed from inside a delivery", ClosedFromInsideADelivery},
          {"a failure in the middle", AFailureInTheMiddle},
          {"last words are heard", LastWordsAreHeard},
          {"a descriptor that cannot be watched is closed", ADescriptorThatCannotBeWatchedIsClosed},
      });
}
