#include "socket/raw_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "memory/pool_budget.h"

namespace paipai {
namespace {

// Of several pieces so many are given to the kernel at once; drivers do the same.
constexpr size_t kPiecesMax = 64;

Result<void> SetOption(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof(value)) == 0) return {};
  return Error::System(errno);
}

// As sendmsg(2); of one piece it costs less.
ssize_t SendPieces(int fd, std::span<const ByteSpan> pieces) {
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  if (pieces.size() == 1) return send(fd, pieces[0].data(), pieces[0].size(), kFlags);
  iovec vectors[kPiecesMax];
  msghdr message{};
  message.msg_iov = vectors;
  for (const ByteSpan piece : pieces) {
    // The kernel does not write there.
    vectors[message.msg_iovlen++] = {const_cast<uint8_t*>(piece.data()), piece.size()};
  }
  return sendmsg(fd, &message, kFlags);
}

}  // namespace

Result<size_t> RawStream::SendNow(std::span<const ByteSpan> pieces) {
  if (!stream_.is_open()) return Error::System(EBADF);
  if (has_shut_down_) return Error::System(EPIPE);
  if (is_waiting()) return size_t{0};
  ssize_t sent;
  do {
    sent = SendPieces(stream_.fd(), pieces.first(std::min(pieces.size(), kPiecesMax)));
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return static_cast<size_t>(sent);
  if (errno == EAGAIN || errno == EWOULDBLOCK) return size_t{0};
  return Error::System(errno);
}

Result<bool> RawStream::WriteAll(std::span<const ByteSpan> pieces, uint32_t token) {
  const bool was_waiting = is_waiting();
  const Result<size_t> sent = SendNow(pieces);
  if (!sent) return sent.error();
  size_t skipped = *sent;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const size_t done = std::min(skipped, pieces[i].size());
    skipped -= done;
    const ByteSpan rest = pieces[i].subspan(done);
    const bool is_last = i + 1 == pieces.size();
    // The last one is told of for all, so it waits with them even if it is empty.
    if (rest.empty() && !(is_last && is_waiting())) continue;
    Wait(rest, token, is_last ? Waiting::Kind::kLast : Waiting::Kind::kPiece, nullptr);
  }
  if (!is_waiting()) return true;
  // Of others that wait some are being sent, and what comes of it is not known yet.
  if (!was_waiting) stream_.Send();
  return false;
}

Result<bool> RawStream::WriteCopy(ByteSpan bytes, uint32_t token) {
  const bool was_waiting = is_waiting();
  const Result<size_t> sent = SendNow({&bytes, 1});
  if (!sent) return sent.error();
  const ByteSpan rest = bytes.subspan(*sent);
  if (rest.empty() && !was_waiting) return true;
  auto own = std::make_unique<uint8_t[]>(rest.size());
  std::copy(rest.begin(), rest.end(), own.get());
  const ByteSpan kept{own.get(), rest.size()};
  Wait(kept, token, Waiting::Kind::kLast, std::move(own));
  if (!was_waiting) stream_.Send();
  return false;
}

void RawStream::Wait(ByteSpan bytes, uint32_t token, Waiting::Kind kind,
                     std::unique_ptr<uint8_t[]> own) {
  queued_bytes_ += bytes.size();
  waiting_.push_back({bytes, token, kind, std::move(own)});
}

// As libuv has it: of who closes in the same turn, with bytes unread, the other side sees the reset
// and no end before it.
void RawStream::ShutDown(uint32_t token) {
  has_shut_down_ = true;
  if (is_waiting()) return Wait({}, token, Waiting::Kind::kShutDown, nullptr);
  shut_down_token_ = token;
  loop_.RequestEnd(*this);
}

void RawStream::FinishShutDown() {
  if (!is_linked()) return;
  Unlink();
  Flush();
}

void RawStream::Flush() {
  stream_.ShutdownSending();
  user_.OnDone(shut_down_token_, 0);
}

void RawStream::Resume() {
  if (!has_ended_) stream_.StartReceiving();
}

void RawStream::Close(bool resets) {
  if (!stream_.is_open()) return;
  if (resets) {
    const linger none{1, 0};
    setsockopt(stream_.fd(), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
  }
  Unlink();
  stream_.Close();
  waiting_.clear();
  first_ = 0;
  queued_bytes_ = 0;
}

Result<void> RawStream::SetNoDelay(bool no_delay) {
  return SetOption(stream_.fd(), IPPROTO_TCP, TCP_NODELAY, no_delay);
}

// One second between probes, ten of them, as libuv has it.
Result<void> RawStream::SetKeepAlive(bool keep_alive, uint32_t idle_seconds) {
  Result<void> set = SetOption(stream_.fd(), SOL_SOCKET, SO_KEEPALIVE, keep_alive);
  if (!set || !keep_alive || idle_seconds == 0) return set;
#ifdef __linux__
  set = SetOption(stream_.fd(), IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(idle_seconds));
  if (set) set = SetOption(stream_.fd(), IPPROTO_TCP, TCP_KEEPINTVL, 1);
  if (set) set = SetOption(stream_.fd(), IPPROTO_TCP, TCP_KEEPCNT, 10);
#endif
  return set;
}

Result<size_t> RawStream::Read(MutableByteSpan room) {
  ssize_t received;
  do {
    received = recv(stream_.fd(), room.data(), room.size(), MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return Error::System(errno);
  return static_cast<size_t>(received);
}

void RawStream::TellReadable() {
  if (announced_at_ == batch_.deliveries()) return;
  announced_at_ = batch_.deliveries();
  Descriptor readable;
  readable.connection = id_;
  readable.kind = EventKind::kRawReadable;
  // As an event that always finds a place: an end must not overtake it.
  batch_.AddEvent(readable);
}

size_t RawStream::GatherReceive(iovec* vectors, size_t) {
  if (announces_) {
    TellReadable();
    return 0;
  }
  is_drained_ = false;
  if (filled_at_ == batch_.deliveries()) return 0;
  room_ = is_bulk_ ? batch_.lent() : MutableByteSpan{};
  is_lent_ = !room_.empty();
  if (!is_lent_) room_ = batch_.Room(kReceiveBytesMax);
  if (room_.empty()) return 0;
  vectors[0] = {room_.data(), room_.size()};
  return 1;
}

void RawStream::OnReceived(size_t bytes) {
  Descriptor data;
  data.connection = id_;
  data.kind = EventKind::kRawData;
  data.length = static_cast<uint32_t>(bytes);
  is_bulk_ = bytes >= kReceiveBytesMax;
  is_drained_ = bytes < room_.size();
  if (is_bulk_) filled_at_ = batch_.deliveries();
  if (is_lent_) {
    data.extra = 1;
    batch_.TakeLent();
  } else {
    data.offset = batch_.OffsetOf(room_.data());
    batch_.Keep(bytes);
  }
  batch_.AddFrame(data);
}

size_t RawStream::GatherSend(iovec* vectors, size_t max) {
  size_t count = 0;
  for (size_t i = first_; i < waiting_.size() && count < max; ++i) {
    const Waiting& each = waiting_[i];
    if (each.kind == Waiting::Kind::kShutDown) break;
    vectors[count++] = {const_cast<uint8_t*>(each.bytes.data()), each.bytes.size()};
  }
  return count;
}

void RawStream::OnSent(size_t bytes) {
  PP_ASSERT(bytes <= queued_bytes_);
  queued_bytes_ -= bytes;
  while (is_waiting()) {
    Waiting& first = waiting_[first_];
    if (first.kind == Waiting::Kind::kShutDown) {
      stream_.ShutdownSending();
    } else {
      const size_t taken = std::min(bytes, first.bytes.size());
      first.bytes = first.bytes.subspan(taken);
      bytes -= taken;
      if (!first.bytes.empty()) break;
    }
    PopFirst(0);
  }
  if (is_waiting()) stream_.Send();
}

void RawStream::PopFirst(int32_t result) {
  Waiting first = std::move(waiting_[first_]);
  // Many small ones must not be moved up for each that leaves.
  if (++first_ == waiting_.size()) {
    waiting_.clear();
    first_ = 0;
  } else if (2 * first_ >= waiting_.size()) {
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }
  if (first.kind != Waiting::Kind::kPiece) user_.OnDone(first.token, result);
}

void RawStream::EndWaiting(int32_t result) {
  queued_bytes_ = 0;
  while (is_waiting()) PopFirst(result);
}

void RawStream::OnSendFailed(int32_t result) {
  // Whichever direction the kernel asks first is told of a reset, and the other is not. It is an
  // end of both, and who reads hears of it as that.
  if (stream_.is_receiving()) OnEnd(result);
  EndWaiting(result);
}

// As libuv had it before 1.52: of a connection that was reset behind its last bytes the end is
// seen, and not the reset.
void RawStream::OnHangUp() {
  if (!stream_.is_receiving()) return;
  if (announces_) {
    TellEnd(0);
  } else if (is_drained_) {
    OnEnd(0);
  }
}

void RawStream::OnEnd(int32_t result) {
  if (std::exchange(has_ended_, true)) return;
  stream_.StopReceiving();
  TellEnd(result);
}

void RawStream::TellEnd(int32_t result) {
  Descriptor end;
  end.connection = id_;
  end.kind = EventKind::kRawEnd;
  end.extra = static_cast<uint32_t>(result);
  batch_.AddEvent(end);
}

}  // namespace paipai
