#include "socket/inbound_batch.h"

#include <vector>

#include "memory/pool_budget.h"
#include "test.h"

namespace paipai {
namespace {

struct Fixture {
  std::vector<uint8_t> inbox = std::vector<uint8_t>(kInboxBytes);
  std::vector<Descriptor> descriptors = std::vector<Descriptor>(kDescriptorsMax);
  InboundBatch batch{inbox, descriptors};

  void AddEvents(size_t count, EventKind kind) {
    for (size_t i = 0; i < count; ++i) {
      Descriptor event;
      event.kind = kind;
      event.extra = static_cast<uint32_t>(i);
      batch.AddEvent(event);
    }
  }
};

void AFrameLiesWhereItWasReceived() {
  Fixture with;
  MutableByteSpan room = with.batch.Room(kReceiveBytesMax);
  CHECK_EQUAL(room.size(), kReceiveBytesMax);
  with.batch.Keep(100);
  Descriptor frame;
  frame.offset = with.batch.OffsetOf(room.data() + 32);
  with.batch.AddFrame(frame);
  CHECK(with.batch.has_events());
  // What is kept is not given out again.
  room = with.batch.Room(kReceiveBytesMax);
  CHECK_EQUAL(with.batch.OffsetOf(room.data()), 100);
  CHECK_EQUAL(with.batch.BeginDelivery(), 1);
  CHECK_EQUAL(with.descriptors[0].offset, 32);
  with.batch.EndDelivery();
  CHECK(!with.batch.has_events());
  CHECK_EQUAL(with.batch.OffsetOf(with.batch.Room(kReceiveBytesMax).data()), 0);
}

void AFullInboxGivesNoRoomUntilDelivered() {
  Fixture with;
  size_t total = 0;
  for (MutableByteSpan room; !(room = with.batch.Room(kReceiveBytesMax)).empty();) {
    with.batch.Keep(room.size());
    total += room.size();
  }
  CHECK(total <= kInboxBytes);
  CHECK(total + kReceiveBytesMax > kInboxBytes);
  with.AddEvents(1, EventKind::kDrain);
  with.batch.BeginDelivery();
  with.batch.EndDelivery();
  CHECK_EQUAL(with.batch.Room(kReceiveBytesMax).size(), kReceiveBytesMax);
}

// Room never holds more frames than there are descriptors left, be they all empty ones.
void RoomCanAlwaysBeDescribed() {
  Fixture with;
  while (true) {
    const size_t room = with.batch.Room(kReceiveBytesMax).size();
    if (room == 0) break;
    for (size_t i = 0; i < room / kFrameHeaderBytes; ++i) with.batch.AddFrame({});
  }
  // A few events find a place as well.
  with.AddEvents(100, EventKind::kSent);
  const size_t count = with.batch.BeginDelivery();
  CHECK(count <= kDescriptorsMax);
  with.batch.EndDelivery();
}

void EventsOfADeliveryJoinTheNext() {
  Fixture with;
  with.AddEvents(1, EventKind::kConnected);
  CHECK_EQUAL(with.batch.BeginDelivery(), 1);
  CHECK(with.batch.is_delivering());
  CHECK(with.batch.Room(kReceiveBytesMax).empty());
  with.AddEvents(3, EventKind::kSent);
  CHECK(with.descriptors[0].kind == EventKind::kConnected);
  with.batch.EndDelivery();
  CHECK(with.batch.has_events());
  CHECK_EQUAL(with.batch.BeginDelivery(), 3);
  for (uint32_t i = 0; i < 3; ++i) CHECK_EQUAL(with.descriptors[i].extra, i);
  with.batch.EndDelivery();
  CHECK(!with.batch.has_events());
}

// However many events there are, all come, in order.
void EventsOutnumberDescriptors() {
  Fixture with;
  const size_t total = 2 * kDescriptorsMax + 5;
  with.AddEvents(total, EventKind::kSent);
  uint32_t next = 0;
  while (with.batch.has_events()) {
    const size_t count = with.batch.BeginDelivery();
    for (size_t i = 0; i < count; ++i) CHECK_EQUAL(with.descriptors[i].extra, next++);
    with.batch.EndDelivery();
    // Frames would overtake the events that wait: none is received.
    CHECK(next + kDescriptorsMax > total || with.batch.Room(kReceiveBytesMax).empty());
  }
  CHECK_EQUAL(next, total);
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(
      argument_count, arguments,
      {
          {"a frame lies where it was received", AFrameLiesWhereItWasReceived},
          {"a full inbox gives no room until delivered", AFullInboxGivesNoRoomUntilDelivered},
          {"room can always be described", RoomCanAlwaysBeDescribed},
          {"events of a delivery join the next", EventsOfADeliveryJoinTheNext},
          {"events outnumber descriptors", EventsOutnumberDescriptors},
      });
}
