#pragma once

#include <cstddef>

// Every size of the core's own memory, as sums of named holders. One set per environment (main
// thread or worker).

namespace paipai {

// One block of the pool: a piece of what a connection could not send in the turn in which it was
// queued.
inline constexpr size_t kBlockBytes = size_t{64} << 10;
inline constexpr size_t kSlabBytes = size_t{1} << 20;
static_assert(kSlabBytes % kBlockBytes == 0);

// Who holds blocks: connections whose peer reads more slowly than we send. The session bounds each
// of them; together:
inline constexpr size_t kUnsentBytesMax = size_t{1} << 30;
inline constexpr size_t kPoolBlocksMax = kUnsentBytesMax / kBlockBytes;
// Free blocks that keep their memory; what a burst needed beyond them goes back to the system.
inline constexpr size_t kWarmBlocksMax = (size_t{4} << 20) / kBlockBytes;

// The inbox: small frames of one turn, all connections together; when it is full, the turn delivers
// first.
inline constexpr size_t kInboxBytes = size_t{1} << 20;
// The outbox: frames that JS queued since the last flush; a flush comes once a turn and whenever it
// is full.
inline constexpr size_t kOutboxBytes = size_t{512} << 10;
// Descriptors of one batch. The smallest frame is its header of 32 bytes, so the inbox never
// outruns them.
inline constexpr size_t kDescriptorsMax = kInboxBytes / 32;

// One receive, at most, into the inbox.
inline constexpr size_t kReceiveBytesMax = size_t{64} << 10;
// What one connection receives in one turn, about, before what has come is told: for so long a
// request waits behind the data of a stream.
inline constexpr size_t kReceiveBytesPerTurn = size_t{128} << 10;
// Payloads above this are assembled in memory of their own, not in the inbox.
inline constexpr size_t kInPlaceBytesMax = size_t{16} << 10;
// Memory of large payloads that were looked at and given back, kept for the next ones.
inline constexpr size_t kSpareBytesMax = size_t{16} << 20;
// What a receive straight into a large payload may read beyond its end: the next header and a
// little more, which is then copied. Small, because those bytes are copied twice; not 0, because
// the header would cost a call of its own.
inline constexpr size_t kReadAheadBytes = size_t{4} << 10;

}  // namespace paipai
