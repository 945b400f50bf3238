// Holds the encoders to the files in test/contract/golden, byte for byte, and the decoders to what
// was encoded. The TypeScript codecs are held to the same files. `golden_test --write`, run in the
// root of the repository as all tests are, makes them.

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "frame/frame_decoder.h"
#include "frame/frame_encoder.h"
#include "frame/shard_header.h"
#include "test.h"

namespace paipai {
namespace {

using Bytes = std::vector<uint8_t>;

struct GoldenFrame {
  const char* file;
  FrameHeader header;
  Bytes payload;
};

struct GoldenShardHeader {
  const char* file;
  ShardHeader header;
};

// Payloads count up from `first`, so that no two bytes beside each other are equal.
Bytes Counting(size_t byte_count, uint8_t first) {
  Bytes bytes(byte_count);
  for (size_t index = 0; index < byte_count; ++index) {
    bytes[index] = static_cast<uint8_t>(first + index);
  }
  return bytes;
}

Bytes Text(std::string_view text) { return Bytes(text.begin(), text.end()); }

// The hello of docs/WIRE.md: versions 1 to 1, feature 0 (has a secret), a counting nonce, two
// names.
Bytes Hello() {
  constexpr std::string_view kNet = "net";
  constexpr std::string_view kNode = "1";
  Bytes bytes(44);
  Store16(&bytes[0], 1);
  Store16(&bytes[2], 1);
  Store32(&bytes[4], 1);
  const Bytes nonce = Counting(32, 0x20);
  std::copy(nonce.begin(), nonce.end(), bytes.begin() + 8);
  bytes[40] = kNet.size();
  bytes[41] = kNode.size();
  bytes.insert(bytes.end(), kNet.begin(), kNet.end());
  bytes.insert(bytes.end(), kNode.begin(), kNode.end());
  return bytes;
}

// MessagePack: {"message": "no"}.
Bytes ErrorPayload() { return Text("\x81\xA7message\xA2no"); }

Bytes Serialised(const ShardHeader& header) {
  Bytes bytes(kShardHeaderBytesMax);
  const Result<size_t> written = WriteShardHeader(header, bytes);
  CHECK(written.has_value());
  bytes.resize(*written);
  return bytes;
}

Bytes Serialised(const GoldenFrame& frame) {
  Bytes bytes(kFrameHeaderBytes);
  WriteFrameHeader(bytes.data(), frame.header);
  bytes.insert(bytes.end(), frame.payload.begin(), frame.payload.end());
  return bytes;
}

ShardHeader MinimalShardHeader() {
  ShardHeader header;
  header.content_crc = 0x12345678;
  header.data_version = 1;
  header.fencing_token = 2;
  header.shard_index = 0;
  header.shard_count = 3;
  header.offset_bytes = 0;
  header.total_bytes = 150000;
  header.shard_bytes = 65536;
  header.data_id = "1";
  header.source_id = "2";
  return header;
}

// The ids of the longest header: 255 bytes each, of characters of 3, 1 and 5 (2 + 3) bytes.
const std::string& LongDataId() {
  static const std::string id = [] {
    std::string text;
    for (int count = 0; count < 85; ++count) text += "\xE6\x95\xB0";  // U+6570
    return text;
  }();
  return id;
}

const std::string& LongSourceId() {
  static const std::string id(255, 's');
  return id;
}

const std::string& LongTargetId() {
  static const std::string id = [] {
    std::string text;
    for (int count = 0; count < 51; ++count) text += "\xC3\xA9\xE2\x82\xAC";  // U+00E9 U+20AC
    return text;
  }();
  return id;
}

std::vector<GoldenShardHeader> GoldenShardHeaders() {
  ShardHeader target = MinimalShardHeader();
  target.flags = kShardCompressed | kShardEncrypted;
  target.shard_index = 1;
  target.offset_bytes = 65536;
  target.data_id = "zip codes";
  target.source_id = "centre";
  target.target_id = "node-7";

  ShardHeader unknown = MinimalShardHeader();
  unknown.shard_index = 7;
  unknown.shard_count = 0;
  unknown.offset_bytes = 7 * 65536;
  unknown.total_bytes = 0;

  ShardHeader last = MinimalShardHeader();
  last.flags = kShardLast;
  last.shard_index = 2;
  last.offset_bytes = 131072;
  last.shard_bytes = 18928;

  ShardHeader longest;
  longest.flags = kShardLast;
  longest.content_crc = 0xFFFFFFFF;
  longest.data_version = 0xFFFFFFFFFFFFFFFF;
  longest.fencing_token = 0xFFFFFFFFFFFFFFFE;
  longest.shard_index = 0xFFFFFFFE;
  longest.shard_count = 0xFFFFFFFF;
  longest.total_bytes = kDataBytesMax;
  longest.offset_bytes = longest.total_bytes - kShardBytesMax;
  longest.shard_bytes = kShardBytesMax;
  longest.data_id = LongDataId();
  longest.source_id = LongSourceId();
  longest.target_id = LongTargetId();

  return {
      {"shard-minimal.bin", MinimalShardHeader()},
      {"shard-target.bin", target},
      {"shard-unknown-count.bin", unknown},
      {"shard-last.bin", last},
      {"shard-longest.bin", longest},
  };
}

GoldenFrame Frame(const char* file, FrameType type, uint16_t name, uint32_t stream_id,
                  uint32_t argument, Bytes payload) {
  FrameHeader header;
  header.type = type;
  header.name = name;
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  header.stream_id = stream_id;
  header.argument = argument;
  header.payload_crc = Crc32c(payload);
  return {file, header, std::move(payload)};
}

// One frame of every type; one behind the other they are the bytes of one connection.
std::vector<GoldenFrame> GoldenConnection() {
  const auto number = [](ErrorCode code) { return static_cast<uint32_t>(code); };
  std::vector<GoldenFrame> frames = {
      Frame("01-hello.bin", FrameType::kHello, 0, 0, 0, Hello()),
      Frame("02-auth.bin", FrameType::kAuth, 0, 0, 0, Counting(32, 0xA0)),
      Frame("03-ready.bin", FrameType::kReady, 0, 0, 0, {}),
      Frame("04-name.bin", FrameType::kName, 1, 0, 0, Text("wordCount")),
      Frame("05-request.bin", FrameType::kRequest, 1, 1, 5000, Counting(64, 0)),
      Frame("06-response.bin", FrameType::kResponse, 0, 2, 0, Counting(300, 1)),
      Frame("07-error.bin", FrameType::kError, 0, 4, number(ErrorCode::METHOD_UNKNOWN),
            ErrorPayload()),
      Frame("08-cancel.bin", FrameType::kCancel, 0, 1, number(ErrorCode::DEADLINE), {}),
      Frame("09-message.bin", FrameType::kMessage, 1, 0, 0, Counting(1, 0xFF)),
      Frame("10-stream-open.bin", FrameType::kStreamOpen, 1, 3, 30000,
            Serialised(MinimalShardHeader())),
      Frame("11-stream-data.bin", FrameType::kStreamData, 0, 3, 0, Counting(300, 2)),
      Frame("12-stream-end.bin", FrameType::kStreamEnd, 0, 3, 0, {}),
      Frame("13-stream-reset.bin", FrameType::kStreamReset, 0, 6, number(ErrorCode::ABORTED),
            ErrorPayload()),
      Frame("14-credit.bin", FrameType::kCredit, 0, 8, 0x7FFFFFFF, {}),
      Frame("15-ping.bin", FrameType::kPing, 0, 0, 0xDEADBEEF, Counting(64, 3)),
      Frame("16-pong.bin", FrameType::kPong, 0, 0, 0xCAFEF00D, Counting(1, 0)),
      Frame("17-goodbye.bin", FrameType::kGoodbye, 0, 0, 0, {}),
      Frame("18-path.bin", FrameType::kPath, 0, 0, 0, Counting(48, 4)),
      Frame("19-switch.bin", FrameType::kSwitch, 0, 0, 0, {}),
  };
  for (size_t index = 0; index < frames.size(); ++index) {
    frames[index].header.sequence = static_cast<uint32_t>(index);
  }
  return frames;
}

// Every field at its highest value.
GoldenFrame GoldenExtreme() {
  GoldenFrame frame =
      Frame("extreme.bin", FrameType::kGoodbye, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, Bytes(300, 0xFF));
  frame.header.flags = 0xFFFF;
  frame.header.sequence = 0xFFFFFFFF;
  return frame;
}

std::string JsonOf(const GoldenFrame& frame) {
  const auto number = [](const char* key, uint64_t value) {
    return std::string(", \"") + key + "\": " + std::to_string(value);
  };
  const FrameHeader& header = frame.header;
  std::string hex;
  for (const uint8_t byte : frame.payload) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return std::string("{ \"file\": \"") + frame.file + "\"" +
         number("type", static_cast<uint64_t>(header.type)) + number("flags", header.flags) +
         number("name", header.name) + number("streamId", header.stream_id) +
         number("sequence", header.sequence) + number("argument", header.argument) +
         number("payloadBytes", header.payload_bytes) +
         number("payloadCrc32c", header.payload_crc) +
         number("headerCrc32c", Load32(&Serialised(frame)[kFrameHeaderCheckedBytes])) +
         ", \"payloadHex\": \"" + hex + "\" }";
}

std::string JsonOf(const GoldenShardHeader& golden) {
  // Numbers of 64 bits are strings: JSON's readers keep 53.
  const auto number = [](const char* key, uint32_t value) {
    return std::string(", \"") + key + "\": " + std::to_string(value);
  };
  const auto wide = [](const char* key, uint64_t value) {
    return std::string(", \"") + key + "\": \"" + std::to_string(value) + "\"";
  };
  const auto text = [](const char* key, std::string_view value) {
    return std::string(", \"") + key + "\": \"" + std::string(value) + "\"";
  };
  const ShardHeader& header = golden.header;
  return std::string("{ \"file\": \"") + golden.file + "\"" + number("flags", header.flags) +
         number("contentCrc32c", header.content_crc) + wide("dataVersion", header.data_version) +
         wide("fencingToken", header.fencing_token) + number("shardIndex", header.shard_index) +
         number("shardCount", header.shard_count) + wide("offsetBytes", header.offset_bytes) +
         wide("totalBytes", header.total_bytes) + number("shardBytes", header.shard_bytes) +
         text("dataId", header.data_id) + text("sourceId", header.source_id) +
         text("targetId", header.target_id) + " }";
}

template <class T>
std::string JsonOf(const std::vector<T>& items) {
  std::string json = "[";
  for (size_t index = 0; index < items.size(); ++index) {
    json += std::string(index == 0 ? "\n    " : ",\n    ") + JsonOf(items[index]);
  }
  return json + "\n  ]";
}

std::string GoldenJson() {
  return "{\n  \"connection\": " + JsonOf(GoldenConnection()) +
         ",\n  \"extreme\": " + JsonOf(GoldenExtreme()) +
         ",\n  \"shardHeaders\": " + JsonOf(GoldenShardHeaders()) + "\n}\n";
}

struct File {
  std::string name;
  Bytes bytes;
};

std::vector<File> GoldenFiles() {
  std::vector<File> files;
  for (const GoldenFrame& frame : GoldenConnection())
    files.push_back({frame.file, Serialised(frame)});
  files.push_back({GoldenExtreme().file, Serialised(GoldenExtreme())});
  for (const GoldenShardHeader& golden : GoldenShardHeaders()) {
    files.push_back({golden.file, Serialised(golden.header)});
  }
  files.push_back({"golden.json", Text(GoldenJson())});
  return files;
}

Bytes ReadFile(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) test::Fail(__FILE__, __LINE__, "cannot open " + path);
  Bytes bytes(64 << 10);
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
  std::fclose(file);
  return bytes;
}

void WriteFile(const std::string& path, const Bytes& bytes) {
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) test::Fail(__FILE__, __LINE__, "cannot write " + path);
  CHECK_EQUAL(std::fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
  CHECK_EQUAL(std::fclose(file), 0);
}

void EncodersReproduceTheFiles(const std::string& folder) {
  for (const File& file : GoldenFiles()) {
    if (ReadFile(folder + file.name) != file.bytes) {
      test::Fail(__FILE__, __LINE__, folder + file.name + " differs from what is encoded now");
    }
  }
}

void DecoderReadsTheConnection(const std::string& folder) {
  struct Sink {
    std::vector<GoldenFrame> expected = GoldenConnection();
    size_t frame_count = 0;

    void OnFrame(const FrameHeader& header, ByteSpan payload) {
      CHECK(frame_count < expected.size());
      const GoldenFrame& frame = expected[frame_count++];
      FrameHeader without_crc = header;
      without_crc.header_crc = 0;
      CHECK(without_crc == frame.header);
      CHECK(Bytes(payload.begin(), payload.end()) == frame.payload);
    }
  };
  Sink sink;
  FrameDecoder decoder;
  for (const GoldenFrame& frame : GoldenConnection()) {
    CHECK(decoder.Push(ReadFile(folder + frame.file), sink).has_value());
  }
  CHECK(decoder.Finish().has_value());
  CHECK_EQUAL(sink.frame_count, sink.expected.size());
}

void ParserReadsTheShardHeaders(const std::string& folder) {
  for (const GoldenShardHeader& golden : GoldenShardHeaders()) {
    const Bytes bytes = ReadFile(folder + golden.file);
    const Result<ShardHeader> header = ParseShardHeader(bytes);
    CHECK(header.has_value());
    CHECK(*header == golden.header);
  }
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  const std::string folder = "test/contract/golden/";
  if (argument_count > 1 && std::string_view(arguments[1]) == "--write") {
    for (const auto& file : paipai::GoldenFiles())
      paipai::WriteFile(folder + file.name, file.bytes);
  }
  paipai::EncodersReproduceTheFiles(folder);
  paipai::DecoderReadsTheConnection(folder);
  paipai::ParserReadsTheShardHeaders(folder);
  return 0;
}
