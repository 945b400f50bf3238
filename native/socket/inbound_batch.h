#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "frame/frame_layout.h"

namespace paipai {

enum class EventKind : uint8_t {
  kFrame = 0,       // A frame; its payload lies in the inbox at offset, length.
  kLargeFrame = 1,  // A frame; its payload is large payload number `offset` of this batch.
  kSink = 2,        // Sink of stream_id: `offset` bytes landed so far, `extra` is their CRC32C.
  kSent = 3,  // What was queued under token `extra` is with the kernel; of bulk, `argument` is the
              // CRC32C.
  kConnected = 4,       // The connection stands.
  kAccepted = 5,        // `connection` is the listener, `extra` the new connection.
  kClosed = 6,          // The connection ended; `extra` is 0 or a negative result, as int32.
  kDrain = 7,           // The send queue fell below the low mark.
  kListenerPaused = 8,  // `connection` is the listener; `extra` is why it stopped accepting.
  // Of raw streams, whose numbers are of a kind of their own.
  kRawData = 9,  // Bytes; they lie in the inbox at offset, length, or where `extra` is 1 in what
                 // was lent.
  kRawEnd = 10,  // Nothing more comes; `extra` is 0 or -errno, as int32. Of a stream that announces
                 // 0 means: behind what can be read.
  kRawDone = 11,      // What was left to do under token `extra` is done; `argument` is 0 or -errno.
  kRawReadable = 12,  // Something is there to be read, maybe an end; of a stream that announces.
};

// One event as JS reads it: eight u32 in a typed array over the same memory. lib/native/binding.ts
// has the same layout.
struct Descriptor {
  uint32_t connection = 0;
  EventKind kind{};
  uint8_t type = 0;  // FrameType.
  uint16_t flags = 0;
  uint32_t name = 0;
  uint32_t stream_id = 0;
  uint32_t argument = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  uint32_t extra = 0;
};
static_assert(sizeof(Descriptor) == 32);
static_assert(offsetof(Descriptor, kind) == 4 && offsetof(Descriptor, type) == 5 &&
              offsetof(Descriptor, flags) == 6);

// What one turn brings, all connections together: an inbox that bytes are received into and parsed
// in, and descriptors of what they mean. Filled by the core, read by JS in one call, then empty
// again. Owns neither memory. Thread: loop.
//
//   inbox        | delivered with this batch ...        | room            |
//                0                                      used_             size
class InboundBatch {
 public:
  InboundBatch(MutableByteSpan inbox, std::span<Descriptor> descriptors)
      : inbox_(inbox), descriptors_(descriptors) {}
  InboundBatch(const InboundBatch&) = delete;
  InboundBatch& operator=(const InboundBatch&) = delete;

  // Free inbox for one receive: at most `bytes_max`, and no more than could be described if it held
  // nothing but headers. Empty while a batch is being delivered, and when little is left: deliver
  // first.
  MutableByteSpan Room(size_t bytes_max) const;
  // Whether there are descriptors for a frame that needs no inbox and the report that goes before
  // it. Not while events wait for the next batch: a frame would overtake them.
  bool TakesFrame() const {
    return !delivering_ && later_.empty() && count_ + 2 <= descriptors_.size();
  }
  // The first `bytes` of the last Room hold what descriptors point to.
  void Keep(size_t bytes);
  uint32_t OffsetOf(const uint8_t* bytes) const {
    return static_cast<uint32_t>(bytes - inbox_.data());
  }

  // Memory of somebody else's for one receive of bulk, in place of the inbox.
  void Lend(MutableByteSpan memory) { lent_ = memory; }
  // What was lent, once; empty when there is none, or no descriptor for it.
  MutableByteSpan lent() const { return TakesFrame() ? lent_ : MutableByteSpan{}; }
  void TakeLent() { lent_ = {}; }

  // A frame that Room made room for.
  void AddFrame(const Descriptor& descriptor);
  // Any other event; always taken. While a batch is being delivered it joins the next.
  void AddEvent(const Descriptor& descriptor);

  // Of the batch that is being delivered, or gathered.
  size_t count() const { return count_; }
  // How many have been delivered.
  uint32_t deliveries() const { return deliveries_; }
  bool has_events() const { return count_ > 0; }
  bool is_delivering() const { return delivering_; }

  // Begins a delivery: returns how many descriptors it has. Nothing but events for the next batch
  // is added until EndDelivery.
  size_t BeginDelivery();
  void EndDelivery();

 private:
  MutableByteSpan inbox_;
  std::span<Descriptor> descriptors_;
  MutableByteSpan lent_;
  size_t used_ = 0;
  size_t count_ = 0;
  bool delivering_ = false;
  uint32_t deliveries_ = 0;
  std::vector<Descriptor> later_;
};

}  // namespace paipai
