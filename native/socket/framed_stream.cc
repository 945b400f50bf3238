#include "socket/framed_stream.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/crc32c.h"
#include "frame/frame_encoder.h"
#include "frame/several.h"
#include "memory/pool_budget.h"

namespace paipai {
namespace {

// What one connection may send in one turn: for so long nothing that comes is looked at.
constexpr size_t kSendBytesPerTurn = size_t{128} << 10;
// How bulk is cut: a whole frame waits for the rest of one such chunk, at most. The wire allows
// twice as much, which is no faster.
constexpr uint32_t kBulkChunkBytes = uint32_t{128} << 10;
static_assert(kBulkChunkBytes <= kChunkBytesMax);
// How often a sink that is filling up is worth a call into JS.
constexpr size_t kSinkReportBytes = size_t{1} << 20;
// Marks of the send queue, as in lib/transport/limits.ts: JS waits above the first until it is told
// that the queue fell to the second.
constexpr size_t kHighMarkBytes = size_t{1} << 20;
constexpr size_t kLowMarkBytes = size_t{256} << 10;
// JS counts its outbox as well. What it saw above the high mark may be no more than this here, and
// shorter still by the time the outbox is taken.
constexpr size_t kHighMarkWithoutOutboxBytes = kHighMarkBytes - kOutboxBytes;
static_assert(kHighMarkWithoutOutboxBytes > kLowMarkBytes);
// Frames of several are parsed in the inbox, never assembled.
static_assert(kSeveralBytesMax <= kInPlaceBytesMax);

}  // namespace

FramedStream::FramedStream(Loop& loop, InboundBatch& batch, FramedStreamUser& user, uint32_t id,
                           uint32_t frame_bytes_max)
    : loop_(loop),
      batch_(batch),
      user_(user),
      id_(id),
      frame_bytes_max_(frame_bytes_max),
      stream_(loop, *this),
      queue_(loop.pool(), *this, std::min(kBulkChunkBytes, frame_bytes_max)) {}

// Sending.

void FramedStream::SendFrames(MutableByteSpan frames) {
  if (!stream_.is_open()) return;
  // Frames are written by our own JS; lengths that do not add up mean that it is broken.
  PP_ASSERT(queue_.AppendFrames(frames));
  OnQueued();
}

void FramedStream::SendLarge(const uint8_t* header, ByteSpan payload, uint32_t token) {
  if (!stream_.is_open()) return;
  Settle();
  if (!stream_.is_open()) return;
  queue_.AppendLargeFrame(header, payload, token);
  OnQueued();
}

void FramedStream::SendBulk(uint32_t stream_id, ByteSpan bytes, uint32_t token) {
  if (!stream_.is_open()) return;
  stream_.KeepUnsentShort();
  queue_.AppendBulk(stream_id, bytes, token);
  OnQueued();
}

void FramedStream::SendBulkFrame(const uint8_t* header, ByteSpan payload, uint32_t token) {
  if (!stream_.is_open()) return;
  stream_.KeepUnsentShort();
  queue_.AppendBulkFrame(header, payload, token);
  OnQueued();
}

void FramedStream::OnQueued() {
  if (queue_.queued_bytes() > kHighMarkWithoutOutboxBytes) above_high_mark_ = true;
  SetUnsent(true);
  loop_.RequestFlush(*this);
}

void FramedStream::Settle() {
  if (!queue_.Settle()) Fail(Error::Of(ErrorCode::POOL_EXHAUSTED).result());
}

void FramedStream::Flush() {
  sent_this_turn_ = 0;
  if (queue_.empty()) {
    OnQueueEmpty();
    return;
  }
  if (send_failure_ == 0) SendNow();
}

void FramedStream::SendNow() {
  if (sends_shared_ && before_switch_bytes_ == 0) {
    shared_->Send();
  } else {
    stream_.Send();
  }
}

size_t FramedStream::GatherSend(iovec* vectors, size_t max) {
  const size_t count = queue_.Gather(vectors, max);
  if (before_switch_bytes_ == 0) return count;
  size_t left = before_switch_bytes_;
  for (size_t i = 0; i < count; ++i) {
    vectors[i].iov_len = std::min(vectors[i].iov_len, left);
    left -= vectors[i].iov_len;
    if (left == 0) return i + 1;
  }
  return count;
}

void FramedStream::OnSent(size_t bytes) {
  queue_.Advance(bytes);
  before_switch_bytes_ -= std::min(before_switch_bytes_, bytes);
  if (above_high_mark_ && queue_.queued_bytes() < kLowMarkBytes) {
    above_high_mark_ = false;
    Descriptor drained;
    drained.connection = id_;
    drained.kind = EventKind::kDrain;
    batch_.AddEvent(drained);
  }
  if (queue_.empty()) {
    OnQueueEmpty();
    return;
  }
  sent_this_turn_ += static_cast<uint32_t>(bytes);
  if (sent_this_turn_ < kSendBytesPerTurn) {
    SendNow();
  } else {
    loop_.RequestFlush(*this);
  }
}

void FramedStream::SetUnsent(bool is_unsent) {
  if (std::exchange(is_unsent_, is_unsent) == is_unsent) return;
  if (is_unsent) {
    loop_.AddUnsent();
  } else {
    loop_.RemoveUnsent();
  }
}

void FramedStream::OnQueueEmpty() {
  SetUnsent(false);
  if (peer_ended_) {
    Fail(0);
  } else if (shutting_down_ && stream_.is_connected()) {
    stream_.ShutdownSending();
  }
}

void FramedStream::OnConnected() {
  Descriptor connected;
  connected.connection = id_;
  connected.kind = EventKind::kConnected;
  batch_.AddEvent(connected);
  if (!paused_) StartReceiving();
  loop_.RequestFlush(*this);
}

void FramedStream::StartReceiving() {
  // Also when all bytes come by the ring: the end does not.
  stream_.StartReceiving();
  if (receives_shared_) shared_->StartReceiving();
}

// Shared memory.

Result<void> FramedStream::SetSharedPair(SharedPair pair) {
  if (shared_ != nullptr || !stream_.is_open()) return Error::Of(ErrorCode::INVALID_STATE);
  StreamUser& user = *this;
  auto shared = std::make_unique<SharedStream>(loop_, user, std::move(pair));
  Result<void> opened = shared->Open();
  if (opened) shared_ = std::move(shared);
  return opened;
}

void FramedStream::DropSharedPair() {
  if (!sends_shared_ && !receives_shared_) shared_.reset();
}

bool FramedStream::SwitchSending() {
  if (shared_ == nullptr || sends_shared_ || queue_.has_bulk()) return false;
  // What JS queued before goes before.
  Settle();
  if (!stream_.is_open()) return false;
  uint8_t frame[kFrameHeaderBytes];
  FrameHeader header{};
  header.type = FrameType::kSwitch;
  WriteFrameHeader(frame, header);
  PP_ASSERT(queue_.AppendFrames(frame));
  sends_shared_ = true;
  before_switch_bytes_ = queue_.queued_bytes();
  Settle();
  if (!stream_.is_open()) return false;
  OnQueued();
  return true;
}

Result<void> FramedStream::SwitchReceiving(size_t bytes_behind) {
  if (shared_ == nullptr || receives_shared_ || bytes_behind > 0) {
    return Error::Of(ErrorCode::PROTOCOL);
  }
  receives_shared_ = true;
  stream_.ExpectEndOnly();
  if (!sends_shared_ && !SwitchSending()) return Error::Of(ErrorCode::PROTOCOL);
  if (!paused_) shared_->StartReceiving();
  return {};
}

// Receiving.

size_t FramedStream::GatherReceive(iovec* vectors, size_t) {
  if (is_landing()) {
    if (!batch_.TakesFrame()) return 0;
    const Large& large = landing_->large;
    const size_t ahead = large.left > kInPlaceBytesMax ? kReadAheadBytes : kReceiveBytesMax;
    MutableByteSpan room = batch_.Room(ahead);
    vectors[0] = {large.target, large.left};
    received_at_ = room.data();
    offered_bytes_ = static_cast<uint32_t>(large.left + room.size());
    if (room.empty()) return 1;
    vectors[1] = {room.data(), room.size()};
    return 2;
  }
  MutableByteSpan room = batch_.Room(kReceiveBytesMax);
  if (room.empty()) return 0;
  received_at_ = room.data();
  // Room is never less than a partial frame and its rest: see kRoomBytesMin and kInPlaceBytesMax.
  if (partial_bytes_ > 0) std::memcpy(room.data(), partial_.get(), partial_bytes_);
  vectors[0] = {room.data() + partial_bytes_, room.size() - partial_bytes_};
  offered_bytes_ = static_cast<uint32_t>(room.size() - partial_bytes_);
  return 1;
}

void FramedStream::OnReceived(size_t bytes) {
  Result<void> taken = TakeBytes(bytes);
  if (!taken) {
    Fail(taken.error().result());
    return;
  }
  // Nothing more lies in the socket, and the peer may be waiting for credit that what landed frees.
  if (bytes < offered_bytes_) ReportSinks();
}

Result<void> FramedStream::TakeBytes(size_t bytes) {
  if (is_landing()) {
    const size_t taken = std::min(bytes, landing_->large.left);
    Result<void> advanced = AdvanceLarge(taken);
    if (!advanced) return advanced;
    if (bytes == taken) return {};
    return Parse(received_at_, bytes - taken);
  }
  const size_t size = std::exchange(partial_bytes_, 0u) + bytes;
  partial_.reset();
  return Parse(received_at_, size);
}

Result<void> FramedStream::Parse(uint8_t* bytes, size_t size) {
  size_t kept = 0;
  Result<void> parsed = ParseFrames(bytes, size, kept);
  // Also after a failure: the frames before the bad one are delivered.
  batch_.Keep(kept);
  return parsed;
}

Result<void> FramedStream::ParseFrames(uint8_t* bytes, size_t size, size_t& kept) {
  uint8_t* next = bytes;
  const uint8_t* end = bytes + size;
  while (next < end) {
    const size_t here = static_cast<size_t>(end - next);
    if (large_kind() == LargeKind::kDiscard) {
      Large& large = landing_->large;
      const size_t taken = std::min(here, large.left);
      large.crc = Crc32cExtend(large.crc, {next, taken});
      large.left -= taken;
      next += taken;
      if (large.left > 0) break;
      if (large.crc != large.header.payload_crc) {
        return Error::Of(ErrorCode::FRAME_PAYLOAD_CHECKSUM);
      }
      large = Large{};
      DropEmptyLanding();
      continue;
    }
    size_t wanted = kFrameHeaderBytes;
    if (here >= kFrameHeaderBytes) {
      Result<FrameHeader> checked = CheckHeader(
          std::span<const uint8_t, kFrameHeaderBytes>(next, kFrameHeaderBytes), frame_bytes_max_);
      if (!checked) return checked.error();
      const FrameHeader& header = *checked;
      wanted += header.payload_bytes;
      const bool whole = here >= wanted;
      uint8_t* payload = next + kFrameHeaderBytes;
      // Data with flags or without a byte break a rule of the session, so the session shall see
      // them.
      const bool sinks = header.type == FrameType::kStreamData && header.flags == 0 &&
                         header.payload_bytes > 0 && FindSink(header.stream_id) != nullptr;
      if (sinks || (!whole && header.payload_bytes > kInPlaceBytesMax)) {
        if (!sequence_.Accept(header.sequence)) return Error::Of(ErrorCode::FRAME_SEQUENCE);
        const size_t taken = std::min<size_t>(here - kFrameHeaderBytes, header.payload_bytes);
        Result<void> begun =
            BeginLarge(header, sinks ? LargeKind::kSink : LargeKind::kOwn, {payload, taken});
        if (!begun) return begun;
        next += kFrameHeaderBytes + taken;
        continue;
      }
      if (whole) {
        if (!sequence_.Accept(header.sequence)) return Error::Of(ErrorCode::FRAME_SEQUENCE);
        Result<void> intact = CheckPayload(header, {payload, header.payload_bytes});
        if (intact && header.type >= FrameType::kRequests) {
          intact = CheckSeveral({payload, header.payload_bytes}, frame_bytes_max_);
        }
        if (!intact) return intact;
        AddFrame(header, EventKind::kFrame, batch_.OffsetOf(payload));
        next += wanted;
        kept = static_cast<size_t>(next - bytes);
        if (header.type == FrameType::kSwitch) {
          Result<void> switched = SwitchReceiving(static_cast<size_t>(end - next));
          if (!switched) return switched;
        }
        continue;
      }
    }
    // The beginning of a small frame: it waits outside the inbox, which others use meanwhile.
    partial_ = std::make_unique_for_overwrite<uint8_t[]>(here);
    partial_bytes_ = static_cast<uint32_t>(here);
    std::memcpy(partial_.get(), next, here);
    break;
  }
  return {};
}

FramedStream::Landing& FramedStream::MakeLanding() {
  if (landing_ == nullptr) landing_ = std::make_unique<Landing>();
  return *landing_;
}

void FramedStream::DropEmptyLanding() {
  if (large_kind() == LargeKind::kNone && landing_ != nullptr && landing_->sinks.empty()) {
    landing_.reset();
  }
}

Result<void> FramedStream::BeginLarge(const FrameHeader& header, LargeKind kind, ByteSpan here) {
  Large& large = MakeLanding().large;
  large.kind = kind;
  large.header = header;
  large.left = header.payload_bytes;
  large.crc = 0;
  if (kind == LargeKind::kSink) {
    Sink& sink = *FindSink(header.stream_id);
    const MutableByteSpan room = sink.target.subspan(sink.landed_bytes);
    if (header.payload_bytes > room.size()) {
      large = Large{};
      return Error::Of(ErrorCode::SINK_OVERFLOW);
    }
    large.target = room.data();
  } else {
    large.target = user_.OnLargeBegin(header.payload_bytes);
    if (large.target == nullptr) {
      large = Large{};
      return Error::Of(ErrorCode::POOL_EXHAUSTED);
    }
  }
  if (!here.empty()) std::memcpy(large.target, here.data(), here.size());
  return AdvanceLarge(here.size());
}

Result<void> FramedStream::AdvanceLarge(size_t bytes) {
  Large& large = landing_->large;
  large.crc = Crc32cExtend(large.crc, {large.target, bytes});
  large.target += bytes;
  large.left -= bytes;
  return large.left == 0 ? FinishLarge() : Result<void>();
}

Result<void> FramedStream::FinishLarge() {
  Large& large = landing_->large;
  if (large.crc != large.header.payload_crc) return Error::Of(ErrorCode::FRAME_PAYLOAD_CHECKSUM);
  const Large done = std::exchange(large, Large{});
  DropEmptyLanding();
  if (done.kind == LargeKind::kOwn) {
    AddFrame(done.header, EventKind::kLargeFrame, user_.OnLargeDone());
    return {};
  }
  Sink& sink = *FindSink(done.header.stream_id);
  sink.landed_bytes += done.header.payload_bytes;
  sink.crc = Crc32cCombine(sink.crc, done.crc, done.header.payload_bytes);
  const bool is_full = sink.landed_bytes == sink.target.size();
  if (is_full || sink.landed_bytes - sink.reported_bytes >= kSinkReportBytes) ReportSink(sink);
  return {};
}

void FramedStream::AddFrame(const FrameHeader& header, EventKind kind, uint32_t offset) {
  Sink* sink = FindSink(header.stream_id);
  if (sink != nullptr && sink->reported_bytes < sink->landed_bytes) ReportSink(*sink);
  Descriptor frame;
  frame.connection = id_;
  frame.kind = kind;
  frame.type = static_cast<uint8_t>(header.type);
  frame.flags = header.flags;
  frame.name = header.name;
  frame.stream_id = header.stream_id;
  frame.argument = header.argument;
  frame.offset = offset;
  frame.length = header.payload_bytes;
  batch_.AddFrame(frame);
}

// Sinks. A connection has a handful at a time: as many as shards are under way.

FramedStream::Sink* FramedStream::FindSink(uint32_t stream_id) {
  if (landing_ == nullptr) return nullptr;
  for (Sink& sink : landing_->sinks) {
    if (sink.stream_id == stream_id) return &sink;
  }
  return nullptr;
}

bool FramedStream::SetSink(uint32_t stream_id, MutableByteSpan target) {
  if (stream_id == 0 || FindSink(stream_id) != nullptr) return false;
  Sink& sink = MakeLanding().sinks.emplace_back();
  sink.stream_id = stream_id;
  sink.target = target;
  return true;
}

bool FramedStream::ClearSink(uint32_t stream_id) {
  Sink* sink = FindSink(stream_id);
  if (sink == nullptr) return false;
  auto& [large, sinks] = *landing_;
  if (large.kind == LargeKind::kSink && large.header.stream_id == stream_id) {
    large.kind = LargeKind::kDiscard;
    large.target = nullptr;
  }
  *sink = sinks.back();
  sinks.pop_back();
  DropEmptyLanding();
  return true;
}

void FramedStream::ReportSinks() {
  if (landing_ == nullptr) return;
  for (Sink& sink : landing_->sinks) {
    if (sink.reported_bytes < sink.landed_bytes) ReportSink(sink);
  }
}

void FramedStream::ReportSink(Sink& sink) {
  sink.reported_bytes = sink.landed_bytes;
  Descriptor landed;
  landed.connection = id_;
  landed.kind = EventKind::kSink;
  landed.stream_id = sink.stream_id;
  landed.offset = static_cast<uint32_t>(sink.landed_bytes);
  landed.extra = sink.crc;
  batch_.AddEvent(landed);
}

// Ends.

void FramedStream::Pause() {
  if (send_failure_ != 0) return;  // Only the end is still to come.
  paused_ = true;
  stream_.StopReceiving();
  if (shared_ != nullptr) shared_->StopReceiving();
}

void FramedStream::Resume() {
  paused_ = false;
  StartReceiving();
}

void FramedStream::Shutdown() {
  if (shutting_down_ || !stream_.is_open()) return;
  shutting_down_ = true;
  // Whoever ends wants to see the peer's end too.
  Resume();
  loop_.RequestFlush(*this);
}

void FramedStream::OnSendFailed(int32_t result) {
  // A peer that went away may have said why, and that lies unread: the end of the reading side
  // follows by itself.
  const bool is_gone = result == -EPIPE || result == -ECONNRESET;
  const bool is_ending = shared_ != nullptr && shared_->is_ending();
  if (is_gone && (stream_.is_receiving() || is_ending)) {
    send_failure_ = result;
  } else {
    Fail(result);
  }
}

void FramedStream::OnEnd(int32_t result) {
  if (receives_shared_ && shared_->EndAfterBytes(result)) return;
  if (send_failure_ != 0) {
    Fail(send_failure_);
    return;
  }
  const bool inside_frame = partial_bytes_ > 0 || large_kind() != LargeKind::kNone;
  if (result == 0 && inside_frame) result = Error::Of(ErrorCode::FRAME_TRUNCATED).result();
  if (result < 0) {
    Fail(result);
    return;
  }
  // The peer has said all it had to say, but may still read: it gets what is queued.
  peer_ended_ = true;
  loop_.RequestFlush(*this);
}

void FramedStream::Fail(int32_t result) {
  if (!stream_.is_open()) return;
  ReportSinks();
  Release();
  Descriptor closed;
  closed.connection = id_;
  closed.kind = EventKind::kClosed;
  closed.extra = static_cast<uint32_t>(result);
  batch_.AddEvent(closed);
  user_.OnClosed();
}

void FramedStream::Close() {
  if (stream_.is_open()) Release();
}

void FramedStream::Release() {
  stream_.Close();
  if (shared_ != nullptr) shared_->Close();
  queue_.Clear();
  SetUnsent(false);
  if (large_kind() == LargeKind::kOwn) user_.OnLargeDropped();
  landing_.reset();
  partial_.reset();
  partial_bytes_ = 0;
  Unlink();
}

}  // namespace paipai
