#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "frame/frame_decoder.h"
#include "frame/frame_encoder.h"
#include "frame/frame_layout.h"
#include "test.h"

namespace paipai {
namespace {

using Bytes = std::vector<uint8_t>;

struct Received {
  FrameHeader header;
  Bytes payload;

  friend bool operator==(const Received&, const Received&) = default;
};

struct Recorder {
  std::vector<Received> frames;

  void OnFrame(const FrameHeader& header, ByteSpan payload) {
    frames.push_back({header, Bytes(payload.begin(), payload.end())});
  }
};

Bytes RandomBytes(test::Random& random, size_t byte_count) {
  Bytes bytes(byte_count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Next());
  return bytes;
}

FrameHeader HeaderFor(FrameType type, uint32_t sequence, ByteSpan payload) {
  FrameHeader header;
  header.type = type;
  header.sequence = sequence;
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  header.payload_crc = Crc32c(payload);
  return header;
}

void Append(Bytes& stream, const FrameHeader& header, ByteSpan payload) {
  uint8_t header_bytes[kFrameHeaderBytes];
  WriteFrameHeader(header_bytes, header);
  stream.insert(stream.end(), header_bytes, header_bytes + kFrameHeaderBytes);
  stream.insert(stream.end(), payload.begin(), payload.end());
}

Bytes OneFrame(ByteSpan payload) {
  Bytes stream;
  Append(stream, HeaderFor(FrameType::kMessage, 0, payload), payload);
  return stream;
}

// A connection of `frame_count` frames of random types, fields and lengths, sequence from 0.
Bytes RandomConnection(test::Random& random, uint32_t frame_count, size_t payload_bytes_max) {
  Bytes stream;
  for (uint32_t sequence = 0; sequence < frame_count; ++sequence) {
    const Bytes payload =
        RandomBytes(random, random.Below(3) == 0 ? 0 : random.Below(payload_bytes_max + 1));
    const auto type = static_cast<FrameType>(1 + random.Below(17));
    FrameHeader header = HeaderFor(type, sequence, payload);
    header.name = static_cast<uint16_t>(random.Next());
    header.stream_id = static_cast<uint32_t>(random.Next());
    header.argument = static_cast<uint32_t>(random.Next());
    Append(stream, header, payload);
  }
  return stream;
}

// 0 when `bytes` are a whole connection in order, else the result of the error.
int32_t DecodeResult(ByteSpan bytes, uint32_t frame_bytes_max = kFrameBytesMaxDefault) {
  Recorder recorder;
  FrameDecoder decoder(frame_bytes_max);
  const Result<void> pushed = decoder.Push(bytes, recorder);
  const Result<void> finished = decoder.Finish();
  if (!pushed) CHECK(pushed.error() == finished.error());
  return finished ? 0 : finished.error().result();
}

int32_t ResultOf(ErrorCode code) { return Error::Of(code).result(); }

void RoundTrip() {
  const Bytes payload = {1, 2, 3};
  FrameHeader header = HeaderFor(FrameType::kRequest, 0, payload);
  header.name = 7;
  header.stream_id = 9;
  header.argument = 5000;
  Bytes stream;
  Append(stream, header, payload);

  Recorder recorder;
  FrameDecoder decoder;
  CHECK(decoder.Push(stream, recorder).has_value());
  CHECK(decoder.Finish().has_value());
  CHECK_EQUAL(recorder.frames.size(), 1);
  header.header_crc = Load32(&stream[kFrameHeaderCheckedBytes]);
  CHECK(recorder.frames[0].header == header);
  CHECK(recorder.frames[0].payload == payload);
}

void SealStampsWhatTheFillerLeavesOut() {
  const Bytes payload = {42};
  // One byte in, so that the header lies at an odd address.
  Bytes bytes(1 + kFrameHeaderBytes, 0);
  uint8_t* const header_bytes = bytes.data() + 1;
  header_bytes[3] = static_cast<uint8_t>(FrameType::kPing);
  Store32(header_bytes + 8, 1);
  Store32(header_bytes + 20, 77);
  SealFrame(header_bytes, 5, Crc32c(payload));

  const auto header =
      CheckHeader(std::span<const uint8_t, kFrameHeaderBytes>(header_bytes, kFrameHeaderBytes), 1);
  CHECK(header.has_value());
  CHECK(header->type == FrameType::kPing);
  CHECK_EQUAL(header->sequence, 5);
  CHECK_EQUAL(header->argument, 77);
  CHECK(CheckPayload(*header, payload).has_value());
}

void AnEmptyConnectionIsInOrder() { CHECK_EQUAL(DecodeResult({}), 0); }

void AnyChunkingDecodesAlike() {
  test::Random random(1);
  for (int round = 0; round < 300; ++round) {
    const Bytes stream = RandomConnection(random, 8, round % 2 == 0 ? 70 : 3000);
    Recorder whole;
    FrameDecoder whole_decoder;
    CHECK(whole_decoder.Push(stream, whole).has_value());
    CHECK(whole_decoder.Finish().has_value());
    CHECK_EQUAL(whole.frames.size(), 8);

    Recorder cut;
    FrameDecoder cut_decoder;
    const uint64_t piece_bytes_max = 1 + random.Below(random.Below(2) == 0 ? 40 : 2000);
    for (ByteSpan rest = stream; !rest.empty();) {
      const size_t piece_bytes = std::min<size_t>(rest.size(), random.Below(piece_bytes_max + 1));
      CHECK(cut_decoder.Push(rest.first(piece_bytes), cut).has_value());
      rest = rest.subspan(piece_bytes);
    }
    CHECK(cut_decoder.Finish().has_value());
    CHECK(cut.frames == whole.frames);
  }
}

void EveryTruncationIsNoticed() {
  test::Random random(2);
  const Bytes stream = OneFrame(RandomBytes(random, 50));
  for (size_t size = 1; size < stream.size(); ++size) {
    CHECK_EQUAL(DecodeResult(ByteSpan(stream).first(size)), ResultOf(ErrorCode::FRAME_TRUNCATED));
  }
}

// Changes one byte of a good frame, mends the header checksum if asked, and decodes.
int32_t ResultWithByte(size_t at, uint8_t value, bool mended) {
  Bytes stream = OneFrame(Bytes{1, 2, 3});
  stream[at] = value;
  if (mended) {
    Store32(&stream[kFrameHeaderCheckedBytes],
            Crc32c(ByteSpan(stream).first(kFrameHeaderCheckedBytes)));
  }
  return DecodeResult(stream);
}

void EachBadFieldHasItsCode() {
  CHECK_EQUAL(ResultWithByte(0, 'H', true), ResultOf(ErrorCode::FRAME_MAGIC));
  CHECK_EQUAL(ResultWithByte(1, 'T', false), ResultOf(ErrorCode::FRAME_MAGIC));
  CHECK_EQUAL(ResultWithByte(20, 1, false), ResultOf(ErrorCode::FRAME_HEADER_CHECKSUM));
  CHECK_EQUAL(ResultWithByte(28, 0xFF, false), ResultOf(ErrorCode::FRAME_HEADER_CHECKSUM));
  CHECK_EQUAL(ResultWithByte(2, 0, true), ResultOf(ErrorCode::FRAME_VERSION));
  CHECK_EQUAL(ResultWithByte(2, 2, true), ResultOf(ErrorCode::FRAME_VERSION));
  CHECK_EQUAL(ResultWithByte(3, 0, true), ResultOf(ErrorCode::FRAME_TYPE));
  CHECK_EQUAL(ResultWithByte(3, 1, true), 0);
  CHECK_EQUAL(ResultWithByte(3, 17, true), 0);
  CHECK_EQUAL(ResultWithByte(3, 23, true), ResultOf(ErrorCode::FRAME_TYPE));
  CHECK_EQUAL(ResultWithByte(11, 0xFF, true), ResultOf(ErrorCode::FRAME_TOO_LARGE));
  CHECK_EQUAL(ResultWithByte(16, 1, true), ResultOf(ErrorCode::FRAME_SEQUENCE));
  CHECK_EQUAL(ResultWithByte(24, 0, true), ResultOf(ErrorCode::FRAME_PAYLOAD_CHECKSUM));
  CHECK_EQUAL(ResultWithByte(32, 0, true), ResultOf(ErrorCode::FRAME_PAYLOAD_CHECKSUM));
}

// With several things wrong at once, the one that docs/WIRE.md puts first is told.
void ChecksComeInTheDocumentedOrder() {
  const Bytes payload = {1, 2, 3};
  FrameHeader wrong = HeaderFor(FrameType{99}, 4, payload);
  wrong.payload_bytes = 0xFFFFFFFF;
  Bytes stream(kFrameHeaderBytes);
  const auto mend = [&stream] {
    Store32(&stream[kFrameHeaderCheckedBytes],
            Crc32c(ByteSpan(stream).first(kFrameHeaderCheckedBytes)));
  };
  WriteFrameHeader(stream.data(), wrong);
  stream[2] = 9;
  stream[0] = 'x';
  CHECK_EQUAL(DecodeResult(stream), ResultOf(ErrorCode::FRAME_MAGIC));
  stream[0] = 'P';
  CHECK_EQUAL(DecodeResult(stream), ResultOf(ErrorCode::FRAME_HEADER_CHECKSUM));
  mend();
  CHECK_EQUAL(DecodeResult(stream), ResultOf(ErrorCode::FRAME_VERSION));
  stream[2] = 1;
  mend();
  CHECK_EQUAL(DecodeResult(stream), ResultOf(ErrorCode::FRAME_TYPE));
  stream[3] = 1;
  mend();
  CHECK_EQUAL(DecodeResult(stream), ResultOf(ErrorCode::FRAME_TOO_LARGE));
  Store32(&stream[8], 3);
  mend();
  CHECK_EQUAL(DecodeResult(stream), ResultOf(ErrorCode::FRAME_SEQUENCE));
}

void LengthsAtTheLimit() {
  for (const uint32_t limit : {0u, 1u, 100u}) {
    CHECK_EQUAL(DecodeResult(OneFrame(Bytes(limit)), limit), 0);
    CHECK_EQUAL(DecodeResult(OneFrame(Bytes(limit + 1)), limit),
                ResultOf(ErrorCode::FRAME_TOO_LARGE));
  }
  // Refused from the header alone: nobody waits for 4 GiB.
  FrameHeader header;
  header.type = FrameType::kMessage;
  header.payload_bytes = 0xFFFFFFFF;
  Bytes stream(kFrameHeaderBytes);
  WriteFrameHeader(stream.data(), header);
  CHECK_EQUAL(DecodeResult(stream), ResultOf(ErrorCode::FRAME_TOO_LARGE));
}

void AnHttpServerIsCalledWhatItIs() {
  constexpr std::string_view kAnswer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
  CHECK_EQUAL(DecodeResult(Bytes(kAnswer.begin(), kAnswer.end())),
              ResultOf(ErrorCode::FRAME_MAGIC));
}

void SequenceWrapsAndRefusesGaps() {
  SequenceCheck check;
  CHECK(check.Accept(0));
  CHECK(!check.Accept(0));
  CHECK(!check.Accept(2));
  CHECK(check.Accept(1));
  check.next = 0xFFFFFFFF;
  CHECK(check.Accept(0xFFFFFFFF));
  CHECK(check.Accept(0));
}

void DoubledAndMissingFramesAreRefused() {
  Bytes doubled;
  Append(doubled, HeaderFor(FrameType::kPing, 0, {}), {});
  Append(doubled, HeaderFor(FrameType::kPing, 0, {}), {});
  CHECK_EQUAL(DecodeResult(doubled), ResultOf(ErrorCode::FRAME_SEQUENCE));
  Bytes missing;
  Append(missing, HeaderFor(FrameType::kPing, 0, {}), {});
  Append(missing, HeaderFor(FrameType::kPing, 2, {}), {});
  CHECK_EQUAL(DecodeResult(missing), ResultOf(ErrorCode::FRAME_SEQUENCE));
}

void TheFirstErrorIsFinal() {
  Recorder recorder;
  FrameDecoder decoder;
  const Bytes bad(kFrameHeaderBytes, 'x');
  const Bytes good = OneFrame(Bytes{1});
  CHECK(decoder.Push(good, recorder).has_value());
  CHECK(decoder.Push(bad, recorder).error().Is(ErrorCode::FRAME_MAGIC));
  CHECK(decoder.Push(good, recorder).error().Is(ErrorCode::FRAME_MAGIC));
  CHECK(decoder.Finish().error().Is(ErrorCode::FRAME_MAGIC));
  CHECK_EQUAL(recorder.frames.size(), 1);
}

void EveryFlippedBitIsDetected() {
  test::Random random(3);
  const auto check_flip = [](Bytes& stream, uint64_t bit) {
    const auto mask = static_cast<uint8_t>(1 << (bit % 8));
    stream[bit / 8] ^= mask;
    CHECK(DecodeResult(stream) != 0);
    stream[bit / 8] ^= mask;
  };
  for (int count = 0; count < 1000; ++count) {
    const size_t payload_bytes = random.Below(2) == 0 ? random.Below(64) : random.Below(4000);
    Bytes stream = OneFrame(RandomBytes(random, payload_bytes));
    for (int flip = 0; flip < 100; ++flip) check_flip(stream, random.Below(stream.size() * 8));
    CHECK_EQUAL(DecodeResult(stream), 0);
  }
  // And each bit of one frame, so that no field is left to chance.
  Bytes stream = OneFrame(RandomBytes(random, 64));
  for (uint64_t bit = 0; bit < stream.size() * 8; ++bit) check_flip(stream, bit);
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"RoundTrip", RoundTrip},
          {"SealStampsWhatTheFillerLeavesOut", SealStampsWhatTheFillerLeavesOut},
          {"AnEmptyConnectionIsInOrder", AnEmptyConnectionIsInOrder},
          {"AnyChunkingDecodesAlike", AnyChunkingDecodesAlike},
          {"EveryTruncationIsNoticed", EveryTruncationIsNoticed},
          {"EachBadFieldHasItsCode", EachBadFieldHasItsCode},
          {"ChecksComeInTheDocumentedOrder", ChecksComeInTheDocumentedOrder},
          {"LengthsAtTheLimit", LengthsAtTheLimit},
          {"AnHttpServerIsCalledWhatItIs", AnHttpServerIsCalledWhatItIs},
          {"SequenceWrapsAndRefusesGaps", SequenceWrapsAndRefusesGaps},
          {"DoubledAndMissingFramesAreRefused", DoubledAndMissingFramesAreRefused},
          {"TheFirstErrorIsFinal", TheFirstErrorIsFinal},
          {"EveryFlippedBitIsDetected", EveryFlippedBitIsDetected},
      });
}
