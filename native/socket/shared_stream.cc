#include "socket/shared_stream.h"

#include <errno.h>
#include <unistd.h>

#include <utility>

#include "memory/pool_budget.h"

namespace paipai {
namespace {

constexpr size_t kVectorsMax = 64;
// Who has received so much since it slept is taken to be in the middle of bulk.
constexpr size_t kBulkBytes = size_t{64} << 10;

}  // namespace

Result<void> SharedStream::Open() {
  Result<uint32_t> slot = loop_.driver().Attach(pair_.own_wake.get());
  if (!slot) return slot.error();
  Result<uint32_t> link_slot = loop_.driver().Attach(pair_.link.get());
  if (!link_slot) {
    loop_.driver().Detach(*slot);
    return link_slot.error();
  }
  slot_ = *slot;
  link_slot_ = *link_slot;
  open_ = true;
  // The socket beside them is what keeps the process.
  loop_.driver().SetKeepsAlive(slot_, false);
  loop_.driver().SetKeepsAlive(link_slot_, false);
  loop_.driver().Submit(slot_, woken_);
  loop_.driver().Submit(link_slot_, let_go_);
  return {};
}

void SharedStream::Close() {
  if (!std::exchange(open_, false)) return;
  Unlink();
  loop_.driver().Cancel(woken_);
  loop_.driver().Cancel(let_go_);
  loop_.driver().Detach(slot_);
  loop_.driver().Detach(link_slot_);
  pair_.link.Close();
}

void SharedStream::StartReceiving() {
  if (!open_ || end_ == End::kTold) return;
  receives_ = true;
  loop_.Wake(*this);
}

void SharedStream::Send() {
  if (std::exchange(sending_, true)) {
    sends_again_ = true;
    return;
  }
  do {
    sends_again_ = false;
    iovec vectors[kVectorsMax];
    const size_t count = open_ ? user_.GatherSend(vectors, kVectorsMax) : 0;
    size_t sent = 0;
    bool is_full = false;
    for (size_t i = 0; i < count && !is_full; ++i) {
      const ByteSpan bytes{static_cast<const uint8_t*>(vectors[i].iov_base), vectors[i].iov_len};
      const Result<size_t> written = writer_.Write(bytes);
      if (!written) {
        FailSending(written.error());
        return;
      }
      sent += *written;
      is_full = *written < bytes.size();
    }
    if (is_full && is_let_go_) {
      FailSending(Error::System(EPIPE));
      return;
    }
    if (is_full) {
      // Polled until there is room; before the loop sleeps, the other end is asked to wake it.
      waits_for_room_ = true;
      loop_.Wake(*this);
    }
    if (sent == 0) break;
    if (writer_.Publish()) Wake();
    user_.OnSent(sent);
  } while (open_ && sends_again_ && !waits_for_room_);
  sending_ = false;
}

bool SharedStream::EndAfterBytes(int32_t result) {
  if (!open_ || end_ == End::kTold) return false;
  // A socket that is asked again, as after a pause, ends again.
  if (end_ == End::kBehindBytes) return true;
  const Result<bool> has_bytes = reader_.HasBytes();
  if (!has_bytes || !*has_bytes) return false;
  end_ = End::kBehindBytes;
  end_result_ = result;
  loop_.Wake(*this);
  return true;
}

bool SharedStream::Poll() {
  bool did = Receive();
  if (open_ && waits_for_room_) {
    const Result<bool> has_room = writer_.HasRoom();
    if (!has_room) {
      FailSending(has_room.error());
      return true;
    }
    if (*has_room) {
      waits_for_room_ = false;
      Send();
      did = true;
    }
  }
  return did;
}

bool SharedStream::Receive() {
  size_t total = 0;
  while (total < kReceiveBytesPerTurn && open_ && receives_) {
    const Result<bool> has_bytes = reader_.HasBytes();
    if (!has_bytes) {
      FailReceiving(has_bytes.error());
      return true;
    }
    if (!*has_bytes) {
      if (end_ != End::kBehindBytes) return total > 0;
      end_ = End::kTold;
      receives_ = false;
      user_.OnEnd(end_result_);
      return true;
    }
    iovec vectors[kVectorsMax];
    const size_t count = user_.GatherReceive(vectors, kVectorsMax);
    size_t received = 0;
    for (size_t v = 0; v < count; ++v) {
      const MutableByteSpan room{static_cast<uint8_t*>(vectors[v].iov_base), vectors[v].iov_len};
      const Result<size_t> read = reader_.Read(room);
      if (!read) {
        FailReceiving(read.error());
        return true;
      }
      received += *read;
      if (*read < room.size()) break;
    }
    // No room in this turn: the bytes stay, and so does this one among the awake.
    if (received == 0) return total > 0;
    total += received;
    received_bytes_ += received;
    if (reader_.ShouldPublish() && reader_.Publish()) Wake();
    user_.OnReceived(received);
  }
  return total > 0;
}

bool SharedStream::ExpectsMore() const {
  return waits_for_room_ || (receives_ && received_bytes_ >= kBulkBytes);
}

bool SharedStream::PrepareSleep() {
  // Paused: nothing is to be done whatever comes, and Resume wakes it.
  if (receives_) {
    const Result<bool> is_empty = reader_.PrepareSleep();
    // What cannot be is found by the next poll, and so are bytes.
    if (!is_empty || !*is_empty || end_ == End::kBehindBytes) return false;
  }
  if (waits_for_room_) {
    const Result<bool> is_full = writer_.PrepareSleep();
    if (!is_full || !*is_full) return false;
  }
  received_bytes_ = 0;
  return true;
}

void SharedStream::Wake() {
  const uint64_t one = 1;
  // It fails only when the counter is at its end, and then the other end has been woken.
  [[maybe_unused]] const ssize_t written = write(pair_.peer_wake.get(), &one, sizeof(one));
}

void SharedStream::FailSending(Error error) {
  sending_ = false;
  waits_for_room_ = false;
  user_.OnSendFailed(error.result());
}

void SharedStream::FailReceiving(Error error) {
  receives_ = false;
  end_ = End::kTold;
  user_.OnEnd(error.result());
}

void SharedStream::Woken::OnComplete(int32_t result) {
  if (result < 0) {
    stream_.FailReceiving(Error::System(-result));
    return;
  }
  uint64_t count;
  [[maybe_unused]] const ssize_t taken = read(stream_.pair_.own_wake.get(), &count, sizeof(count));
  stream_.loop_.Wake(stream_);
}

void SharedStream::LetGo::OnComplete(int32_t) {
  stream_.is_let_go_ = true;
  stream_.loop_.driver().Cancel(*this);
  if (stream_.waits_for_room_) stream_.FailSending(Error::System(EPIPE));
}

}  // namespace paipai
