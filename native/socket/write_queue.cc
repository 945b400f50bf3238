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
constexpr size_t kChunksAhead = 4;

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
  queued_bytes_ += frames.size();
  if (head_ < whole_.size()) {
    Whole& last = whole_.back();
    if (last.borrowed && last.data + last.size == frames.data()) {
      last.size += frames.size();
      return true;
    }
  }
  Whole& added = whole_.emplace_back();
  added.data = frames.data();
  added.size = frames.size();
  added.borrowed = true;
  return true;
}

void WriteQueue::AppendLargeFrame(const uint8_t* header, ByteSpan payload, uint32_t token) {
  PP_ASSERT(head_ == whole_.size() || !whole_.back().borrowed);
  Whole& whole = whole_.emplace_back();
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
  bulk_.push_back({stream_id, bytes.data(), bytes.size(), token, 0});
  const size_t chunks = (bytes.size() + chunk_bytes_max_ - 1) / chunk_bytes_max_;
  queued_bytes_ += bytes.size() + chunks * kFrameHeaderBytes;
}

void WriteQueue::PrepareChunks() {
  while (chunks_.size() - chunk_head_ < kChunksAhead && bulk_head_ < bulk_.size()) {
    Bulk& bulk = bulk_[bulk_head_];
    Chunk& chunk = chunks_.emplace_back();
    chunk.data = bulk.data;
    chunk.size = static_cast<uint32_t>(std::min<size_t>(bulk.size, chunk_bytes_max_));
    chunk.payload_crc = Crc32c({chunk.data, chunk.size});
    FrameHeader header{};
    header.type = FrameType::kStreamData;
    header.stream_id = bulk.stream_id;
    header.payload_bytes = chunk.size;
    header.payload_crc = chunk.payload_crc;
    WriteFrameHeader(chunk.header, header);
    bulk.data += chunk.size;
    bulk.size -= chunk.size;
    bulk.crc = Crc32cCombine(bulk.crc, chunk.payload_crc, chunk.size);
    chunk.bulk_crc = bulk.crc;
    chunk.token = bulk.size == 0 ? bulk.token : 0;
    if (bulk.size == 0) ++bulk_head_;
  }
  Compact(bulk_, bulk_head_);
}

size_t WriteQueue::GatherChunk(const Chunk& chunk, size_t skip, iovec* vectors) const {
  iovec* next = vectors;
  if (skip < kFrameHeaderBytes) Push(next, chunk.header + skip, kFrameHeaderBytes - skip);
  const size_t data_skip = skip > kFrameHeaderBytes ? skip - kFrameHeaderBytes : 0;
  Push(next, chunk.data + data_skip, chunk.size - data_skip);
  return static_cast<size_t>(next - vectors);
}

size_t WriteQueue::Gather(iovec* vectors, size_t max) {
  // First of all: it moves the headers that the vectors point to.
  PrepareChunks();
  size_t count = 0;
  size_t chunk = chunk_head_;
  if (chunk_sent_ > 0) count += GatherChunk(chunks_[chunk++], chunk_sent_, vectors);
  for (size_t i = head_; i < whole_.size(); ++i) {
    const Whole& whole = whole_[i];
    if (count + 2 > max) return count;
    if (whole.header_left > 0) {
      const uint8_t* rest = whole.header + kFrameHeaderBytes - whole.header_left;
      vectors[count++] = {const_cast<uint8_t*>(rest), whole.header_left};
    }
    vectors[count++] = {const_cast<uint8_t*>(whole.data), whole.size};
  }
  if (count + 2 * kChunksAhead > max) return count;
  uint32_t sequence = next_sequence_;
  for (; chunk < chunks_.size(); ++chunk) {
    SealFrame(chunks_[chunk].header, sequence++, chunks_[chunk].payload_crc);
    count += GatherChunk(chunks_[chunk], 0, vectors + count);
  }
  return count;
}

void WriteQueue::Advance(size_t bytes) {
  PP_ASSERT(bytes <= queued_bytes_);
  queued_bytes_ -= bytes;
  const auto advance_chunk = [this, &bytes] {
    const Chunk& chunk = chunks_[chunk_head_];
    const size_t left = kFrameHeaderBytes + chunk.size - chunk_sent_;
    const size_t taken = std::min(left, bytes);
    if (chunk_sent_ == 0 && taken > 0) ++next_sequence_;
    chunk_sent_ += taken;
    bytes -= taken;
    if (taken < left) return;
    const uint32_t token = chunk.token;
    const uint32_t crc = chunk.bulk_crc;
    chunk_sent_ = 0;
    ++chunk_head_;
    if (token != 0) user_.OnSentToken(token, crc);
  };
  if (chunk_sent_ > 0) advance_chunk();
  while (bytes > 0 && head_ < whole_.size()) {
    Whole& whole = whole_[head_];
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
    ++head_;
    if (token != 0) user_.OnSentToken(token, 0);
  }
  while (bytes > 0) advance_chunk();
  Compact(whole_, head_);
  Compact(chunks_, chunk_head_);
}

bool WriteQueue::Settle() {
  // Borrowed elements are the newest, so what is copied can be rebuilt in place, block by block.
  size_t first = whole_.size();
  while (first > head_ && whole_[first - 1].borrowed) --first;
  if (first == whole_.size()) return true;
  std::vector<Whole> borrowed(
      std::make_move_iterator(whole_.begin() + static_cast<ptrdiff_t>(first)),
      std::make_move_iterator(whole_.end()));
  whole_.resize(first);
  for (const Whole& whole : borrowed) {
    if (!AppendCopy({whole.data, whole.size})) return false;
  }
  return true;
}

bool WriteQueue::AppendCopy(ByteSpan bytes) {
  while (!bytes.empty()) {
    const bool joins = head_ < whole_.size() && whole_.back().block &&
                       whole_.back().block.room() > 0 && whole_.back().token == 0;
    if (!joins) {
      Buffer block = pool_.Acquire();
      if (!block) return false;
      Whole& added = whole_.emplace_back();
      added.data = block.begin();
      added.block = std::move(block);
    }
    Whole& last = whole_.back();
    const size_t taken = last.block.Append(bytes.data(), bytes.size());
    last.size += taken;
    bytes = bytes.subspan(taken);
  }
  return true;
}

void WriteQueue::Clear() {
  whole_.clear();
  chunks_.clear();
  bulk_.clear();
  head_ = chunk_head_ = bulk_head_ = 0;
  chunk_sent_ = 0;
  queued_bytes_ = 0;
}

}  // namespace paipai
