#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "fake_driver.h"
#include "hosted.h"
#include "memory/pool_budget.h"
#include "socket/framed_stream.h"
#include "socket/inbound_batch.h"

namespace paipai::test {

// Both ends of one connection: ours through a driver, the peer's in the hands of the test.
class Link {
 public:
  virtual ~Link() = default;
  // Whether the kernel allows it.
  virtual bool is_here() const { return true; }
  virtual Driver& driver() = 0;
  // A descriptor for FramedStream::Adopt, which owns it from then on.
  virtual int TakeDescriptor() = 0;
  // The peer writes; returns how many bytes were taken.
  virtual size_t PeerWrites(ByteSpan bytes) = 0;
  // No bytes follow from the peer.
  virtual void PeerEnds() = 0;
  // Up to `bytes_max` bytes that have come to the peer.
  virtual std::vector<uint8_t> PeerReads(size_t bytes_max) = 0;
  // Whether our end of stream has come to the peer.
  virtual bool PeerSawEnd() = 0;
  // What a host does while it waits.
  virtual void Wait() = 0;
};

// The fake driver: bytes are cut exactly as the test writes them. The descriptor is one end of a
// socket pair, so that shutdown and close are seen.
class FakeLink final : public Link {
 public:
  // `send_room_max`: bytes that may be on their way to the peer.
  explicit FakeLink(size_t send_room_max = size_t{64} << 10) : send_room_max_(send_room_max) {
    PP_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_) == 0);
  }
  ~FakeLink() override { close(fds_[1]); }
  Driver& driver() override { return driver_; }
  int TakeDescriptor() override { return fds_[0]; }
  size_t PeerWrites(ByteSpan bytes) override { return driver_.Arrive(0, bytes); }
  void PeerEnds() override { peer_ends_ = true; }
  std::vector<uint8_t> PeerReads(size_t bytes_max) override {
    std::vector<uint8_t>& sent = driver_.sent(0);
    const auto size = static_cast<ptrdiff_t>(std::min(bytes_max, sent.size()));
    std::vector<uint8_t> read(sent.begin(), sent.begin() + size);
    sent.erase(sent.begin(), sent.begin() + size);
    in_flight_ -= read.size();
    return read;
  }
  bool PeerSawEnd() override {
    uint8_t byte;
    return driver_.sent(0).empty() && recv(fds_[1], &byte, 1, MSG_PEEK) == 0;
  }
  void Wait() override {
    if (peer_ends_ && driver_.EndReceive(0, 0)) peer_ends_ = false;
    const size_t more = send_room_max_ - in_flight_;
    in_flight_ += more;
    driver_.AllowSend(0, more);
    driver_.Reap();
  }
  FakeDriver& fake() { return driver_; }

 private:
  FakeDriver driver_;
  const size_t send_room_max_;
  size_t in_flight_ = 0;
  bool peer_ends_ = false;
  int fds_[2];
};

// A socket pair under a driver.
class SocketLink : public Link {
 public:
  explicit SocketLink(HostedKind kind = HostedKind::kEpoll) : hosted_(kind) {
    PP_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_) == 0);
  }
  // Two ends of a connection made elsewhere.
  SocketLink(int own, int peer) : hosted_(HostedKind::kEpoll), fds_{own, peer} {}
  ~SocketLink() override { close(fds_[1]); }
  bool is_here() const override { return hosted_.is_here(); }
  Driver& driver() override { return hosted_.driver(); }
  int TakeDescriptor() override { return fds_[0]; }
  size_t PeerWrites(ByteSpan bytes) override {
    const ssize_t size = send(fds_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return size < 0 ? 0 : static_cast<size_t>(size);
  }
  void PeerEnds() override { shutdown(fds_[1], SHUT_WR); }
  std::vector<uint8_t> PeerReads(size_t bytes_max) override {
    std::vector<uint8_t> bytes(std::min(bytes_max, size_t{1} << 20));
    const ssize_t size = recv(fds_[1], bytes.data(), bytes.size(), 0);
    bytes.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return bytes;
  }
  bool PeerSawEnd() override {
    uint8_t byte;
    return recv(fds_[1], &byte, 1, MSG_PEEK) == 0;
  }
  void Wait() override {
    hosted_.host().Wait(hosted_.driver(), 0);
    hosted_.driver().Reap();
  }

 private:
  Hosted hosted_;
  int fds_[2];
};

class UringLink final : public SocketLink {
 public:
  UringLink() : SocketLink(HostedKind::kUring) {}
};

// What one event brought, copied out of the batch.
struct Event {
  Descriptor descriptor;
  std::vector<uint8_t> payload;  // Of kFrame and kLargeFrame.

  EventKind kind() const { return descriptor.kind; }
  int32_t result() const { return static_cast<int32_t>(descriptor.extra); }
};

// One framed stream with everything around it, and what JS would see of it.
class FramedFixture final : public FramedStreamUser {
 public:
  static constexpr uint32_t kId = 77;

  explicit FramedFixture(Link& link, uint32_t frame_bytes_max = kFrameBytesMaxDefault,
                         size_t descriptors_max = kDescriptorsMax)
      : link_(link),
        descriptors_(descriptors_max),
        loop_(link.driver()),
        batch_({inbox_.get(), kInboxBytes}, descriptors_),
        stream_(loop_, batch_, *this, kId, frame_bytes_max) {
    PP_ASSERT(stream_.Adopt(link.TakeDescriptor()).has_value());
    stream_.Resume();
  }

  std::vector<Event> events;
  // Called for each event in the delivery, as JS is.
  std::function<void(const Event&)> on_event = [](const Event&) {};
  bool has_large_memory = true;
  bool is_closed = false;  // OnClosed came.
  size_t large_in_hand = 0;

  FramedStream& stream() { return stream_; }
  Loop& loop() { return loop_; }
  InboundBatch& batch() { return batch_; }

  // A turn of the loop: what the host waited for, one delivery, one flush.
  void Turn() {
    Flush();
    link_.Wait();
    loop_.Poll();
    Deliver();
    Flush();
  }

  // Whether some is left for the next turn.
  bool Flush() {
    const bool has_more = loop_.Flush();
    stream_.Settle();
    return has_more;
  }

  void Deliver() {
    if (!batch_.has_events()) return;
    const size_t count = batch_.BeginDelivery();
    const std::vector<std::vector<uint8_t>> large = std::exchange(large_done_, {});
    size_t used = 0;
    for (size_t i = 0; i < count; ++i) {
      Event event;
      event.descriptor = descriptors_[i];
      const Descriptor& told = event.descriptor;
      PP_ASSERT(told.connection == kId);
      if (told.kind == EventKind::kFrame) {
        PP_ASSERT(told.offset <= kInboxBytes && told.length <= kInboxBytes - told.offset);
        const uint8_t* const payload = inbox_.get() + told.offset;
        event.payload.assign(payload, payload + told.length);
        used = std::max(used, size_t{told.offset} + told.length);
      } else if (told.kind == EventKind::kLargeFrame) {
        PP_ASSERT(told.offset < large.size() && large[told.offset].size() == told.length);
        event.payload = large[told.offset];
      }
      events.push_back(event);
      on_event(event);
    }
    batch_.EndDelivery();
    // What is delivered is gone.
    std::fill_n(inbox_.get(), used, uint8_t{0xdd});
  }

  // The last event, or null when that is no end.
  const Event* End() const {
    if (events.empty() || events.back().kind() != EventKind::kClosed) return nullptr;
    return &events.back();
  }

 private:
  uint8_t* OnLargeBegin(size_t bytes) override {
    PP_ASSERT(large_ == nullptr);
    if (!has_large_memory) return nullptr;
    large_ = std::make_unique<std::vector<uint8_t>>(bytes);
    ++large_in_hand;
    return large_->data();
  }
  uint32_t OnLargeDone() override {
    large_done_.push_back(std::move(*large_));
    large_.reset();
    --large_in_hand;
    return static_cast<uint32_t>(large_done_.size() - 1);
  }
  void OnLargeDropped() override {
    PP_ASSERT(large_ != nullptr);
    large_.reset();
    --large_in_hand;
  }
  void OnSentToken(uint32_t token, uint32_t) override {
    Descriptor sent;
    sent.connection = kId;
    sent.kind = EventKind::kSent;
    sent.extra = token;
    batch_.AddEvent(sent);
  }
  void OnClosed() override {
    PP_ASSERT(!is_closed);
    is_closed = true;
  }

  Link& link_;
  std::unique_ptr<uint8_t[]> inbox_ = std::make_unique_for_overwrite<uint8_t[]>(kInboxBytes);
  std::vector<Descriptor> descriptors_;
  Loop loop_;
  InboundBatch batch_;
  std::unique_ptr<std::vector<uint8_t>> large_;
  std::vector<std::vector<uint8_t>> large_done_;
  FramedStream stream_;
};

}  // namespace paipai::test
