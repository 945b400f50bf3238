// The input is one byte that seeds the cuts, then the bytes of a connection. However they are cut,
// the decoder must see the same frames and end in the same state, and what it accepts must encode
// to itself.

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "frame/frame_decoder.h"
#include "frame/frame_encoder.h"
#include "fuzz.h"

namespace paipai {
namespace {

// Small enough that inputs go beyond it.
constexpr uint32_t kFrameBytesMax = 4096;

struct Recorder {
  std::vector<FrameHeader> headers;
  std::vector<uint8_t> stream;  // The accepted frames, encoded anew.

  void OnFrame(const FrameHeader& header, ByteSpan payload) {
    // Frames of several have a limit of their own.
    const bool is_several =
        header.type >= FrameType::kRequests && header.type <= FrameType::kMessages;
    FUZZ_CHECK(payload.size() == header.payload_bytes);
    FUZZ_CHECK(payload.size() <= (is_several ? kSeveralBytesMax : kFrameBytesMax));
    headers.push_back(header);
    const size_t start = stream.size();
    stream.resize(start + kFrameHeaderBytes);
    WriteFrameHeader(stream.data() + start, header);
    stream.insert(stream.end(), payload.begin(), payload.end());
  }
};

struct Outcome {
  Recorder recorder;
  int32_t result = 0;

  void End(const Result<void>& pushed, const FrameDecoder& decoder) {
    const Result<void> finished = decoder.Finish();
    if (!pushed) FUZZ_CHECK(!finished && finished.error() == pushed.error());
    result = finished ? 0 : finished.error().result();
  }
};

Outcome DecodeWhole(ByteSpan bytes) {
  Outcome outcome;
  FrameDecoder decoder(kFrameBytesMax);
  outcome.End(decoder.Push(bytes, outcome.recorder), decoder);
  return outcome;
}

Outcome DecodeCut(ByteSpan bytes, uint32_t seed) {
  Outcome outcome;
  FrameDecoder decoder(kFrameBytesMax);
  Result<void> pushed;
  while (!bytes.empty()) {
    seed = seed * 1664525 + 1013904223;
    // Mostly short pieces, so that cuts fall into headers; at times longer ones.
    const size_t longest = (seed & 0x3000000) == 0 ? 200 : 12;
    const size_t piece_bytes = std::min(bytes.size(), size_t{1} + (seed >> 8) % longest);
    // A copy of its own, so that a read beyond the piece is seen.
    const std::vector<uint8_t> piece(bytes.begin(),
                                     bytes.begin() + static_cast<ptrdiff_t>(piece_bytes));
    pushed = decoder.Push(piece, outcome.recorder);
    bytes = bytes.subspan(piece_bytes);
  }
  outcome.End(pushed, decoder);
  return outcome;
}

// Makes checksums and sequence numbers right in place, as far as the bytes look like frames:
// otherwise hardly any mutation would get past the first frame.
void Mend(MutableByteSpan bytes) {
  for (uint32_t sequence = 0; bytes.size() >= kFrameHeaderBytes; ++sequence) {
    FrameHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const MutableByteSpan rest = bytes.subspan(kFrameHeaderBytes);
    if (header.payload_bytes > rest.size()) return;
    header.sequence = sequence;
    header.payload_crc = Crc32c(rest.first(header.payload_bytes));
    std::memcpy(bytes.data(), &header, sizeof header);
    Store32(bytes.data() + kFrameHeaderCheckedBytes, Crc32c(bytes.first(kFrameHeaderCheckedBytes)));
    bytes = rest.subspan(header.payload_bytes);
  }
}

void Check(ByteSpan bytes, uint32_t seed) {
  const Outcome whole = DecodeWhole(bytes);
  const Outcome cut = DecodeCut(bytes, seed);
  FUZZ_CHECK(whole.result == cut.result);
  FUZZ_CHECK(whole.recorder.headers == cut.recorder.headers);
  FUZZ_CHECK(whole.recorder.stream == cut.recorder.stream);
  const std::vector<uint8_t>& stream = whole.recorder.stream;
  FUZZ_CHECK(std::equal(stream.begin(), stream.end(), bytes.begin()));
}

}  // namespace
}  // namespace paipai

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::vector<uint8_t> bytes(data + 1, data + size);
  paipai::Check(bytes, data[0]);
  paipai::Mend(bytes);
  paipai::Check(bytes, data[0]);
  return 0;
}
