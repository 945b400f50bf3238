#include "socket/write_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/crc32c.h"
#include "frame/frame_encoder.h"

namespace paipai {
namespace {

// Chunks made ready ahead: what one send call may take. More would be checked long before it
// leaves, out of a warm cache.
constexpr size_t kChunksAhead = 16;
constexpr size_t kChunkBytesAhead = size_t{512} << 10;

void Push(iovec*& next, const uint8_t* data, size_t size) {
  *next++ = {const_cast<uint8_t*>(data),
             size};  // sendmsg only reads; its type is shared with recvmsg.
}

// Forgets the spent front of a vector with a head, when that is all of it or much.
template <class T>
void Compact(std::vector<T>& items, size_t& head) {
  if (head == items.size()) {
    items.clear();
    head = 0;
  } else if (head >= 64 && head * 2 >= items.size()) {
    items.erase(items.begin(), items.begin() + static_cast<ptrdiff_t>(head));
    head = 0;
  }
}

}  // namespace

bool WriteQueue::AppendFrames(MutableByteSpan frames) {
  if (frames.empty()) return true;
  size_t offset = 0;
  while (offset < frames.size()) {
    if (frames.size() - offset < kFrameHeaderBytes) return false;
    const uint32_t payload_bytes =
        Load32(frames.data() + offset + offsetof(FrameHeader, payload_bytes));
    if (payload_bytes > frames.size() - offset - kFrameHeaderBytes) return false;
    offset += kFrameHeaderBytes + payload_bytes;
  }
  for (offset = 0; offset < frames.size();) {
    uint8_t* header = frames.data() + offset;
    const uint32_t payload_bytes = Load32(header + offsetof(FrameHeader, payload_bytes));
    SealFrame(header, next_sequence_++, Crc32c({header + kFrameHeaderBytes, payload_bytes}));
    offset += kFrameHeaderBytes + payload_bytes;
  }
  const bool was_empty = empty();
  queued_bytes_ += frames.size();
  if (was_empty) {
    first_ = frames;
    return true;
  }
  if (lanes_ == nullptr && first_.data() + first_.size() == frames.data()) {
    first_ = {first_.data(), first_.size() + frames.size()};
    return true;
  }
  Lanes& lanes = MakeLanes();
  if (lanes.head < lanes.whole.size()) {
    Whole& last = lanes.whole.back();
    if (last.borrowed && last.data + last.size == frames.data()) {
      last.size += frames.size();
      return true;
    }
  }
  Whole& added = lanes.whole.emplace_back();
  added.data = frames.data();
  added.size = frames.size();
  added.borrowed = true;
  return true;
}

WriteQueue::Lanes& WriteQueue::MakeLanes() {
  if (lanes_ == nullptr) lanes_ = std::make_unique<Lanes>();
  return *lanes_;
}

void WriteQueue::AppendLargeFrame(const uint8_t* header, ByteSpan payload, uint32_t token) {
  Lanes& lanes = MakeLanes();
  PP_ASSERT(first_.empty() && (lanes.head == lanes.whole.size() || !lanes.whole.back().borrowed));
  Whole& whole = lanes.whole.emplace_back();
  std::memcpy(whole.header, header, kFrameHeaderBytes);
  SealFrame(whole.header, next_sequence_++, Crc32c(payload));
  whole.header_left = kFrameHeaderBytes;
  whole.data = payload.data();
  whole.size = payload.size();
  whole.token = token;
  queued_bytes_ += kFrameHeaderBytes + payload.size();
}

void WriteQueue::AppendBulk(uint32_t stream_id, ByteSpan bytes, uint32_t token) {
  PP_ASSERT(!bytes.empty());
  FrameHeader header{};
  header.type = FrameType::kStreamData;
  header.stream_id = stream_id;
  MakeLanes().bulk.push_back({header, bytes.data(), bytes.size(), token, chunk_bytes_max_, 0});
  const size_t chunks = (bytes.size() + chunk_bytes_max_ - 1) / chunk_bytes_max_;
  queued_bytes_ += bytes.size() + chunks * kFrameHeaderBytes;
}

void WriteQueue::AppendBulkFrame(const uint8_t* header, ByteSpan payload, uint32_t token) {
  Bulk& bulk = MakeLanes().bulk.emplace_back();
  std::memcpy(&bulk.header, header, kFrameHeaderBytes);
  bulk.data = payload.data();
  bulk.size = payload.size();
  bulk.token = token;
  bulk.chunk_bytes_max = payload.size();
  queued_bytes_ += kFrameHeaderBytes + payload.size();
}

void WriteQueue::PrepareChunks() {
  Lanes& lanes = *lanes_;
  size_t bytes_ahead = 0;
  for (size_t i = lanes.chunk_head; i < lanes.chunks.size(); ++i) {
    bytes_ahead += lanes.chunks[i].size;
  }
  while (lanes.bulk_head < lanes.bulk.size() && bytes_ahead < kChunkBytesAhead &&
         lanes.chunks.size() - lanes.chunk_head < kChunksAhead) {
    Bulk& bulk = lanes.bulk[lanes.bulk_head];
    Chunk& chunk = lanes.chunks.emplace_back();
    chunk.data = bulk.data;
    chunk.size = static_cast<uint32_t>(std::min(bulk.size, bulk.chunk_bytes_max));
    chunk.payload_crc = Crc32c({chunk.data, chunk.size});
    bytes_ahead += chunk.size;
    bulk.header.payload_bytes = chunk.size;
    bulk.header.payload_crc = chunk.payload_crc;
    WriteFrameHeader(chunk.header, bulk.header);
    bulk.data += chunk.size;
    bulk.size -= chunk.size;
    bulk.crc = Crc32cCombine(bulk.crc, chunk.payload_crc, chunk.size);
    chunk.bulk_crc = bulk.crc;
    chunk.token = bulk.size == 0 ? bulk.token : 0;
    if (bulk.size == 0) ++lanes.bulk_head;
  }
  Compact(lanes.bulk, lanes.bulk_head);
}

size_t WriteQueue::GatherChunk(const Chunk& chunk, size_t skip, iovec* vectors) const {
  iovec* next = vectors;
  if (skip < kFrameHeaderBytes) Push(next, chunk.header + skip, kFrameHeaderBytes - skip);
  const size_t data_skip = skip > kFrameHeaderBytes ? skip - kFrameHeaderBytes : 0;
  if (chunk.size > data_skip) Push(next, chunk.data + data_skip, chunk.size - data_skip);
  return static_cast<size_t>(next - vectors);
}

size_t WriteQueue::Gather(iovec* vectors, size_t max) {
  size_t count = 0;
  if (!first_.empty()) {
    vectors[count++] = {const_cast<uint8_t*>(first_.data()), first_.size()};
  }
  if (lanes_ == nullptr) return count;
  // Before anything points to headers: it moves them.
  PrepareChunks();
  Lanes& lanes = *lanes_;
  size_t chunk = lanes.chunk_head;
  if (lanes.chunk_sent > 0)
    count += GatherChunk(lanes.chunks[chunk++], lanes.chunk_sent, vectors + count);
  for (size_t i = lanes.head; i < lanes.whole.size(); ++i) {
    const Whole& whole = lanes.whole[i];
    if (count + 2 > max) return count;
    if (whole.header_left > 0) {
      const uint8_t* rest = whole.header + kFrameHeaderBytes - whole.header_left;
      vectors[count++] = {const_cast<uint8_t*>(rest), whole.header_left};
    }
    vectors[count++] = {const_cast<uint8_t*>(whole.data), whole.size};
  }
  uint32_t sequence = next_sequence_;
  for (; chunk < lanes.chunks.size() && count + 2 <= max; ++chunk) {
    SealFrame(lanes.chunks[chunk].header, sequence++, lanes.chunks[chunk].payload_crc);
    count += GatherChunk(lanes.chunks[chunk], 0, vectors + count);
  }
  return count;
}

void WriteQueue::Advance(size_t bytes) {
  PP_ASSERT(bytes <= queued_bytes_);
  queued_bytes_ -= bytes;
  const size_t of_first = std::min(first_.size(), bytes);
  first_ = first_.subspan(of_first);
  bytes -= of_first;
  if (lanes_ == nullptr) return;
  if (lanes_->chunk_sent > 0) AdvanceChunk(bytes);
  AdvanceWhole(bytes);
  while (bytes > 0) AdvanceChunk(bytes);
  Compact(lanes_->whole, lanes_->head);
  Compact(lanes_->chunks, lanes_->chunk_head);
  if (lanes_->empty()) lanes_.reset();
}

void WriteQueue::AdvanceChunk(size_t& bytes) {
  const Chunk& chunk = lanes_->chunks[lanes_->chunk_head];
  const size_t left = kFrameHeaderBytes + chunk.size - lanes_->chunk_sent;
  const size_t taken = std::min(left, bytes);
  if (lanes_->chunk_sent == 0 && taken > 0) ++next_sequence_;
  lanes_->chunk_sent += taken;
  bytes -= taken;
  if (taken < left) return;
  const uint32_t token = chunk.token;
  const uint32_t crc = chunk.bulk_crc;
  lanes_->chunk_sent = 0;
  ++lanes_->chunk_head;
  if (token != 0) user_.OnSentToken(token, crc);
}

void WriteQueue::AdvanceWhole(size_t& bytes) {
  while (bytes > 0 && lanes_->head < lanes_->whole.size()) {
    Whole& whole = lanes_->whole[lanes_->head];
    const size_t header_taken = std::min<size_t>(whole.header_left, bytes);
    whole.header_left -= static_cast<uint32_t>(header_taken);
    bytes -= header_taken;
    const size_t taken = std::min(whole.size, bytes);
    whole.data += taken;
    whole.size -= taken;
    bytes -= taken;
    if (whole.size > 0) break;
    const uint32_t token = whole.token;
    whole.block.Release();
    ++lanes_->head;
    if (token != 0) user_.OnSentToken(token, 0);
  }
}

bool WriteQueue::Settle() {
  if (empty()) return true;
  std::vector<Whole>& lane = MakeLanes().whole;
  // Borrowed elements are the newest, so what is copied can be rebuilt in place, block by block.
  size_t kept = lane.size();
  while (kept > lanes_->head && lane[kept - 1].borrowed) --kept;
  if (first_.empty() && kept == lane.size()) return true;
  std::vector<Whole> borrowed(std::make_move_iterator(lane.begin() + static_cast<ptrdiff_t>(kept)),
                              std::make_move_iterator(lane.end()));
  lane.resize(kept);
  // Nothing but borrowed elements lies behind it.
  if (!AppendCopy(std::exchange(first_, {}))) return false;
  for (const Whole& whole : borrowed) {
    if (!AppendCopy({whole.data, whole.size})) return false;
  }
  return true;
}

bool WriteQueue::AppendCopy(ByteSpan bytes) {
  std::vector<Whole>& lane = lanes_->whole;
  while (!bytes.empty()) {
    const bool joins = lanes_->head < lane.size() && lane.back().block &&
                       lane.back().block.room() > 0 && lane.back().token == 0;
    if (!joins) {
      Buffer block = pool_.Acquire();
      if (!block) return false;
      Whole& added = lane.emplace_back();
      added.data = block.begin();
      added.block = std::move(block);
    }
    Whole& last = lane.back();
    const size_t taken = last.block.Append(bytes.data(), bytes.size());
    last.size += taken;
    bytes = bytes.subspan(taken);
  }
  return true;
}

void WriteQueue::Clear() {
  first_ = {};
  lanes_.reset();
  queued_bytes_ = 0;
}

}  // namespace paipai
