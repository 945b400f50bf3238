#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "frame/frame_decoder.h"
#include "frame/frame_layout.h"
#include "loop/loop.h"
#include "socket/inbound_batch.h"
#include "socket/shared_stream.h"
#include "socket/stream.h"
#include "socket/write_queue.h"

namespace paipai {

// Who holds a framed stream. Everything that JS shall see goes into the batch; this is what the
// batch cannot carry.
class FramedStreamUser {
 public:
  // Memory for a large payload of `bytes`, kept until one of the next two; null when there is none
  // (the connection then ends).
  virtual uint8_t* OnLargeBegin(size_t bytes) = 0;
  // It is whole and checked. Returns the number that its descriptor carries.
  virtual uint32_t OnLargeDone() = 0;
  virtual void OnLargeDropped() = 0;
  // The bytes under `token` are with the kernel and no longer referenced.
  virtual void OnSentToken(uint32_t token, uint32_t crc) = 0;
  // The end; the stream is closed and references nothing from outside any more. Not called for
  // Close.
  virtual void OnClosed() = 0;

 protected:
  ~FramedStreamUser() = default;
};

// Frames over a stream. Small frames are received into the shared inbox and parsed there, without a
// copy; the rest of a payload that is large, or that has a sink, is received straight into its own
// memory. Every checksum, length and sequence number is checked before anything is reported; the
// first bad frame ends the connection. Thread: loop.
class FramedStream final : public Flushable, private StreamUser, private WriteQueue::User {
 public:
  FramedStream(Loop& loop, InboundBatch& batch, FramedStreamUser& user, uint32_t id,
               uint32_t frame_bytes_max);
  FramedStream(const FramedStream&) = delete;
  FramedStream& operator=(const FramedStream&) = delete;
  ~FramedStream() { Close(); }

  // See Stream. Either way nothing is received until Resume.
  Result<void> Connect(const Address& address) { return stream_.Connect(address); }
  Result<void> Adopt(int fd) { return stream_.Adopt(fd, Stream::Delay::kNone); }

  // Queues whole frames, borrowed until Settle; see WriteQueue. They leave with Flush.
  void SendFrames(MutableByteSpan frames);
  void SendLarge(const uint8_t* header, ByteSpan payload, uint32_t token);
  void SendBulk(uint32_t stream_id, ByteSpan bytes, uint32_t token);
  void SendBulkFrame(const uint8_t* header, ByteSpan payload, uint32_t token);
  // Copies what was borrowed and not sent.
  void Settle();
  void Flush() override;

  // STREAM_DATA of `stream_id` lands in `target`, one payload behind the other. One sink a stream.
  // What has landed is reported when the sink is full, each MiB, when nothing more has come,
  // before any other frame of the stream, and at the end. False when there is one already.
  bool SetSink(uint32_t stream_id, MutableByteSpan target);
  // Bytes still to come for it are thrown away. False when there is none.
  bool ClearSink(uint32_t stream_id);

  // Shared memory, which both directions move to, each behind a SWITCH frame: the last that goes
  // through the socket, which from then on tells nothing but the end. First both ends have a half
  // of the same pair.
  //
  //     the side that listened   | frames ... | SWITCH | by the ring ...
  //     the other, on seeing it                        | SWITCH | by the ring ...
  //
  // Each SWITCH is also reported as a frame. Without a pair it is PROTOCOL to send one.

  // Takes this end's half. Fails: INVALID_STATE when there is one, else -errno.
  Result<void> SetSharedPair(SharedPair pair);
  // Lets go of it, unless a direction has switched.
  void DropSharedPair();
  // Moves the direction of sending. False: no pair, switched already, or bulk is queued.
  bool SwitchSending();

  // Longest payload taken from now on, in bytes.
  void LimitReceived(uint32_t frame_bytes_max) { frame_bytes_max_ = frame_bytes_max; }

  void Pause();
  void Resume();
  // Sends what is queued, then an end of stream; the peer's end of stream ends the connection.
  void Shutdown();
  // Ends at once, silently: no event and no token follows.
  void Close();
  void SetKeepsAlive(bool keeps_alive) { stream_.SetKeepsAlive(keeps_alive); }

  void SetTcpOptions(bool no_delay, uint32_t keep_alive_ms) {
    stream_.SetTcpOptions(no_delay, keep_alive_ms);
  }

  size_t queued_bytes() const { return queue_.queued_bytes(); }
  uint32_t id() const { return id_; }
  int fd() const { return stream_.fd(); }

 private:
  struct Sink {
    uint32_t stream_id;
    MutableByteSpan target;
    size_t landed_bytes = 0;    // Checked.
    uint32_t crc = 0;           // Of all of them.
    size_t reported_bytes = 0;  // As the last event said.
  };
  // Where the rest of a payload goes that did not fit in the inbox.
  enum class LargeKind : uint8_t { kNone, kOwn, kSink, kDiscard };
  struct Large {
    LargeKind kind = LargeKind::kNone;
    FrameHeader header{};
    uint8_t* target = nullptr;  // Where the next byte goes; null when discarding.
    size_t left = 0;
    uint32_t crc = 0;  // Of what came so far.
  };

  // What only payloads need that do not fit in the inbox, or that have a sink.
  struct Landing {
    Large large;
    std::vector<Sink> sinks;
  };

  size_t GatherReceive(iovec* vectors, size_t max) override;
  void OnReceived(size_t bytes) override;
  size_t GatherSend(iovec* vectors, size_t max) override;
  void OnSent(size_t bytes) override;
  void OnConnected() override;
  void OnSendFailed(int32_t result) override;
  void OnEnd(int32_t result) override;
  void OnSentToken(uint32_t token, uint32_t crc) override { user_.OnSentToken(token, crc); }

  Result<void> TakeBytes(size_t bytes);
  Result<void> Parse(uint8_t* bytes, size_t size);
  // Takes whole frames out of inbox memory; the first `kept` bytes of it are in use by descriptors
  // afterwards.
  Result<void> ParseFrames(uint8_t* bytes, size_t size, size_t& kept);
  // Begins a payload of which `here` is what has come so far.
  Result<void> BeginLarge(const FrameHeader& header, LargeKind kind, ByteSpan here);
  // Counts `bytes` that lie at the large payload's target; ends it when it is whole.
  Result<void> AdvanceLarge(size_t bytes);
  Result<void> FinishLarge();
  LargeKind large_kind() const {
    return landing_ == nullptr ? LargeKind::kNone : landing_->large.kind;
  }
  // Whether the next bytes go straight into a large payload.
  bool is_landing() const {
    return large_kind() == LargeKind::kOwn || large_kind() == LargeKind::kSink;
  }
  Landing& MakeLanding();
  // Lets go of it when it holds nothing.
  void DropEmptyLanding();
  Sink* FindSink(uint32_t stream_id);
  void ReportSink(Sink& sink);
  void ReportSinks();
  void AddFrame(const FrameHeader& header, EventKind kind, uint32_t offset);
  // A SWITCH, behind which `bytes_behind` came through the same socket.
  Result<void> SwitchReceiving(size_t bytes_behind);
  void StartReceiving();
  void SendNow();
  void Fail(int32_t result);
  void Release();
  void OnQueued();
  void OnQueueEmpty();
  void SetUnsent(bool is_unsent);

  Loop& loop_;
  InboundBatch& batch_;
  FramedStreamUser& user_;
  const uint32_t id_;
  uint32_t frame_bytes_max_;
  Stream stream_;
  WriteQueue queue_;

  SequenceCheck sequence_;
  uint32_t partial_bytes_ = 0;
  // The beginning of a small frame whose rest has not come. Its own allocation, just as long as
  // needed: an idle connection holds none, and a peer that dribbles costs what it sent.
  std::unique_ptr<uint8_t[]> partial_;
  // There while there is a sink or a large payload is on its way: an idle connection has none.
  std::unique_ptr<Landing> landing_;
  uint8_t* received_at_ = nullptr;  // Where the inbox part of the receive under way begins.

  std::unique_ptr<SharedStream> shared_;
  // How many of the queued bytes still go through the socket, once SWITCH is among them.
  size_t before_switch_bytes_ = 0;

  uint32_t offered_bytes_ = 0;   // Room that the receive under way was given.
  uint32_t sent_this_turn_ = 0;  // In bytes; may pass the most of a turn by one send.
  // Nothing can be sent any more, for this reason; what has come is still read.
  int32_t send_failure_ = 0;
  bool sends_shared_ = false;     // SWITCH is queued.
  bool receives_shared_ = false;  // SWITCH has come.
  bool above_high_mark_ = false;
  bool is_unsent_ = false;  // As the loop counts it.
  bool paused_ = true;
  bool shutting_down_ = false;
  bool peer_ended_ = false;
};

}  // namespace paipai
