// The input is a few bytes of choices (seed of the cuts, which streams have sinks and how long they
// are), then the bytes of a connection. However they are cut, a framed stream must deliver what
// FrameDecoder sees of them, sinks must hold what is theirs and no byte more, and the end must come
// once, with the reason.

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "../native/framed_fixture.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "frame/frame_decoder.h"
#include "frame/several.h"
#include "fuzz.h"

namespace paipai {
namespace {

// Above kInPlaceBytesMax, so that payloads get memory of their own.
constexpr uint32_t kFrameBytesMax = 64 << 10;
// Few, so that a run is quick; 1,024 are for events that are no frames.
constexpr size_t kDescriptorsMaxHere = 2048;
constexpr size_t kChoiceBytes = 4;
constexpr uint32_t kSinkStreams = 2;  // Streams 1 and 2 may have sinks.

struct Choices {
  uint32_t seed;
  size_t sink_bytes[kSinkStreams];  // SIZE_MAX: none.

  explicit Choices(const uint8_t* bytes) : seed(Load16(bytes)) {
    for (uint32_t i = 0; i < kSinkStreams; ++i) {
      const uint8_t choice = bytes[2 + i];
      sink_bytes[i] = choice == 0 ? SIZE_MAX : choice == 255 ? size_t{1} << 20 : size_t{choice} * 8;
    }
  }
};

struct Frame {
  FrameType type;
  uint32_t stream_id;
  uint32_t argument;
  uint16_t flags;
  uint32_t name;
  std::vector<uint8_t> payload;
  friend bool operator==(const Frame&, const Frame&) = default;
};

// What should come. The decoder knows frames; sinks, frames of several and SWITCH, which nothing
// here makes way for, are the stream's.
struct Expected {
  std::vector<Frame> frames;
  std::vector<uint8_t> sunk[kSinkStreams];
  int32_t result = 0;
  bool overflowed = false;
  bool refused = false;
  const Choices& choices;

  Expected(ByteSpan bytes, const Choices& choices_in) : choices(choices_in) {
    FrameDecoder decoder(kFrameBytesMax);
    const Result<void> pushed = decoder.Push(bytes, *this);
    const Result<void> finished = decoder.Finish();
    if (refused) return;
    if (!pushed || !finished) result = (pushed ? finished : pushed).error().result();
  }

  void OnFrame(const FrameHeader& header, ByteSpan payload) {
    if (overflowed || refused) return;
    const uint32_t index = header.stream_id - 1;
    // Data with flags or without a byte are for the session to judge.
    const bool sinks = header.type == FrameType::kStreamData && header.flags == 0 &&
                       !payload.empty() && index < kSinkStreams &&
                       choices.sink_bytes[index] != SIZE_MAX;
    if (sinks) {
      std::vector<uint8_t>& sink = sunk[index];
      overflowed = payload.size() > choices.sink_bytes[index] - sink.size();
      if (!overflowed) sink.insert(sink.end(), payload.begin(), payload.end());
      return;
    }
    if (header.type >= FrameType::kRequests) Take(CheckSeveral(payload, kFrameBytesMax));
    if (refused) return;
    frames.push_back({header.type, header.stream_id, header.argument, header.flags, header.name,
                      std::vector<uint8_t>(payload.begin(), payload.end())});
    if (header.type == FrameType::kSwitch) Take(Error::Of(ErrorCode::PROTOCOL));
  }

  void Take(Result<void> checked) {
    if (checked) return;
    refused = true;
    result = checked.error().result();
  }
};

void Check(ByteSpan bytes, const Choices& choices) {
  const Expected expected(bytes, choices);
  test::FakeLink link;
  test::FramedFixture with(link, kFrameBytesMax, kDescriptorsMaxHere);
  std::vector<uint8_t> sinks[kSinkStreams];
  size_t landed[kSinkStreams] = {};
  for (uint32_t i = 0; i < kSinkStreams; ++i) {
    if (choices.sink_bytes[i] == SIZE_MAX) continue;
    sinks[i].resize(choices.sink_bytes[i]);
    FUZZ_CHECK(with.stream().SetSink(i + 1, sinks[i]));
  }
  with.on_event = [&](const test::Event& event) {
    if (event.kind() != EventKind::kSink) return;
    const uint32_t index = event.descriptor.stream_id - 1;
    FUZZ_CHECK(index < kSinkStreams && event.descriptor.offset >= landed[index]);
    landed[index] = event.descriptor.offset;
    FUZZ_CHECK(landed[index] <= sinks[index].size());
    FUZZ_CHECK(event.descriptor.extra == Crc32c({sinks[index].data(), landed[index]}));
  };

  uint32_t seed = choices.seed;
  while (!bytes.empty() && !with.is_closed) {
    seed = seed * 1664525 + 1013904223;
    const size_t longest = (seed & 0x3000000) == 0 ? 40'000 : 40;
    const size_t piece_bytes = std::min(bytes.size(), size_t{1} + (seed >> 8) % longest);
    const std::vector<uint8_t> piece(bytes.begin(),
                                     bytes.begin() + static_cast<ptrdiff_t>(piece_bytes));
    bytes = bytes.subspan(link.PeerWrites(piece));
    link.driver().Reap();
    if ((seed & 0x10000000) == 0) with.Turn();
  }
  if (!with.is_closed) link.PeerEnds();
  for (int i = 0; i < 3; ++i) with.Turn();

  FUZZ_CHECK(with.is_closed && with.End() != nullptr && with.large_in_hand == 0);
  const int32_t result = with.End()->result();
  // A sink that is too short is noticed at the header, before whatever is wrong behind it.
  if (result == Error::Of(ErrorCode::SINK_OVERFLOW).result()) {
    FUZZ_CHECK(expected.overflowed || expected.result != 0);
  } else {
    FUZZ_CHECK(!expected.overflowed && result == expected.result);
  }
  std::vector<Frame> frames;
  size_t end_count = 0;
  for (const test::Event& event : with.events) {
    const Descriptor& told = event.descriptor;
    end_count += told.kind == EventKind::kClosed ? 1u : 0u;
    if (told.kind != EventKind::kFrame && told.kind != EventKind::kLargeFrame) continue;
    frames.push_back({static_cast<FrameType>(told.type), told.stream_id, told.argument, told.flags,
                      told.name, event.payload});
  }
  FUZZ_CHECK(end_count == 1);
  FUZZ_CHECK(frames == expected.frames);
  for (uint32_t i = 0; i < kSinkStreams; ++i) {
    FUZZ_CHECK(landed[i] == expected.sunk[i].size());
    FUZZ_CHECK(std::equal(expected.sunk[i].begin(), expected.sunk[i].end(), sinks[i].begin()));
  }
}

// Makes what looks like frames right, sequence numbers included, as far as it goes: otherwise
// hardly any mutation would get past the first check. Payloads that the bytes do not reach stay cut
// off.
void Mend(MutableByteSpan bytes) {
  for (uint32_t sequence = 0; bytes.size() >= kFrameHeaderBytes; ++sequence) {
    FrameHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.magic = kFrameMagic;
    header.version = kFrameVersion;
    header.sequence = sequence;
    header.payload_bytes %= 3 * kFrameBytesMax / 2;
    const MutableByteSpan rest = bytes.subspan(kFrameHeaderBytes);
    const size_t here = std::min<size_t>(header.payload_bytes, rest.size());
    header.payload_crc = Crc32c(rest.first(here));
    std::memcpy(bytes.data(), &header, sizeof header);
    Store32(bytes.data() + kFrameHeaderCheckedBytes, Crc32c(bytes.first(kFrameHeaderCheckedBytes)));
    bytes = rest.subspan(here);
  }
}

}  // namespace
}  // namespace paipai

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < paipai::kChoiceBytes) return 0;
  const paipai::Choices choices(data);
  std::vector<uint8_t> bytes(data + paipai::kChoiceBytes, data + size);
  paipai::Check(bytes, choices);
  paipai::Mend(bytes);
  paipai::Check(bytes, choices);
  return 0;
}
