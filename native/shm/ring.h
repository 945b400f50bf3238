#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace paipai {

// A pipe of bytes through shared memory: one writer, one reader, each in its own process.
//
//   0            64                128           192               256          256 + capacity
//   | written    | reader sleeps   | read        | writer sleeps   | bytes ...  |
//     by the writer                  by the reader
//
// `written` and `read` count bytes since the beginning and never wrap (u64); a byte's place is its
// count modulo the capacity, a power of two. Each end keeps its own count privately and publishes
// it; the other end's count is copied once and checked: it may only move forward, and never past
// what is possible. A peer that scribbles can therefore spoil the bytes, which the checksums of the
// frames show, but cannot make this side touch memory outside the ring.
//
// Sleeping: who finds nothing to do sets its flag, looks once more, and only then sleeps; who
// publishes looks at the flag afterwards and, when it was set, takes it back and wakes. All four
// accesses are sequentially consistent, so at least one of the two sees the other: no wake-up is
// lost. How to wake (an eventfd) is the caller's matter.
struct RingControl {
  alignas(64) std::atomic<uint64_t> written;
  alignas(64) std::atomic<uint32_t> reader_sleeps;
  alignas(64) std::atomic<uint64_t> read;
  alignas(64) std::atomic<uint32_t> writer_sleeps;
};
static_assert(sizeof(RingControl) == 256);
static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(std::atomic<uint32_t>::is_always_lock_free);

// What a ring of `capacity` bytes takes of a region.
constexpr size_t RingBytes(size_t capacity) { return sizeof(RingControl) + capacity; }

// The end that writes. Borrows `memory`, RingBytes(capacity) long and aligned to 64; the capacity
// is a power of two. Thread: one.
class RingWriter {
 public:
  explicit RingWriter(MutableByteSpan memory);
  RingWriter(const RingWriter&) = delete;
  RingWriter& operator=(const RingWriter&) = delete;

  // Copies as many of the bytes as there is room for and says how many. The reader sees them after
  // Publish. Fails with PROTOCOL when the reader's count is impossible.
  Result<size_t> Write(ByteSpan bytes);

  // Whether there is any room. Fails with PROTOCOL when the reader's count is impossible.
  Result<bool> HasRoom();

  // True: the reader sleeps and is to be woken, once.
  bool Publish();

  // Before waiting for room. False: there is some, so do not sleep; true: sleep until woken.
  // Fails with PROTOCOL as Write does.
  Result<bool> PrepareSleep();

 private:
  Result<size_t> Room();

  RingControl* const control_;
  uint8_t* const bytes_;
  const uint64_t capacity_;
  uint64_t written_ = 0;
  uint64_t seen_read_ = 0;
};

// The end that reads; as above.
class RingReader {
 public:
  explicit RingReader(MutableByteSpan memory);
  RingReader(const RingReader&) = delete;
  RingReader& operator=(const RingReader&) = delete;

  // Whether there is anything to read. Fails with PROTOCOL when the writer's count is impossible.
  Result<bool> HasBytes();
  // Copies what is there, at most `room`, and says how much; its place is free after Publish.
  // Fails with PROTOCOL when the writer's count is impossible.
  Result<size_t> Read(MutableByteSpan room);

  // True: the writer sleeps and is to be woken, once.
  bool Publish();
  // Whether enough was read since that it should be told: each telling costs both ends a miss of
  // the cache. A writer that finds no room has at least the rest of the ring before it is ever in
  // need of the word, so none waits for ever.
  bool ShouldPublish() const { return read_ - published_ >= capacity_ / 4; }

  // Before waiting for bytes. False: there are some, so do not sleep; true: sleep until woken.
  // Fails with PROTOCOL as Read does.
  Result<bool> PrepareSleep();

 private:
  Result<size_t> Available();

  RingControl* const control_;
  const uint8_t* const bytes_;
  const uint64_t capacity_;
  uint64_t read_ = 0;
  uint64_t published_ = 0;
  uint64_t seen_written_ = 0;
};

}  // namespace paipai
