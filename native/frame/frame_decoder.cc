#include "frame/frame_decoder.h"

namespace paipai {

Result<void> FrameDecoder::Finish() const {
  if (!state_) return state_;
  if (!partial_.empty()) return Error::Of(ErrorCode::FRAME_TRUNCATED);
  return {};
}

bool FrameDecoder::Gather(ByteSpan& bytes, size_t wanted_bytes) {
  PP_DEBUG_ASSERT(partial_.size() <= wanted_bytes);
  const size_t taken_bytes = std::min(bytes.size(), wanted_bytes - partial_.size());
  const ByteSpan taken = bytes.first(taken_bytes);
  partial_.insert(partial_.end(), taken.begin(), taken.end());
  bytes = bytes.subspan(taken_bytes);
  return partial_.size() == wanted_bytes;
}

Result<void> FrameDecoder::TakeHeader(const uint8_t* bytes) {
  const Result<FrameHeader> header = CheckHeader(
      std::span<const uint8_t, kFrameHeaderBytes>(bytes, kFrameHeaderBytes), frame_bytes_max_);
  if (!header) return header.error();
  if (!sequence_.Accept(header->sequence)) return Error::Of(ErrorCode::FRAME_SEQUENCE);
  header_ = *header;
  header_taken_ = true;
  return {};
}

}  // namespace paipai
