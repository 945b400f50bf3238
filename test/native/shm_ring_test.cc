#include <array>
#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "shm/region.h"
#include "shm/ring.h"
#include "test.h"

namespace paipai {
namespace {

template <size_t kCapacity>
struct Fixture {
  alignas(64) std::array<uint8_t, RingBytes(kCapacity)> memory{};
  RingWriter writer{memory};
  RingReader reader{memory};

  RingControl& control() { return *reinterpret_cast<RingControl*>(memory.data()); }
};

std::vector<uint8_t> Counting(size_t count) {
  std::vector<uint8_t> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i + 1);
  return bytes;
}

void WhatIsWrittenIsReadOncePublished() {
  Fixture<64> with;
  std::array<uint8_t, 64> room;
  CHECK_EQUAL(*with.writer.Write(Counting(5)), 5);
  CHECK_EQUAL(*with.reader.Read(room), 0);
  with.writer.Publish();
  CHECK_EQUAL(*with.reader.Read(MutableByteSpan(room).first(3)), 3);
  CHECK_EQUAL(*with.reader.Read(room), 2);
  CHECK_EQUAL(room[0], 4);
  CHECK_EQUAL(*with.reader.Read(room), 0);
}

void AFullRingTakesNoMore() {
  Fixture<64> with;
  CHECK_EQUAL(*with.writer.Write(Counting(63)), 63);
  CHECK_EQUAL(*with.writer.Write(Counting(2)), 1);
  CHECK_EQUAL(*with.writer.Write(Counting(1)), 0);
  CHECK_EQUAL(*with.writer.Write({}), 0);
  with.writer.Publish();
  std::array<uint8_t, 64> room;
  CHECK_EQUAL(*with.reader.Read(MutableByteSpan(room).first(10)), 10);
  // Read but not yet given back.
  CHECK_EQUAL(*with.writer.Write(Counting(1)), 0);
  with.reader.Publish();
  CHECK_EQUAL(*with.writer.Write(Counting(11)), 10);
}

void BytesKeepTheirOrderAroundTheEnd() {
  Fixture<64> with;
  test::Random random(20261121);
  uint8_t next_written = 0;
  uint8_t next_read = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint8_t> bytes(random.Below(70));
    for (size_t at = 0; at < bytes.size(); ++at) {
      bytes[at] = static_cast<uint8_t>(next_written + at);
    }
    next_written = static_cast<uint8_t>(next_written + *with.writer.Write(bytes));
    with.writer.Publish();
    std::vector<uint8_t> room(random.Below(70));
    const size_t count = *with.reader.Read(room);
    with.reader.Publish();
    for (size_t at = 0; at < count; ++at) CHECK_EQUAL(room[at], next_read++);
  }
}

void OnlyASleeperIsWokenAndOnce() {
  Fixture<64> with;
  CHECK(*with.writer.Write(Counting(1)) == 1 && !with.writer.Publish());
  std::array<uint8_t, 64> room;
  CHECK(!*with.reader.PrepareSleep());
  CHECK_EQUAL(*with.reader.Read(room), 1);
  CHECK(*with.reader.PrepareSleep());
  CHECK(*with.writer.Write(Counting(64)) == 63 && with.writer.Publish());
  CHECK(!with.writer.Publish());
  CHECK(*with.writer.PrepareSleep());
  CHECK_EQUAL(*with.reader.Read(room), 63);
  CHECK(with.reader.Publish());
  CHECK(!with.reader.Publish());
  CHECK(!*with.writer.PrepareSleep());
}

void AReaderThatClaimsTheImpossibleIsFound() {
  std::array<uint8_t, 3> three{1, 2, 3};
  for (const uint64_t claimed : {uint64_t{4}, uint64_t{1} << 63, ~uint64_t{0} - 3}) {
    Fixture<64> with;
    CHECK_EQUAL(*with.writer.Write(three), 3);
    with.control().read = claimed;
    // It looks at the count when it needs more room than it knows of.
    CHECK_EQUAL(*with.writer.Write(three), 3);
    with.control().read = claimed + 3;
    CHECK(with.writer.Write(Counting(59)).error().Is(ErrorCode::PROTOCOL));
    CHECK(with.writer.HasRoom().error().Is(ErrorCode::PROTOCOL));
    CHECK(with.writer.PrepareSleep().error().Is(ErrorCode::PROTOCOL));
  }
  Fixture<64> with;
  CHECK_EQUAL(*with.writer.Write(three), 3);
  with.control().read = 2;
  CHECK_EQUAL(*with.writer.Write(Counting(62)), 62);
  with.control().read = 1;  // Backwards.
  CHECK(with.writer.Write(three).error().Is(ErrorCode::PROTOCOL));
}

void AWriterThatClaimsTheImpossibleIsFound() {
  std::array<uint8_t, 8> room;
  for (const uint64_t claimed : {uint64_t{65}, uint64_t{1} << 63, ~uint64_t{0}}) {
    Fixture<64> with;
    with.control().written = claimed;
    CHECK(with.reader.Read(room).error().Is(ErrorCode::PROTOCOL));
    CHECK(with.reader.PrepareSleep().error().Is(ErrorCode::PROTOCOL));
  }
  Fixture<64> with;
  with.control().written = 64;
  CHECK_EQUAL(*with.reader.Read(room), 8);
  with.control().written = 63;  // Backwards.
  CHECK(with.reader.Read(room).error().Is(ErrorCode::PROTOCOL));
}

// Both ends as threads over one mapping, so that a race detector sees both. Each truly sleeps when
// it is told to: a lost wake-up hangs here.
void TwoThreadsPassEveryByteAndLoseNoWakeUp() {
  constexpr size_t kTotal = 1 << 20;
  Fixture<256> with;
  std::atomic<uint32_t> reader_wakes = 0;
  std::atomic<uint32_t> writer_wakes = 0;
  const auto wake = [](std::atomic<uint32_t>& wakes) {
    wakes.fetch_add(1);
    wakes.notify_one();
  };
  const auto sleep = [](std::atomic<uint32_t>& wakes, uint32_t& seen) {
    wakes.wait(seen);
    ++seen;
  };

  std::thread writing([&] {
    test::Random random(1);
    uint32_t seen = 0;
    for (size_t sent = 0; sent < kTotal;) {
      std::array<uint8_t, 100> bytes;
      const size_t length = std::min<size_t>(1 + random.Below(bytes.size()), kTotal - sent);
      for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<uint8_t>((sent + i) % 251);
      const size_t count = *with.writer.Write(ByteSpan(bytes).first(length));
      sent += count;
      if (with.writer.Publish()) wake(reader_wakes);
      if (count == 0 && *with.writer.PrepareSleep()) sleep(writer_wakes, seen);
    }
  });
  uint32_t seen = 0;
  for (size_t received = 0; received < kTotal;) {
    std::array<uint8_t, 90> room;
    const size_t count = *with.reader.Read(room);
    for (size_t i = 0; i < count; ++i) CHECK_EQUAL(room[i], (received + i) % 251);
    received += count;
    if (with.reader.Publish()) wake(writer_wakes);
    if (count == 0 && *with.reader.PrepareSleep()) sleep(reader_wakes, seen);
  }
  writing.join();
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"what is written is read once published", WhatIsWrittenIsReadOncePublished},
          {"a full ring takes no more", AFullRingTakesNoMore},
          {"bytes keep their order around the end", BytesKeepTheirOrderAroundTheEnd},
          {"only a sleeper is woken, and once", OnlyASleeperIsWokenAndOnce},
          {"a reader that claims the impossible is found", AReaderThatClaimsTheImpossibleIsFound},
          {"a writer that claims the impossible is found", AWriterThatClaimsTheImpossibleIsFound},
          {"two threads pass every byte and lose no wake-up",
           TwoThreadsPassEveryByteAndLoseNoWakeUp},
      });
}
