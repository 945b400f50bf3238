#include "socket/write_queue.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "frame/frame_decoder.h"
#include "frame/frame_layout.h"
#include "memory/buffer_pool.h"
#include "test.h"

namespace paipai {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kVectorsMax = 64;

struct Tokens final : WriteQueue::User {
  std::vector<uint32_t> sent;
  void OnSentToken(uint32_t token, uint32_t) override { sent.push_back(token); }
};

// The frame that JS leaves in the outbox: a header with nothing sealed, then the payload.
void AppendUnsealed(Bytes& out, FrameType type, uint32_t stream_id, ByteSpan payload) {
  uint8_t header[kFrameHeaderBytes] = {};
  header[offsetof(FrameHeader, type)] = static_cast<uint8_t>(type);
  Store32(header + offsetof(FrameHeader, payload_bytes), static_cast<uint32_t>(payload.size()));
  Store32(header + offsetof(FrameHeader, stream_id), stream_id);
  Store32(header + offsetof(FrameHeader, sequence), 0xdeadbeef);
  out.insert(out.end(), header, header + kFrameHeaderBytes);
  out.insert(out.end(), payload.begin(), payload.end());
}

Bytes UnsealedFrame(FrameType type, uint32_t stream_id, ByteSpan payload) {
  Bytes out;
  AppendUnsealed(out, type, stream_id, payload);
  return out;
}

Bytes RandomBytes(test::Random& random, size_t byte_count) {
  Bytes bytes(byte_count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Next());
  return bytes;
}

struct Received {
  FrameType type;
  uint32_t stream_id;
  Bytes payload;
  friend bool operator==(const Received&, const Received&) = default;
};

// The other end of the wire: checks every checksum and sequence number.
struct Wire {
  FrameDecoder decoder;
  std::vector<Received> frames;

  void OnFrame(const FrameHeader& header, ByteSpan payload) {
    frames.push_back({header.type, header.stream_id, Bytes(payload.begin(), payload.end())});
  }
  void Take(ByteSpan bytes) {
    const Result<void> pushed = decoder.Push(bytes, *this);
    CHECK_EQUAL(pushed.has_value() ? 0 : pushed.error().result(), 0);
  }
};

// What the kernel does: takes at most `bytes_max` of what is offered. Returns the bytes taken.
size_t SendSome(WriteQueue& queue, Wire& wire, size_t bytes_max, size_t vectors_max = kVectorsMax) {
  iovec vectors[kVectorsMax];
  const size_t count = queue.Gather(vectors, vectors_max);
  CHECK(count <= vectors_max);
  size_t taken = 0;
  for (size_t i = 0; i < count && taken < bytes_max; ++i) {
    const size_t size = std::min(vectors[i].iov_len, bytes_max - taken);
    wire.Take({static_cast<const uint8_t*>(vectors[i].iov_base), size});
    taken += size;
  }
  queue.Advance(taken);
  return taken;
}

void SendAll(WriteQueue& queue, Wire& wire) {
  while (!queue.empty()) CHECK(SendSome(queue, wire, SIZE_MAX) > 0);
}

void OneFrameLeavesSealed() {
  BufferPool pool;
  Tokens tokens;
  WriteQueue queue(pool, tokens, kChunkBytesMax);
  const Bytes payload = {1, 2, 3};
  Bytes frame = UnsealedFrame(FrameType::kMessage, 7, payload);
  CHECK(queue.AppendFrames(frame));
  CHECK_EQUAL(queue.queued_bytes(), kFrameHeaderBytes + 3);
  Wire wire;
  SendAll(queue, wire);
  CHECK_EQUAL(wire.frames.size(), 1);
  CHECK((wire.frames[0] == Received{FrameType::kMessage, 7, payload}));
  CHECK_EQUAL(queue.queued_bytes(), 0);
  CHECK(queue.empty());
}

void NothingQueuedIsNothingToSend() {
  BufferPool pool;
  Tokens tokens;
  WriteQueue queue(pool, tokens, kChunkBytesMax);
  CHECK(queue.AppendFrames({}));
  CHECK(queue.empty());
  CHECK(queue.Settle());
  iovec vectors[kVectorsMax];
  CHECK_EQUAL(queue.Gather(vectors, kVectorsMax), 0);
  queue.Advance(0);
}

void LengthsThatDoNotAddUpAreRefused() {
  BufferPool pool;
  Tokens tokens;
  WriteQueue queue(pool, tokens, kChunkBytesMax);
  Bytes good = UnsealedFrame(FrameType::kMessage, 1, Bytes(10));
  Bytes frames = good;
  frames.insert(frames.end(), good.begin(), good.end());
  for (size_t size = 1; size < frames.size(); ++size) {
    if (size == good.size()) continue;
    CHECK(!queue.AppendFrames({frames.data(), size}));
    CHECK(queue.empty() && queue.queued_bytes() == 0);
  }
  Store32(good.data() + offsetof(FrameHeader, payload_bytes), 0xffffffff);
  CHECK(!queue.AppendFrames(good));
  // What was refused took no sequence number.
  CHECK(queue.AppendFrames(frames));
  Wire wire;
  SendAll(queue, wire);
  CHECK_EQUAL(wire.frames.size(), 2);
}

void BulkIsCutAndItsTokenComesAfterTheLastByte() {
  constexpr uint32_t kChunk = 100;
  for (const size_t size : {size_t{1}, size_t{99}, size_t{100}, size_t{101}, size_t{1000}}) {
    BufferPool pool;
    Tokens tokens;
    WriteQueue queue(pool, tokens, kChunk);
    test::Random random(size);
    const Bytes bulk = RandomBytes(random, size);
    queue.AppendBulk(3, bulk, 42);
    const size_t chunk_count = (size + kChunk - 1) / kChunk;
    const size_t wire_bytes = size + chunk_count * kFrameHeaderBytes;
    CHECK_EQUAL(queue.queued_bytes(), wire_bytes);
    Wire wire;
    size_t left = wire_bytes;
    while (left > 1) left -= SendSome(queue, wire, left - 1);
    CHECK(tokens.sent.empty());
    CHECK_EQUAL(SendSome(queue, wire, 1), 1);
    CHECK(tokens.sent == std::vector<uint32_t>{42});
    CHECK_EQUAL(wire.frames.size(), chunk_count);
    Bytes joined;
    for (const Received& frame : wire.frames) {
      CHECK(frame.type == FrameType::kStreamData && frame.stream_id == 3);
      joined.insert(joined.end(), frame.payload.begin(), frame.payload.end());
    }
    CHECK(joined == bulk);
  }
}

// A whole frame queued while a chunk is on its way leaves right behind that chunk, wherever the
// kernel stopped in it; one queued before the chunk began leaves before it.
void AWholeFrameWaitsForOneChunkAtMost() {
  constexpr uint32_t kChunk = 64;
  constexpr size_t kChunkFrame = kFrameHeaderBytes + kChunk;
  const Bytes bulk(kChunk * 9, 5);
  for (size_t stop = 0; stop <= kChunkFrame * 3; ++stop) {
    BufferPool pool;
    Tokens tokens;
    WriteQueue queue(pool, tokens, kChunk);
    queue.AppendBulk(1, bulk, 9);
    Wire wire;
    for (size_t left = stop; left > 0;) left -= SendSome(queue, wire, left);
    Bytes urgent = UnsealedFrame(FrameType::kPing, 0, Bytes(8, 1));
    CHECK(queue.AppendFrames(urgent));
    SendAll(queue, wire);
    CHECK_EQUAL(wire.frames.size(), 10);
    const size_t expected_at = (stop + kChunkFrame - 1) / kChunkFrame;
    CHECK(wire.frames[expected_at].type == FrameType::kPing);
    CHECK(tokens.sent == std::vector<uint32_t>{9});
  }
}

void AFrameOfTheBulkLaneIsNotCut() {
  constexpr uint32_t kChunk = 64;
  BufferPool pool;
  Tokens tokens;
  WriteQueue queue(pool, tokens, kChunk);
  const Bytes bulk(kChunk * 2, 5);
  const Bytes payload(kChunk * 3, 6);
  queue.AppendBulk(1, bulk, 1);
  queue.AppendBulkFrame(UnsealedFrame(FrameType::kMessage, 0, payload).data(), payload, 2);
  queue.AppendBulkFrame(UnsealedFrame(FrameType::kMessage, 7, {}).data(), {}, 3);
  CHECK_EQUAL(queue.queued_bytes(), bulk.size() + payload.size() + 4 * kFrameHeaderBytes);
  CHECK(queue.has_bulk());
  Bytes urgent = UnsealedFrame(FrameType::kPing, 0, Bytes(8, 1));
  CHECK(queue.AppendFrames(urgent));
  Wire wire;
  SendAll(queue, wire);
  CHECK_EQUAL(wire.frames.size(), 5);
  CHECK(wire.frames[0].type == FrameType::kPing);
  CHECK((wire.frames[3] == Received{FrameType::kMessage, 0, payload}));
  CHECK((wire.frames[4] == Received{FrameType::kMessage, 7, {}}));
  CHECK((tokens.sent == std::vector<uint32_t>{1, 2, 3}));
  CHECK(queue.empty());
}

void WhatWasBorrowedSurvivesSettle() {
  BufferPool pool;
  Tokens tokens;
  WriteQueue queue(pool, tokens, kChunkBytesMax);
  test::Random random(1);
  Bytes outbox;
  std::vector<Bytes> payloads;
  for (int i = 0; i < 40; ++i) {
    payloads.push_back(RandomBytes(random, random.Below(8000)));
    AppendUnsealed(outbox, FrameType::kMessage, 1, payloads.back());
  }
  CHECK(queue.AppendFrames(outbox));
  Wire wire;
  SendSome(queue, wire, 12345);
  CHECK(queue.Settle());
  CHECK(pool.blocks_in_use() > 0);
  std::fill(outbox.begin(), outbox.end(), uint8_t{0xee});
  SendAll(queue, wire);
  CHECK_EQUAL(wire.frames.size(), payloads.size());
  for (size_t i = 0; i < payloads.size(); ++i) CHECK(wire.frames[i].payload == payloads[i]);
  CHECK_EQUAL(pool.blocks_in_use(), 0);
}

void AnExhaustedPoolIsReported() {
  BufferPool pool(1);
  Tokens tokens;
  WriteQueue queue(pool, tokens, kChunkBytesMax);
  Bytes fits = UnsealedFrame(FrameType::kMessage, 1, Bytes(kBlockBytes - kFrameHeaderBytes));
  CHECK(queue.AppendFrames(fits));
  CHECK(queue.Settle());
  Bytes one_more = UnsealedFrame(FrameType::kMessage, 1, {});
  CHECK(queue.AppendFrames(one_more));
  CHECK(!queue.Settle());
  CHECK(pool.exhausted_count() == 1);
  queue.Clear();
  CHECK(queue.empty());
  CHECK_EQUAL(pool.blocks_in_use(), 0);
}

// A thousand slow peers with a large frame each must not take a block each.
void ALargeFrameTakesNoBlock() {
  BufferPool pool(1);
  Tokens tokens;
  WriteQueue queue(pool, tokens, kChunkBytesMax);
  uint8_t header[kFrameHeaderBytes] = {};
  const Bytes payload(20'000, 5);
  for (uint32_t token = 1; token <= 5; ++token) queue.AppendLargeFrame(header, payload, token);
  CHECK_EQUAL(pool.blocks_in_use(), 0);
  CHECK_EQUAL(queue.queued_bytes(), 5 * (payload.size() + kFrameHeaderBytes));
  queue.Clear();
}

bool IsBulk(const Received& frame) {
  return frame.type == FrameType::kStreamData || frame.type == FrameType::kRequest;
}

// Many random histories: each kind of append, settles, and kernels that take any number of bytes
// and vectors. Whatever happens, the other end sees 0, 1, 2… with right checksums (FrameDecoder),
// every frame and every bulk whole and in the order of its lane, every token once and only when its
// bytes have left.
void AnyHistoryDecodes(uint64_t seed) {
  test::Random random(seed);
  const auto chunk_bytes_max = static_cast<uint32_t>(1 + random.Below(600));
  BufferPool pool;
  Tokens tokens;
  WriteQueue queue(pool, tokens, chunk_bytes_max);
  Wire wire;
  std::vector<Received> whole;       // In the order they were queued.
  std::vector<Received> bulk_whole;  // Frames of the bulk lane.
  Bytes bulk_all;  // All bytes of the bulk lane, those of its frames too, in order.
  struct Tracked {
    uint32_t token;
    bool is_bulk;
    size_t at;  // Frames in `whole`, or bytes in `bulk_all`, that must have left first.
  };
  std::vector<Tracked> tracked;
  std::vector<std::unique_ptr<Bytes>> kept;    // Referenced until the end.
  std::vector<std::unique_ptr<Bytes>> outbox;  // Borrowed until settled.
  uint32_t next_token = 1;
  size_t tokens_checked = 0;

  const auto check_tokens = [&] {
    size_t whole_left = 0, bulk_left = 0;
    for (const Received& frame : wire.frames) {
      if (IsBulk(frame)) {
        bulk_left += frame.payload.size();
      } else {
        ++whole_left;
      }
    }
    for (; tokens_checked < tokens.sent.size(); ++tokens_checked) {
      const uint32_t token = tokens.sent[tokens_checked];
      const auto found = std::find_if(tracked.begin(), tracked.end(),
                                      [token](const Tracked& each) { return each.token == token; });
      CHECK(found != tracked.end());
      CHECK((found->is_bulk ? bulk_left : whole_left) >= found->at);
      tracked.erase(found);
    }
  };
  const auto settle = [&] {
    CHECK(queue.Settle());
    for (auto& bytes : outbox) std::fill(bytes->begin(), bytes->end(), uint8_t{0xee});
    outbox.clear();
  };

  for (int step = 0; step < 120; ++step) {
    switch (random.Below(10)) {
      case 0:
      case 1: {
        auto frames = std::make_unique<Bytes>();
        const uint64_t count = 1 + random.Below(5);
        for (uint64_t i = 0; i < count; ++i) {
          const Bytes payload = RandomBytes(random, random.Below(300));
          const auto stream_id = static_cast<uint32_t>(random.Next());
          AppendUnsealed(*frames, FrameType::kMessage, stream_id, payload);
          whole.push_back({FrameType::kMessage, stream_id, payload});
        }
        CHECK(queue.AppendFrames(*frames));
        outbox.push_back(std::move(frames));
        break;
      }
      case 2: {
        settle();
        kept.push_back(std::make_unique<Bytes>(RandomBytes(random, 1 + random.Below(900))));
        const Bytes header = UnsealedFrame(FrameType::kResponse, 4, *kept.back());
        const uint32_t token = next_token++;
        queue.AppendLargeFrame(header.data(), *kept.back(), token);
        whole.push_back({FrameType::kResponse, 4, *kept.back()});
        tracked.push_back({token, false, whole.size()});
        break;
      }
      case 3: {
        kept.push_back(std::make_unique<Bytes>(RandomBytes(random, 1 + random.Below(3000))));
        const uint32_t token = next_token++;
        queue.AppendBulk(6, *kept.back(), token);
        bulk_all.insert(bulk_all.end(), kept.back()->begin(), kept.back()->end());
        tracked.push_back({token, true, bulk_all.size()});
        break;
      }
      case 4: {
        kept.push_back(std::make_unique<Bytes>(RandomBytes(random, random.Below(2000))));
        const uint32_t token = next_token++;
        const Bytes header = UnsealedFrame(FrameType::kRequest, token, *kept.back());
        queue.AppendBulkFrame(header.data(), *kept.back(), token);
        bulk_all.insert(bulk_all.end(), kept.back()->begin(), kept.back()->end());
        bulk_whole.push_back({FrameType::kRequest, token, *kept.back()});
        tracked.push_back({token, true, bulk_all.size()});
        break;
      }
      case 5:
        settle();
        break;
      default: {
        // Often a few bytes, so that kernels stop inside headers; at times a lot.
        const size_t bytes_max = random.Below(3) == 0 ? random.Below(5000) : random.Below(60);
        SendSome(queue, wire, bytes_max, 9 + random.Below(kVectorsMax - 8));
        check_tokens();
      }
    }
  }
  settle();
  SendAll(queue, wire);
  check_tokens();
  CHECK(tracked.empty());
  CHECK_EQUAL(queue.queued_bytes(), 0);
  CHECK_EQUAL(pool.blocks_in_use(), 0);
  std::vector<Received> whole_received, bulk_whole_received;
  Bytes bulk_received;
  for (const Received& frame : wire.frames) {
    if (frame.type == FrameType::kStreamData) {
      CHECK(frame.stream_id == 6 && frame.payload.size() <= chunk_bytes_max);
    }
    if (frame.type == FrameType::kRequest) bulk_whole_received.push_back(frame);
    if (IsBulk(frame)) {
      bulk_received.insert(bulk_received.end(), frame.payload.begin(), frame.payload.end());
    } else {
      whole_received.push_back(frame);
    }
  }
  CHECK(whole_received == whole);
  CHECK(bulk_whole_received == bulk_whole);
  CHECK(bulk_received == bulk_all);
  CHECK(wire.decoder.Finish().has_value());
}

void AnyHistoryDecodesAlike() {
  for (uint64_t seed = 0; seed < 600; ++seed) AnyHistoryDecodes(seed);
}

void ClearLetsGoOfEverything() {
  BufferPool pool;
  Tokens tokens;
  WriteQueue queue(pool, tokens, 10);
  const Bytes bulk(1000);
  queue.AppendBulk(1, bulk, 1);
  Bytes frame = UnsealedFrame(FrameType::kMessage, 1, bulk);
  CHECK(queue.AppendFrames(frame));
  CHECK(queue.Settle());
  Wire wire;
  SendSome(queue, wire, 1100);
  queue.Clear();
  CHECK(queue.empty());
  CHECK_EQUAL(queue.queued_bytes(), 0);
  CHECK_EQUAL(pool.blocks_in_use(), 0);
  CHECK(tokens.sent.empty());
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"one frame leaves sealed", OneFrameLeavesSealed},
          {"nothing queued is nothing to send", NothingQueuedIsNothingToSend},
          {"lengths that do not add up are refused", LengthsThatDoNotAddUpAreRefused},
          {"bulk is cut, its token comes after the last byte",
           BulkIsCutAndItsTokenComesAfterTheLastByte},
          {"a whole frame waits for one chunk at most", AWholeFrameWaitsForOneChunkAtMost},
          {"a frame of the bulk lane is not cut", AFrameOfTheBulkLaneIsNotCut},
          {"what was borrowed survives settle", WhatWasBorrowedSurvivesSettle},
          {"an exhausted pool is reported", AnExhaustedPoolIsReported},
          {"a large frame takes no block", ALargeFrameTakesNoBlock},
          {"any history decodes alike", AnyHistoryDecodesAlike},
          {"clear lets go of everything", ClearLetsGoOfEverything},
      });
}
