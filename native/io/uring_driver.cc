#include "io/uring_driver.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.h"
#include "memory/pool_budget.h"

namespace paipai {
namespace {

using uring::Op;
using Purpose = UringRing::Purpose;

constexpr uint32_t kHostSlot = 0;

// The events of a poll are stored by halves elsewhere.
static_assert(std::endian::native == std::endian::little);

// What a completion is of: user_data is `number` above this tag.
enum class Tag : uint64_t { kPollReading, kPollWriting, kTransfer, kNop, kCancel };
constexpr int kTagBits = 3;

constexpr uint64_t UserData(Tag tag, uint64_t number) {
  return number << kTagBits | static_cast<uint64_t>(tag);
}

}  // namespace

Result<std::unique_ptr<UringDriver>> UringDriver::Open(ReadinessHost& host,
                                                       std::unique_ptr<UringRing> ring) {
  const int opened = host.Open(kHostSlot, ring->fd());
  if (opened < 0) return Error::System(-opened);
  const int watched = host.Watch(kHostSlot, true, false);
  if (watched < 0) {
    host.Close(kHostSlot);
    return Error::System(-watched);
  }
  host.SetKeepsAlive(kHostSlot, false);
  return std::unique_ptr<UringDriver>(new UringDriver(host, std::move(ring)));
}

UringDriver::UringDriver(ReadinessHost& host, std::unique_ptr<UringRing> ring)
    : host_(host),
      ring_(std::move(ring)),
      transfers_(std::make_unique_for_overwrite<Transfer[]>(kTransfersMax)) {}

Result<uint32_t> UringDriver::Attach(int fd) {
  const uint32_t index = slots_.Take();
  slots_[index].fd = fd;
  return index;
}

void UringDriver::Detach(uint32_t index) {
  PP_ASSERT(slots_[index].fd >= 0);
  for (const Side side : kSides) {
    if (Operation* const operation = slots_[index].operations[side]) Cancel(*operation);
  }
  // Polls that are only queued are submitted ahead of what takes them back.
  while (slots_[index].polled[kReading] || slots_[index].polled[kWriting]) {
    TakePollsBack(index);
    Enter(Purpose::kForEvents, 1);
    TakeCompletions();
  }
  slots_.Free(index);
}

// Again once the kernel has answered: a request that met a wake-up under way may have failed, and
// the wake-up may have found nothing and left the poll where it was.
void UringDriver::TakePollsBack(uint32_t index) {
  if (cancel_count_ > 0) return;
  for (const Side side : kSides) {
    if (!slots_[index].polled[side]) continue;
    uring::Sqe& cancel = Queue(Op::kCancel, -1, UserData(Tag::kCancel, 0));
    cancel.address = UserData(side == kReading ? Tag::kPollReading : Tag::kPollWriting, index);
    ++cancel_count_;
  }
}

void UringDriver::Submit(uint32_t index, Operation& operation) {
  PP_ASSERT(!operation.submitted());
  MarkSubmitted(operation, index);
  switch (operation.kind()) {
    case OperationKind::kReceive:
    case OperationKind::kAccept:
    case OperationKind::kReadable:
      PP_ASSERT(slots_[index].operations[kReading] == nullptr);
      SetOperation(index, kReading, &operation);
      Poll(index, kReading);
      return;
    case OperationKind::kConnect:
    case OperationKind::kSend:
      PP_ASSERT(slots_[index].operations[kWriting] == nullptr);
      SetOperation(index, kWriting, &operation);
      if (operation.kind() == OperationKind::kSend && !slots_[index].blocked) {
        sends_.push_back(index);
      } else {
        Poll(index, kWriting);
      }
      return;
  }
}

void UringDriver::Cancel(Operation& operation) {
  Forget(operation);
  if (!operation.submitted()) return;
  MarkDone(operation);
  for (const Side side : kSides) {
    // A poll stays where it is: whoever is submitted next may want it, and Detach takes it back.
    if (slots_[operation.slot()].operations[side] == &operation)
      SetOperation(operation.slot(), side, nullptr);
  }
}

size_t UringDriver::Reap() {
  size_t count = DeliverCompletions();
  while (!sends_.empty()) {
    RunSends();
    count += DeliverCompletions();
  }
  return count;
}

void UringDriver::Commit() {
  // Those found ready on the way are for the next OnReady: this makes the ring readable again.
  if (!has_nop_ && (!ready_.empty() || served_count_ < serving_.size())) {
    has_nop_ = true;
    Queue(Op::kNop, -1, UserData(Tag::kNop, 0));
  }
  while (ring_->queued() > 0) Enter(Purpose::kToSubmit, 0);
}

void UringDriver::SetKeepsAlive(uint32_t index, bool keeps_alive) {
  slots_[index].keeps_alive = keeps_alive;
  UpdateBusy(slots_[index]);
}

bool UringDriver::OnReady(uint32_t, bool, bool) {
  if (served_count_ == serving_.size()) {
    TakeCompletions();
    // This ends: each poll completes once, and none is armed here.
    while (ring_->HasHiddenEvents()) {
      Enter(Purpose::kForEvents, 0);
      TakeCompletions();
    }
    serving_.clear();
    served_count_ = 0;
    serving_.swap(ready_);
    if (serving_.empty()) return false;
  }
  const uint32_t index = serving_[served_count_];
  // Reading first: what a peer said before it went away counts for more than that it cannot be
  // answered.
  if (std::exchange(slots_[index].ready[kReading], false)) {
    const size_t filled = RunReading(index);
    filled_bytes_ += filled;
    if (filled > 0 && filled_bytes_ < kReceiveBytesPerTurn) {
      slots_[index].ready[kReading] = true;
      return true;
    }
    Poll(index, kReading);
  }
  filled_bytes_ = 0;
  ++served_count_;
  if (std::exchange(slots_[index].ready[kWriting], false)) {
    slots_[index].blocked = false;
    RunWriting(index);
  }
  return served_count_ < serving_.size();
}

void UringDriver::SetOperation(uint32_t index, Side side, Operation* operation) {
  slots_[index].operations[side] = operation;
  UpdateBusy(slots_[index]);
}

void UringDriver::Finish(uint32_t index, Side side, int32_t result) {
  Operation& operation = *slots_[index].operations[side];
  SetOperation(index, side, nullptr);
  MarkDone(operation);
  Complete(operation, result);
}

void UringDriver::UpdateBusy(Slot& slot) {
  const bool is_busy = slot.keeps_alive && (slot.operations[kReading] != nullptr ||
                                            slot.operations[kWriting] != nullptr);
  if (std::exchange(slot.is_counted, is_busy) == is_busy) return;
  if (is_busy && busy_count_++ == 0) host_.SetKeepsAlive(kHostSlot, true);
  if (!is_busy && --busy_count_ == 0) host_.SetKeepsAlive(kHostSlot, false);
}

void UringDriver::Poll(uint32_t index, Side side) {
  Slot& slot = slots_[index];
  if (slot.operations[side] == nullptr || slot.polled[side] || slot.ready[side]) return;
  slot.polled[side] = true;
  const Tag tag = side == kReading ? Tag::kPollReading : Tag::kPollWriting;
  // Once, and anew each time: that asks for the state as it is then, where a lasting poll tells
  // only of changes.
  uring::Sqe& poll = Queue(Op::kPollAdd, slot.fd, UserData(tag, index));
  poll.op_flags = side == kReading ? POLLIN : POLLOUT;
}

size_t UringDriver::RunReading(uint32_t index) {
  Operation* const operation = slots_[index].operations[kReading];
  if (operation == nullptr) return 0;
  if (operation->kind() == OperationKind::kReadable) {
    Complete(*operation, 0);
    return 0;
  }
  if (operation->kind() == OperationKind::kAccept) {
    const int32_t result = AcceptReady(slots_[index].fd, *operation);
    if (result < 0) Finish(index, kReading, result);
    return 0;
  }
  // One at a time: several connections are offered the same room.
  if (!BeginTransfer(index, *operation)) return 0;
  WaitForTransfers();
  const Transfer& transfer = transfers_[0];
  transfer_count_ = 0;
  if (transfer.result == -EAGAIN || transfer.result == -EINTR) return 0;
  if (transfer.result <= 0) {
    Finish(index, kReading, transfer.result);
    return 0;
  }
  Complete(*operation, transfer.result);
  return static_cast<size_t>(transfer.result) == transfer.offered ? transfer.offered : 0;
}

void UringDriver::RunWriting(uint32_t index) {
  Operation* const operation = slots_[index].operations[kWriting];
  if (operation == nullptr) return;
  if (operation->kind() == OperationKind::kSend) {
    sends_.push_back(index);
  } else {
    Finish(index, kWriting, ConnectResult(slots_[index].fd));
  }
}

void UringDriver::RunSends() {
  size_t taken = 0;
  while (taken < sends_.size() && transfer_count_ < kTransfersMax) {
    const uint32_t index = sends_[taken++];
    Operation* const operation = slots_[index].operations[kWriting];
    if (operation == nullptr || operation->kind() != OperationKind::kSend) continue;
    if (slots_[index].blocked) continue;
    // Not twice in one batch, if it was cancelled and submitted again.
    slots_[index].blocked = true;
    if (BeginTransfer(index, *operation)) continue;
    slots_[index].blocked = false;
    SetOperation(index, kWriting, nullptr);
    MarkDone(*operation);
  }
  sends_.erase(sends_.begin(), sends_.begin() + static_cast<ptrdiff_t>(taken));
  WaitForTransfers();
  for (size_t i = 0; i < transfer_count_; ++i) {
    const uint32_t index = transfers_[i].slot;
    const int32_t result = transfers_[i].result;
    Slot& slot = slots_[index];
    if (result == -EAGAIN) {
      Poll(index, kWriting);
      continue;
    }
    slot.blocked = result >= 0 && static_cast<size_t>(result) < transfers_[i].offered;
    if (result == -EINTR) {
      sends_.push_back(index);
    } else {
      Finish(index, kWriting, result);
    }
  }
  transfer_count_ = 0;
}

bool UringDriver::BeginTransfer(uint32_t index, Operation& operation) {
  Transfer& transfer = transfers_[transfer_count_];
  const size_t count = operation.Gather(transfer.vectors, kVectorsMax);
  if (count == 0) return false;
  transfer.slot = index;
  transfer.offered = 0;
  for (size_t i = 0; i < count; ++i) transfer.offered += transfer.vectors[i].iov_len;
  const bool sends = operation.kind() == OperationKind::kSend;
  const bool is_one = count == 1;
  const Op op = sends ? (is_one ? Op::kSend : Op::kSendMessage)
                      : (is_one ? Op::kReceive : Op::kReceiveMessage);
  uring::Sqe& sqe = Queue(op, slots_[index].fd, UserData(Tag::kTransfer, transfer_count_));
  if (is_one) {
    sqe.address = reinterpret_cast<uintptr_t>(transfer.vectors[0].iov_base);
    // What does not fit the field is left to the next transfer, as a partial one.
    sqe.length = static_cast<uint32_t>(std::min<size_t>(transfer.vectors[0].iov_len, INT32_MAX));
  } else {
    transfer.message = msghdr{};
    transfer.message.msg_iov = transfer.vectors;
    transfer.message.msg_iovlen = count;
    sqe.address = reinterpret_cast<uintptr_t>(&transfer.message);
    sqe.length = 1;
  }
  sqe.op_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  ++transfer_count_;
  ++unfinished_count_;
  return true;
}

void UringDriver::WaitForTransfers() {
  if (unfinished_count_ == 0) return;
  // They do not wait for their sockets, so submitting completes them; should the kernel ever put
  // one off, its memory is still here.
  for (Enter(Purpose::kToSubmit, 0), TakeCompletions(); unfinished_count_ > 0; TakeCompletions())
    Enter(Purpose::kForEvents, 1);
}

void UringDriver::Enter(Purpose purpose, uint32_t wait) {
  const Result<void> entered = ring_->Enter(purpose, wait);
  if (entered) return;
  const int32_t result = entered.error().result();
  PP_ASSERT(result == -EBUSY || result == -EAGAIN || result == -ENOMEM);
  TakeCompletions();
  sched_yield();
}

uring::Sqe& UringDriver::Queue(Op op, int fd, uint64_t user_data) {
  while (ring_->is_full()) Enter(Purpose::kToSubmit, 0);
  return ring_->Queue(op, fd, user_data);
}

void UringDriver::TakeCompletions() {
  uring::Cqe cqe;
  while (ring_->Take(cqe)) {
    const auto number = static_cast<uint32_t>(cqe.user_data >> kTagBits);
    switch (static_cast<Tag>(cqe.user_data & ((1u << kTagBits) - 1))) {
      case Tag::kPollReading:
        TakePoll(number, kReading, cqe.result);
        break;
      case Tag::kPollWriting:
        TakePoll(number, kWriting, cqe.result);
        break;
      case Tag::kTransfer:
        transfers_[number].result = cqe.result;
        --unfinished_count_;
        break;
      case Tag::kNop:
        has_nop_ = false;
        break;
      case Tag::kCancel:
        --cancel_count_;
        break;
    }
  }
}

void UringDriver::TakePoll(uint32_t index, Side side, int32_t result) {
  Slot& slot = slots_[index];
  slot.polled[side] = false;
  if (slot.operations[side] == nullptr) return;
  if (result < 0) {
    Finish(index, side, result);
    return;
  }
  slot.ready[side] = true;
  ready_.push_back(index);
}

}  // namespace paipai
