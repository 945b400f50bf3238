#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "frame/frame_layout.h"
#include "memory/buffer_pool.h"

namespace paipai {

// What a connection still has to send, in two lanes. The frames of the first go first; bulk goes
// behind them, first in first out: stream data, cut into STREAM_DATA frames only as they leave, and
// frames that are never cut. So a frame of the first lane waits for one chunk at most, or for one
// frame of the bulk lane. Stamps sequence numbers in the order in which frames leave. Thread: loop.
//
//   on the wire:  | rest of a chunk begun | frames, first in first out | chunk | chunk | ...
class WriteQueue {
 public:
  class User {
   public:
    // The bytes queued under `token` are with the kernel; the queue has let go of them. `crc` is
    // their CRC32C when they were bulk, else 0.
    virtual void OnSentToken(uint32_t token, uint32_t crc) = 0;

   protected:
    ~User() = default;
  };

  // Bulk is cut into frames of at most `chunk_bytes_max` of payload.
  WriteQueue(BufferPool& pool, User& user, uint32_t chunk_bytes_max)
      : pool_(pool), user_(user), chunk_bytes_max_(chunk_bytes_max) {}
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;

  // Queues whole frames that lie one behind the other in `frames`, headers unfinished: seals them
  // in place. Borrowed until Settle. Returns false, with nothing queued, when their lengths do not
  // add up.
  bool AppendFrames(MutableByteSpan frames);
  // Queues one frame whose payload is referenced until OnSentToken. `header` as for SealFrame, 32
  // bytes. Settle first.
  void AppendLargeFrame(const uint8_t* header, ByteSpan payload, uint32_t token);
  // Queues `bytes` as the data of a stream in the bulk lane; referenced until OnSentToken. At least
  // 1 byte.
  void AppendBulk(uint32_t stream_id, ByteSpan bytes, uint32_t token);
  // Queues one frame in the bulk lane. `header` and `payload` as for AppendLargeFrame, but that the
  // payload may be empty.
  void AppendBulkFrame(const uint8_t* header, ByteSpan payload, uint32_t token);

  // What goes out next. Valid until something is appended, advanced or settled; and nothing is
  // appended between a Gather whose bytes the kernel took and its Advance, or a whole frame would
  // get the number of a chunk that has left.
  size_t Gather(iovec* vectors, size_t max);
  // The first `bytes` of what Gather gave are with the kernel.
  void Advance(size_t bytes);
  // Copies what is still borrowed, before its memory is used again. False when the pool has no
  // block left.
  bool Settle();

  bool empty() const { return first_.empty() && lanes_ == nullptr; }
  bool has_bulk() const { return lanes_ != nullptr && lanes_->has_bulk(); }
  // Bytes still to be sent, headers included.
  size_t queued_bytes() const { return queued_bytes_; }
  // Lets go of everything; no OnSentToken follows.
  void Clear();

 private:
  struct Whole {
    const uint8_t* data = nullptr;
    size_t size = 0;
    uint32_t token = 0;
    bool borrowed = false;
    Buffer block;  // Owns `data` when it has one.
    // Of a large frame: its header, ahead of `data`. Not in a block: each would hold one alone.
    uint8_t header[kFrameHeaderBytes];
    uint32_t header_left = 0;  // Bytes of it still to be sent.
  };
  struct Bulk {
    FrameHeader header;  // Of each of its frames, but for what depends on the payload.
    const uint8_t* data;
    size_t size;
    uint32_t token;
    size_t chunk_bytes_max;
    uint32_t crc = 0;  // Of what was cut off so far.
  };
  // A frame of the bulk lane about to leave. Its payload is checked once; its header again whenever
  // a frame of the first lane overtook it.
  struct Chunk {
    uint8_t header[kFrameHeaderBytes];
    const uint8_t* data;
    uint32_t size;
    uint32_t payload_crc;
    uint32_t token;     // Of the bulk that ends with this chunk, else 0.
    uint32_t bulk_crc;  // Of that bulk up to here.
  };

  struct Lanes {
    bool empty() const { return head == whole.size() && !has_bulk(); }
    bool has_bulk() const { return chunk_head < chunks.size() || bulk_head < bulk.size(); }

    // Vectors with a head: a std::deque holds half a KiB from the start.
    std::vector<Whole> whole;
    size_t head = 0;
    std::vector<Chunk> chunks;
    size_t chunk_head = 0;
    size_t chunk_sent = 0;  // Bytes of the first chunk, header included, that have left.
    std::vector<Bulk> bulk;
    size_t bulk_head = 0;
  };

  Lanes& MakeLanes();
  bool AppendCopy(ByteSpan bytes);
  void PrepareChunks();
  size_t GatherChunk(const Chunk& chunk, size_t skip, iovec* vectors) const;
  void AdvanceChunk(size_t& bytes);
  void AdvanceWhole(size_t& bytes);

  BufferPool& pool_;
  User& user_;
  const uint32_t chunk_bytes_max_;
  uint32_t next_sequence_ = 0;
  size_t queued_bytes_ = 0;
  // Frames that came when nothing was queued, borrowed: ahead of all in the lanes. Mostly they are
  // all there is, and gone before they are settled.
  ByteSpan first_;
  // There while something is in them, so that an idle connection has none.
  std::unique_ptr<Lanes> lanes_;
};

}  // namespace paipai
