#include "socket/raw_stream.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "framed_fixture.h"
#include "test.h"

namespace paipai {
namespace {

using test::HostedKind;
using test::SocketLink;
using Bytes = std::vector<uint8_t>;

// One raw stream over a socket pair, and what JS would see of it.
class Fixture final : public RawStreamUser {
 public:
  explicit Fixture(HostedKind kind = HostedKind::kEpoll)
      : link_(kind),
        inbox_(std::make_unique<uint8_t[]>(kInboxBytes)),
        descriptors_(kDescriptorsMax),
        loop_(link_.driver()),
        batch_({inbox_.get(), kInboxBytes}, descriptors_),
        stream_(loop_, batch_, *this, kId) {
    CHECK(stream_.Adopt(link_.TakeDescriptor()));
  }
  ~Fixture() { stream_.Close(false); }

  RawStream& stream() { return stream_; }
  InboundBatch& batch() { return batch_; }
  SocketLink& link() { return link_; }

  void Turn() {
    link_.Wait();
    loop_.FlushEnds();
    if (!batch_.has_events()) return;
    const size_t count = batch_.BeginDelivery();
    for (size_t i = 0; i < count; ++i) {
      const Descriptor& told = descriptors_[i];
      CHECK_EQUAL(told.connection, kId);
      if (told.kind == EventKind::kRawEnd) {
        ends.push_back(static_cast<int32_t>(told.extra));
        continue;
      }
      if (told.kind == EventKind::kRawReadable) {
        ++announced;
        continue;
      }
      CHECK(told.kind == EventKind::kRawData);
      const uint8_t* const data = told.extra == 1 ? lent.data() : inbox_.get() + told.offset;
      pieces.emplace_back(data, data + told.length);
      on_data();
    }
    batch_.EndDelivery();
  }

  Bytes received() const {
    Bytes all;
    for (const Bytes& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
    return all;
  }

  Bytes lent;
  std::vector<Bytes> pieces;
  std::vector<int32_t> ends;
  int announced = 0;
  std::vector<std::pair<uint32_t, int32_t>> done;
  std::function<void()> on_data = [] {};

 private:
  static constexpr uint32_t kId = 5;

  void OnDone(uint32_t token, int32_t result) override { done.emplace_back(token, result); }

  SocketLink link_;
  std::unique_ptr<uint8_t[]> inbox_;
  std::vector<Descriptor> descriptors_;
  Loop loop_;
  InboundBatch batch_;
  RawStream stream_;
};

Bytes Numbered(size_t size) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 31 + i / 251);
  return bytes;
}

void BytesComeAsTheyWereSent() {
  Fixture fixture;
  fixture.stream().Resume();
  const Bytes bytes = Numbered(1000);
  fixture.link().PeerWrites(bytes);
  fixture.Turn();
  CHECK(fixture.received() == bytes);
  fixture.link().PeerEnds();
  fixture.Turn();
  CHECK(fixture.ends == std::vector<int32_t>{0});
}

void NothingComesBeforeResumeOrWhilePaused() {
  Fixture fixture;
  fixture.link().PeerWrites(Numbered(10));
  fixture.Turn();
  CHECK(fixture.pieces.empty());
  fixture.stream().Resume();
  fixture.Turn();
  CHECK_EQUAL(fixture.received().size(), 10);
  fixture.stream().Pause();
  fixture.link().PeerWrites(Numbered(10));
  fixture.Turn();
  CHECK_EQUAL(fixture.received().size(), 10);
  fixture.stream().Resume();
  fixture.Turn();
  CHECK_EQUAL(fixture.received().size(), 20);
}

// A reader that pauses has at most one receive's worth more than it asked for.
void AReaderMayPauseAfterEachFullReceive() {
  Fixture fixture;
  fixture.stream().Resume();
  const Bytes bytes = Numbered(3 * kReceiveBytesMax);
  size_t written = 0;
  const auto fill = [&] { written += fixture.link().PeerWrites(ByteSpan(bytes).subspan(written)); };
  fill();
  fixture.on_data = [&] { fixture.stream().Pause(); };
  fixture.Turn();
  fixture.Turn();
  CHECK_EQUAL(fixture.received().size(), kReceiveBytesMax);
  for (int i = 0; i < 1000 && fixture.received().size() < bytes.size(); ++i) {
    fixture.stream().Resume();
    fixture.Turn();
    if (written < bytes.size()) fill();
  }
  CHECK(fixture.received() == bytes);
}

// And leaves where it is what nobody reads.
void AnAnnouncedStreamReadsNothingItself(HostedKind kind) {
  Fixture fixture(kind);
  fixture.stream().Announce();
  fixture.stream().Resume();
  const Bytes bytes = Numbered(10);
  fixture.link().PeerWrites(bytes);
  fixture.Turn();
  CHECK_EQUAL(fixture.announced, 1);
  fixture.Turn();
  CHECK_EQUAL(fixture.announced, 2);
  Bytes room(8);
  const auto read = [&] {
    const Result<size_t> count = fixture.stream().Read(room);
    return count ? static_cast<int32_t>(*count) : count.error().result();
  };
  CHECK_EQUAL(read(), 8);
  CHECK(std::equal(room.begin(), room.end(), bytes.begin()));
  CHECK_EQUAL(read(), 2);
  CHECK_EQUAL(read(), -EAGAIN);
  fixture.announced = 0;
  fixture.stream().Pause();
  fixture.link().PeerEnds();
  fixture.Turn();
  CHECK_EQUAL(fixture.announced, 0);
  fixture.stream().Resume();
  fixture.Turn();
  CHECK_EQUAL(fixture.announced, 1);
  CHECK_EQUAL(read(), 0);
  CHECK(fixture.pieces.empty());
}

// Behind a receive that filled its room, and once.
void BulkLandsInWhatIsLent() {
  Fixture fixture;
  fixture.stream().Resume();
  fixture.lent.resize(2 * kReceiveBytesMax);
  fixture.batch().Lend(fixture.lent);
  const Bytes bytes = Numbered(kReceiveBytesMax + 1000);
  const auto send = [&] {
    for (size_t written = 0; written < bytes.size(); fixture.Turn()) {
      written += fixture.link().PeerWrites(ByteSpan(bytes).subspan(written));
    }
    fixture.Turn();
  };
  send();
  CHECK(fixture.received() == bytes);
  CHECK(fixture.batch().lent().empty());
  fixture.pieces.clear();
  send();
  CHECK(fixture.received() == bytes);
  // What comes singly does not.
  fixture.batch().Lend(fixture.lent);
  fixture.link().PeerWrites(Numbered(10));
  fixture.Turn();
  CHECK(!fixture.batch().lent().empty());
}

void WhatTheKernelTakesIsDoneAtOnce() {
  Fixture fixture;
  const Bytes bytes = Numbered(100);
  const Result<bool> written = fixture.stream().Write(bytes, 1);
  CHECK(written && *written);
  CHECK(fixture.done.empty());
  CHECK_EQUAL(fixture.stream().queued_bytes(), 0);
  CHECK(fixture.link().PeerReads(1000) == bytes);
}

void WhatItDoesNotTakeFollowsInOrder(HostedKind kind) {
  Fixture fixture(kind);
  if (!fixture.link().is_here()) return;
  const Bytes first = Numbered(3 << 20);
  const Result<bool> written = fixture.stream().Write(first, 1);
  CHECK(written && !*written);
  CHECK(fixture.stream().queued_bytes() > 0);
  {
    const Bytes copied = Numbered(5000);
    CHECK(!*fixture.stream().WriteCopy(copied, 2));
  }
  fixture.stream().ShutDown(3);
  Bytes seen;
  for (int i = 0; i < 100'000 && fixture.done.size() < 3; ++i) {
    const Bytes piece = fixture.link().PeerReads(1 << 16);
    seen.insert(seen.end(), piece.begin(), piece.end());
    fixture.Turn();
  }
  for (;;) {
    const Bytes piece = fixture.link().PeerReads(1 << 16);
    if (piece.empty()) break;
    seen.insert(seen.end(), piece.begin(), piece.end());
  }
  const std::vector<std::pair<uint32_t, int32_t>> all = {{1, 0}, {2, 0}, {3, 0}};
  CHECK(fixture.done == all);
  Bytes expected = first;
  const Bytes second = Numbered(5000);
  expected.insert(expected.end(), second.begin(), second.end());
  CHECK(seen == expected);
  CHECK(fixture.link().PeerSawEnd());
  CHECK_EQUAL(fixture.stream().queued_bytes(), 0);
}

// More pieces than one call takes, empty ones among them, of which the kernel takes some at once.
void PiecesAreOneWrite(HostedKind kind) {
  Fixture fixture(kind);
  if (!fixture.link().is_here()) return;
  const Bytes all = Numbered(3 << 20);
  std::vector<ByteSpan> pieces;
  for (size_t at = 0, size = 0; at < all.size(); at += size, size = (size + 977) % 4999) {
    size = std::min(size, all.size() - at);
    pieces.push_back(ByteSpan(all).subspan(at, size));
  }
  pieces.emplace_back();
  CHECK(pieces.size() > 1000);
  const Result<bool> written = fixture.stream().WriteAll(pieces, 1);
  CHECK(written && !*written);
  Bytes seen;
  for (int i = 0; i < 100'000 && seen.size() < all.size(); ++i) {
    const Bytes piece = fixture.link().PeerReads(1 << 16);
    seen.insert(seen.end(), piece.begin(), piece.end());
    fixture.Turn();
  }
  CHECK(seen == all);
  const std::vector<std::pair<uint32_t, int32_t>> done = {{1, 0}};
  CHECK(fixture.done == done);
  CHECK_EQUAL(fixture.stream().queued_bytes(), 0);
  // Few and small ones leave at once.
  const ByteSpan small[] = {ByteSpan(all).first(10), {}, ByteSpan(all).subspan(10, 20)};
  CHECK(*fixture.stream().WriteAll(small, 2));
  CHECK(fixture.link().PeerReads(100) == Bytes(all.begin(), all.begin() + 30));
}

void OneDirectionOutlivesTheOther() {
  Fixture fixture;
  fixture.stream().Resume();
  fixture.link().PeerEnds();
  fixture.Turn();
  CHECK_EQUAL(fixture.ends.size(), 1);
  const Bytes bytes = Numbered(10);
  CHECK(*fixture.stream().Write(bytes, 1));
  CHECK(fixture.link().PeerReads(100) == bytes);
  // Resuming after the end brings nothing more.
  fixture.stream().Resume();
  fixture.Turn();
  CHECK_EQUAL(fixture.ends.size(), 1);
  fixture.stream().ShutDown(2);
  fixture.Turn();
  CHECK_EQUAL(fixture.done.size(), 1);
  CHECK(fixture.link().PeerSawEnd());
}

void TheEndLeavesWithTheTurn() {
  Fixture fixture;
  fixture.stream().ShutDown(1);
  const Bytes bytes = Numbered(10);
  CHECK(fixture.stream().Write(bytes, 2).error() == Error::System(EPIPE));
  CHECK(!fixture.link().PeerSawEnd());
  CHECK(fixture.done.empty());
  fixture.Turn();
  CHECK(fixture.link().PeerSawEnd());
  CHECK_EQUAL(fixture.done.size(), 1);
}

void ClosedInTheTurnOfItsEndItSendsNone() {
  Fixture fixture;
  fixture.stream().ShutDown(1);
  fixture.stream().Close(false);
  fixture.Turn();
  CHECK(fixture.done.empty());
}

void AWriteToAClosedStreamFails() {
  Fixture fixture;
  fixture.stream().Close(false);
  const Bytes bytes = Numbered(10);
  CHECK(fixture.stream().Write(bytes, 1).error() == Error::System(EBADF));
  // Closed twice, and paused and resumed behind it.
  fixture.stream().Close(true);
  fixture.stream().Pause();
  fixture.stream().Resume();
  fixture.Turn();
  CHECK(fixture.pieces.empty() && fixture.ends.empty());
}

void ClosingForgetsWhatWaits() {
  Fixture fixture;
  const Bytes bytes = Numbered(3 << 20);
  CHECK(!*fixture.stream().Write(bytes, 1));
  fixture.stream().Close(false);
  fixture.Turn();
  CHECK(fixture.done.empty());
  CHECK_EQUAL(fixture.stream().queued_bytes(), 0);
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  using paipai::test::HostedKind;
  return test::RunCases(
      argument_count, arguments,
      {
          {"bytes come as they were sent", BytesComeAsTheyWereSent},
          {"nothing comes before resume or while paused", NothingComesBeforeResumeOrWhilePaused},
          {"a reader may pause after each full receive", AReaderMayPauseAfterEachFullReceive},
          {"bulk lands in what is lent", BulkLandsInWhatIsLent},
          {"an announced stream reads nothing itself",
           [] { AnAnnouncedStreamReadsNothingItself(HostedKind::kEpoll); }},
          {"announced over io_uring",
           [] { AnAnnouncedStreamReadsNothingItself(HostedKind::kUring); }},
          {"what the kernel takes is done at once", WhatTheKernelTakesIsDoneAtOnce},
          {"what it does not take follows in order",
           [] { WhatItDoesNotTakeFollowsInOrder(HostedKind::kEpoll); }},
          {"the same over io_uring", [] { WhatItDoesNotTakeFollowsInOrder(HostedKind::kUring); }},
          {"pieces are one write", [] { PiecesAreOneWrite(HostedKind::kEpoll); }},
          {"pieces over io_uring", [] { PiecesAreOneWrite(HostedKind::kUring); }},
          {"one direction outlives the other", OneDirectionOutlivesTheOther},
          {"the end leaves with the turn", TheEndLeavesWithTheTurn},
          {"closed in the turn of its end it sends none", ClosedInTheTurnOfItsEndItSendsNone},
          {"a write to a closed stream fails", AWriteToAClosedStreamFails},
          {"closing forgets what waits", ClosingForgetsWhatWaits},
      });
}
