#include "socket/inbound_batch.h"

#include <algorithm>

#include "base/assert.h"

namespace paipai {
namespace {

// Less room than this is not worth a receive.
constexpr size_t kRoomBytesMin = size_t{20} << 10;
// Descriptors kept free for events that are no frames.
constexpr size_t kEventsReserved = 1024;

}  // namespace

MutableByteSpan InboundBatch::Room(size_t bytes_max) const {
  if (delivering_ || !later_.empty() || count_ + kEventsReserved >= descriptors_.size()) return {};
  const size_t describable = (descriptors_.size() - kEventsReserved - count_) * kFrameHeaderBytes;
  const size_t room = std::min({inbox_.size() - used_, describable, bytes_max});
  if (room < std::min(kRoomBytesMin, bytes_max)) return {};
  return inbox_.subspan(used_, room);
}

void InboundBatch::Keep(size_t bytes) {
  PP_DEBUG_ASSERT(bytes <= inbox_.size() - used_);
  used_ += bytes;
}

void InboundBatch::AddFrame(const Descriptor& descriptor) {
  PP_ASSERT(count_ < descriptors_.size() && !delivering_);
  descriptors_[count_++] = descriptor;
}

void InboundBatch::AddEvent(const Descriptor& descriptor) {
  if (delivering_ || count_ == descriptors_.size() || !later_.empty()) {
    later_.push_back(descriptor);
    return;
  }
  descriptors_[count_++] = descriptor;
}

size_t InboundBatch::BeginDelivery() {
  PP_ASSERT(!delivering_);
  delivering_ = true;
  return count_;
}

void InboundBatch::EndDelivery() {
  PP_ASSERT(delivering_);
  delivering_ = false;
  ++deliveries_;
  used_ = 0;
  count_ = std::min(later_.size(), descriptors_.size());
  std::copy_n(later_.begin(), count_, descriptors_.begin());
  later_.erase(later_.begin(), later_.begin() + static_cast<ptrdiff_t>(count_));
}

}  // namespace paipai
