#include "shm/ring.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"

namespace paipai {
namespace {

RingControl* ControlOf(MutableByteSpan memory) {
  PP_ASSERT(memory.size() > sizeof(RingControl));
  PP_ASSERT(std::has_single_bit(memory.size() - sizeof(RingControl)));
  PP_ASSERT(reinterpret_cast<uintptr_t>(memory.data()) % alignof(RingControl) == 0);
  // Zeroed pages are a valid control block: atomics of integers have no other state.
  return reinterpret_cast<RingControl*>(memory.data());
}

// Sequentially consistent with the sleeper, who sets the flag before it looks at the count.
bool TakeFlag(std::atomic<uint32_t>& sleeps) {
  return sleeps.load() != 0 && sleeps.exchange(0) != 0;
}

}  // namespace

RingWriter::RingWriter(MutableByteSpan memory)
    : control_(ControlOf(memory)),
      bytes_(memory.data() + sizeof(RingControl)),
      capacity_(memory.size() - sizeof(RingControl)) {}

Result<size_t> RingWriter::Room() {
  const uint64_t read = control_->read.load();
  // By subtraction: what the reader took since the last look is at most what it had not yet.
  if (read - seen_read_ > written_ - seen_read_) return Error::Of(ErrorCode::PROTOCOL);
  seen_read_ = read;
  return static_cast<size_t>(capacity_ - (written_ - read));
}

Result<size_t> RingWriter::Write(ByteSpan bytes) {
  // The reader's count lies in the reader's cache: it is fetched only when what is known is too
  // little.
  size_t known = static_cast<size_t>(capacity_ - (written_ - seen_read_));
  if (known < bytes.size()) {
    const Result<size_t> room = Room();
    if (!room) return room.error();
    known = *room;
  }
  const size_t count = std::min(bytes.size(), known);
  const size_t begin = static_cast<size_t>(written_ & (capacity_ - 1));
  const size_t first = std::min(count, static_cast<size_t>(capacity_) - begin);
  // An empty span may have a null pointer, which memcpy must not see.
  if (first > 0) std::memcpy(bytes_ + begin, bytes.data(), first);
  if (count > first) std::memcpy(bytes_, bytes.data() + first, count - first);
  written_ += count;
  return count;
}

Result<bool> RingWriter::HasRoom() {
  const Result<size_t> room = Room();
  if (!room) return room.error();
  return *room > 0;
}

bool RingWriter::Publish() {
  control_->written.store(written_);
  return TakeFlag(control_->reader_sleeps);
}

Result<bool> RingWriter::PrepareSleep() {
  control_->writer_sleeps.store(1);
  const Result<size_t> room = Room();
  if (room && *room == 0) return true;
  control_->writer_sleeps.store(0);
  if (!room) return room.error();
  return false;
}

RingReader::RingReader(MutableByteSpan memory)
    : control_(ControlOf(memory)),
      bytes_(memory.data() + sizeof(RingControl)),
      capacity_(memory.size() - sizeof(RingControl)) {}

Result<size_t> RingReader::Available() {
  const uint64_t written = control_->written.load();
  // By subtraction: never less than was there before, never more than fits.
  const uint64_t available = written - read_;
  if (available > capacity_ || available < seen_written_ - read_) {
    return Error::Of(ErrorCode::PROTOCOL);
  }
  seen_written_ = written;
  return static_cast<size_t>(available);
}

Result<bool> RingReader::HasBytes() {
  const Result<size_t> available = Available();
  if (!available) return available.error();
  return *available > 0;
}

Result<size_t> RingReader::Read(MutableByteSpan room) {
  const Result<size_t> available = Available();
  if (!available) return available.error();
  const size_t count = std::min(room.size(), *available);
  const size_t begin = static_cast<size_t>(read_ & (capacity_ - 1));
  const size_t first = std::min(count, static_cast<size_t>(capacity_) - begin);
  if (first > 0) std::memcpy(room.data(), bytes_ + begin, first);
  if (count > first) std::memcpy(room.data() + first, bytes_, count - first);
  read_ += count;
  return count;
}

bool RingReader::Publish() {
  published_ = read_;
  control_->read.store(read_);
  return TakeFlag(control_->writer_sleeps);
}

Result<bool> RingReader::PrepareSleep() {
  control_->reader_sleeps.store(1);
  const Result<size_t> available = Available();
  if (available && *available == 0) return true;
  control_->reader_sleeps.store(0);
  if (!available) return available.error();
  return false;
}

}  // namespace paipai
