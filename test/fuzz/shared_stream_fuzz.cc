// The input is what the other process does with the memory that it shares with a framed stream: an
// operation a byte, each followed by what it needs. It writes frames in order, scribbles over
// counts, flags and bytes, wakes without a reason, ends its parts of the connection in any order.
// Whatever it does, nothing outside the rings is touched, the connection ends once, and while it
// keeps to the rules every frame arrives.

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "../native/framed_fixture.h"
#include "../native/framed_peer.h"
#include "../native/shared_pairs.h"
#include "base/bytes.h"
#include "fuzz.h"

namespace paipai {
namespace {

using test::Bytes;
using test::Frame;

// Above kInPlaceBytesMax, so that payloads get memory of their own.
constexpr uint32_t kFrameBytesMax = 64 << 10;
constexpr size_t kDescriptorsMaxHere = 2048;
constexpr uint32_t kSinkStream = 1;
constexpr size_t kSinkBytes = 100'000;
// More than any ring, sink and queue of a run takes to be emptied.
constexpr int kTurnsToEndMax = 1000;

// What is left of the input; 0 behind its end.
class Input {
 public:
  explicit Input(ByteSpan bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const uint8_t byte = bytes_[0];
    bytes_ = bytes_.subspan(1);
    return byte;
  }
  uint32_t Short() {
    const uint32_t low = Byte();
    return low | (uint32_t{Byte()} << 8);
  }
  // Small numbers, those around the capacity and its multiples, and any other.
  uint64_t Count(uint64_t near) {
    const uint8_t kind = Byte();
    const auto offset = static_cast<uint64_t>(static_cast<int8_t>(Byte()));
    switch (kind % 5) {
      case 0:
        return near + offset;
      case 1:
        return near + kRingCapacity + offset;
      case 2:
        return near - kRingCapacity + offset;
      case 3:
        return near + (offset << 8);
      default: {
        uint64_t any = 0;
        for (int i = 0; i < 8; ++i) any = (any << 8) | Byte();
        return any;
      }
    }
  }

 private:
  ByteSpan bytes_;
};

class Run {
 public:
  explicit Run(ByteSpan bytes) : input_(bytes), with_(link_, kFrameBytesMax, kDescriptorsMaxHere) {
    auto [own, peer] = test::SharedPairs();
    peer_.emplace(std::move(peer));
    FUZZ_CHECK(with_.stream().SetSharedPair(std::move(own)).has_value());
    FUZZ_CHECK(with_.stream().SetSink(kSinkStream, sink_));
    with_.on_event = [this](const test::Event& event) {
      if (event.kind() != EventKind::kSink) return;
      FUZZ_CHECK(event.descriptor.offset >= landed_ && event.descriptor.offset <= kSinkBytes);
      landed_ = event.descriptor.offset;
    };
    frames_.Add({FrameType::kSwitch, 0, {}});
    FUZZ_CHECK(link_.PeerWrites(frames_.wire) == frames_.wire.size());
    frames_.wire.clear();
    with_.Turn();
    FUZZ_CHECK(with_.events.size() == 1);
    with_.events.clear();
  }

  void Go() {
    while (!input_.empty() && !with_.is_closed) Step();
    if (keeps_to_the_rules_) WriteAll();
    const bool kept_to_the_end = keeps_to_the_rules_;
    // Whatever it was, the end of the process is the end of the connection.
    with_.stream().Resume();
    link_.PeerEnds();
    peer_.reset();
    for (int i = 0; i < kTurnsToEndMax && !with_.is_closed; ++i) with_.Turn();
    with_.Turn();
    FUZZ_CHECK(with_.is_closed && with_.End() != nullptr && with_.large_in_hand == 0);
    FUZZ_CHECK(!with_.loop().has_awake());
    const auto is_end = [](const test::Event& e) { return e.kind() == EventKind::kClosed; };
    FUZZ_CHECK(std::count_if(with_.events.begin(), with_.events.end(), is_end) == 1);
    if (!kept_to_the_end) return;
    FUZZ_CHECK(test::FramesOf(with_.events) == expected_);
    FUZZ_CHECK(landed_ == sunk_.size() && std::equal(sunk_.begin(), sunk_.end(), sink_.begin()));
  }

 private:
  void Step() {
    switch (input_.Byte() % 12) {
      case 0:
      case 1:
      case 2:
        return AddFrame();
      case 3:
        return Write(input_.Short());
      case 4:
        return with_.Turn();
      case 5:
        return Wake();
      case 6: {
        // Written by the peer at any time, and of no more weight than a turn too many.
        const bool of_own = input_.Byte() % 2 == 0;
        RingControl& control = test::ControlOf(of_own ? peer_->in() : peer_->out());
        control.reader_sleeps = input_.Byte();
        control.writer_sleeps = input_.Byte();
        return;
      }
      case 7:
        return Say(input_.Short());
      case 8:
        if (input_.Byte() % 2 == 0) {
          with_.stream().Pause();
        } else {
          with_.stream().Resume();
        }
        return;
      case 9:
        return Take(input_.Short());
      case 10:
        if (with_.loop().PrepareSleep()) with_.Turn();
        return;
      default:
        return Break();
    }
  }

  void AddFrame() {
    Frame frame;
    frame.type = input_.Byte() % 2 == 0 ? FrameType::kMessage : FrameType::kStreamData;
    frame.stream_id = input_.Byte() % 4;
    frame.payload.assign(input_.Short() % (kFrameBytesMax + 1), input_.Byte());
    const bool sinks = frame.type == FrameType::kStreamData && frame.stream_id == kSinkStream &&
                       !frame.payload.empty();
    if (sinks && sunk_.size() + frame.payload.size() > kSinkBytes) return;
    if (sinks) {
      sunk_.insert(sunk_.end(), frame.payload.begin(), frame.payload.end());
    } else {
      expected_.push_back(frame);
    }
    frames_.Add(frame);
  }

  // As far as there is room.
  void Write(size_t bytes_max) {
    const ByteSpan bytes = ByteSpan(frames_.wire).first(std::min(bytes_max, frames_.wire.size()));
    const Result<size_t> written = writer().Write(bytes);
    if (!written) return;
    if (writer().Publish()) Wake();
    frames_.wire.erase(frames_.wire.begin(),
                       frames_.wire.begin() + static_cast<ptrdiff_t>(*written));
  }

  // All that was begun, by as many turns as it takes.
  void WriteAll() {
    with_.stream().Resume();
    while (!frames_.wire.empty() && !with_.is_closed) {
      Write(kRingCapacity);
      with_.Turn();
    }
    FUZZ_CHECK(!with_.is_closed);
  }

  void Wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(peer_->peer_wake.get(), &one, sizeof(one));
  }

  void Say(size_t byte_count) {
    Bytes bytes = test::Unsealed({FrameType::kMessage, 5, Bytes(byte_count, 1)});
    with_.stream().SendFrames(bytes);
    with_.stream().Settle();
  }

  void Take(size_t bytes_max) {
    Bytes room(bytes_max);
    const Result<size_t> count = reader().Read(room);
    if (count && reader().Publish()) Wake();
  }

  // What no peer does that is one.
  void Break() {
    keeps_to_the_rules_ = false;
    RingControl& out = test::ControlOf(peer_->out());
    RingControl& in = test::ControlOf(peer_->in());
    switch (input_.Byte() % 6) {
      case 0:
        out.written = input_.Count(out.written);
        return;
      case 1:
        in.read = input_.Count(in.read);
        return;
      case 2: {
        // Both are ours to write as well as the other end's.
        in.written = input_.Count(in.written);
        out.read = input_.Count(out.read);
        return;
      }
      case 3: {
        const MutableByteSpan bytes = peer_->out().subspan(sizeof(RingControl));
        for (size_t i = 0; i < 40; ++i) {
          bytes[(out.written + input_.Byte()) % kRingCapacity] = input_.Byte();
        }
        return;
      }
      case 4:
        link_.PeerEnds();
        return;
      default: {
        const uint8_t byte[] = {input_.Byte()};
        link_.PeerWrites(byte);
        return;
      }
    }
  }

  RingWriter& writer() {
    if (!writer_) writer_.emplace(peer_->out());
    return *writer_;
  }
  RingReader& reader() {
    if (!reader_) reader_.emplace(peer_->in());
    return *reader_;
  }

  Input input_;
  test::SocketLink link_;
  test::PeerWriter frames_;
  std::optional<SharedPair> peer_;
  std::optional<RingWriter> writer_;
  std::optional<RingReader> reader_;
  Bytes sink_ = Bytes(kSinkBytes);
  Bytes sunk_;
  size_t landed_ = 0;
  std::vector<Frame> expected_;
  bool keeps_to_the_rules_ = true;
  test::FramedFixture with_;
};

}  // namespace
}  // namespace paipai

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  paipai::Run({data, size}).Go();
  return 0;
}
