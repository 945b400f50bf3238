#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "frame/frame_layout.h"

namespace paipai {

// The payload of REQUESTS, RESPONSES and MESSAGES: small payloads one behind the other.
//
//  0      4       8                8 + bytes, padded with zeros to a multiple of 8
//  | id   | bytes | payload ...   | id | bytes | ...
inline constexpr size_t kSeveralItemBytes = 8;

// Whether `payload` is that, each of its payloads no longer than `frame_bytes_max`.
// Fails: PROTOCOL, FRAME_TOO_LARGE.
inline Result<void> CheckSeveral(ByteSpan payload, uint32_t frame_bytes_max) {
  if (payload.empty()) return Error::Of(ErrorCode::PROTOCOL);
  while (!payload.empty()) {
    if (payload.size() < kSeveralItemBytes) return Error::Of(ErrorCode::PROTOCOL);
    const size_t bytes = Load32(payload.data() + sizeof(uint32_t));
    payload = payload.subspan(kSeveralItemBytes);
    if (bytes > payload.size()) return Error::Of(ErrorCode::PROTOCOL);
    if (bytes > frame_bytes_max) return Error::Of(ErrorCode::FRAME_TOO_LARGE);
    const size_t padded = (bytes + 7) & ~size_t{7};
    if (padded > payload.size()) return Error::Of(ErrorCode::PROTOCOL);
    payload = payload.subspan(padded);
  }
  return {};
}

}  // namespace paipai
