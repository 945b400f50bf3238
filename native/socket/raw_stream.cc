#include "socket/raw_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "memory/pool_budget.h"

namespace paipai {
namespace {

Result<void> SetOption(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof(value)) == 0) return {};
  return Error::System(errno);
}

}  // namespace

Result<bool> RawStream::Write(ByteSpan bytes, uint32_t token, bool copies) {
  if (!stream_.is_open()) return Error::System(EBADF);
  if (waiting_.empty()) {
    ssize_t sent;
    do {
      sent = send(stream_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return Error::System(errno);
    if (sent > 0) bytes = bytes.subspan(static_cast<size_t>(sent));
    if (bytes.empty()) return true;
  }
  Waiting rest{bytes.data(), bytes.size(), token, false, nullptr};
  if (copies) {
    rest.own = std::make_unique<uint8_t[]>(bytes.size());
    std::memcpy(rest.own.get(), bytes.data(), bytes.size());
    rest.data = rest.own.get();
  }
  queued_bytes_ += rest.size;
  waiting_.push_back(std::move(rest));
  // Of others that wait some are being sent, and what comes of it is not known yet.
  if (waiting_.size() == 1) stream_.Send();
  return false;
}

void RawStream::ShutDown(uint32_t token) {
  if (waiting_.empty()) {
    stream_.ShutdownSending();
    user_.OnDone(token, 0);
    return;
  }
  waiting_.push_back({nullptr, 0, token, true, nullptr});
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
  stream_.Close();
  waiting_.clear();
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

size_t RawStream::GatherReceive(iovec* vectors, size_t) {
  if (filled_at_ == batch_.deliveries()) return 0;
  const MutableByteSpan room = batch_.Room(kReceiveBytesMax);
  if (room.empty()) return 0;
  received_at_ = room.data();
  vectors[0] = {room.data(), room.size()};
  return 1;
}

void RawStream::OnReceived(size_t bytes) {
  Descriptor data;
  data.connection = id_;
  data.kind = EventKind::kRawData;
  data.offset = batch_.OffsetOf(received_at_);
  data.length = static_cast<uint32_t>(bytes);
  if (bytes == kReceiveBytesMax) filled_at_ = batch_.deliveries();
  batch_.Keep(bytes);
  batch_.AddFrame(data);
}

size_t RawStream::GatherSend(iovec* vectors, size_t max) {
  size_t count = 0;
  for (const Waiting& each : waiting_) {
    if (count == max || each.shuts_down) break;
    // The kernel does not write there.
    vectors[count++] = {const_cast<uint8_t*>(each.data), each.size};
  }
  return count;
}

void RawStream::OnSent(size_t bytes) {
  PP_ASSERT(bytes <= queued_bytes_);
  queued_bytes_ -= bytes;
  while (!waiting_.empty()) {
    Waiting& first = waiting_.front();
    if (first.shuts_down) {
      stream_.ShutdownSending();
    } else {
      const size_t taken = std::min(bytes, first.size);
      first.data += taken;
      first.size -= taken;
      bytes -= taken;
      if (first.size > 0) break;
    }
    const uint32_t token = first.token;
    waiting_.erase(waiting_.begin());
    user_.OnDone(token, 0);
  }
  if (!waiting_.empty()) stream_.Send();
}

void RawStream::EndWaiting(int32_t result) {
  queued_bytes_ = 0;
  while (!waiting_.empty()) {
    const uint32_t token = waiting_.front().token;
    waiting_.erase(waiting_.begin());
    user_.OnDone(token, result);
  }
}

void RawStream::OnSendFailed(int32_t result) {
  // Whichever direction the kernel asks first is told of a reset, and the other is not. It is an
  // end of both, and who reads hears of it as that.
  if (stream_.is_receiving()) OnEnd(result);
  EndWaiting(result);
}

void RawStream::OnEnd(int32_t result) {
  if (std::exchange(has_ended_, true)) return;
  stream_.StopReceiving();
  Descriptor end;
  end.connection = id_;
  end.kind = EventKind::kRawEnd;
  end.extra = static_cast<uint32_t>(result);
  batch_.AddEvent(end);
}

}  // namespace paipai
