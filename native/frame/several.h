#pragma once

#include <cstring>

#include "base/bytes.h"
#include "base/result.h"
#include "frame/frame_layout.h"

namespace paipai {

// The payload of REQUESTS, RESPONSES and MESSAGES: small payloads one behind the other.
//
//  0      4       8                8 + bytes, padded with zeros to a multiple of 8
//  | id   | bytes | payload ...   | id | bytes | ...
inline constexpr size_t kSeveralItemBytes = 8;

// A payload longer than this travels alone: what it saves is then little beside it.
inline constexpr size_t kGatheredBytesMax = 1024;

// Bytes of one payload in it.
inline constexpr size_t SeveralItemBytes(size_t payload_bytes) {
  return kSeveralItemBytes + ((payload_bytes + 7) & ~size_t{7});
}

// Writes one payload, not empty, to `out`; returns where the next one goes.
inline uint8_t* WriteSeveralItem(uint8_t* out, uint32_t id, ByteSpan payload) {
  uint8_t* const end = out + SeveralItemBytes(payload.size());
  std::memset(end - 8, 0, 8);
  Store32(out, id);
  Store32(out + sizeof(uint32_t), static_cast<uint32_t>(payload.size()));
  std::memcpy(out + kSeveralItemBytes, payload.data(), payload.size());
  return end;
}

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
    const size_t padded = SeveralItemBytes(bytes) - kSeveralItemBytes;
    if (padded > payload.size()) return Error::Of(ErrorCode::PROTOCOL);
    payload = payload.subspan(padded);
  }
  return {};
}

}  // namespace paipai
