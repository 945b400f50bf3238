#include "io/epoll_driver.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "memory/pool_budget.h"

namespace paipai {
namespace {

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

Result<uint32_t> EpollDriver::Attach(int fd) {
  const uint32_t index = slots_.Take();
  const int opened = host_.Open(index, fd);
  if (opened < 0) {
    slots_.Free(index);
    return Error::System(-opened);
  }
  slots_[index].fd = fd;
  return index;
}

void EpollDriver::Detach(uint32_t index) {
  Slot& slot = slots_[index];
  PP_ASSERT(slot.fd >= 0);
  if (slot.reading != nullptr) Cancel(*slot.reading);
  if (slot.writing != nullptr) Cancel(*slot.writing);
  // Operations that are done but not reaped have left the slot; their owners cancel them by name.
  host_.Close(index);
  slots_.Free(index);
}

void EpollDriver::Submit(uint32_t index, Operation& operation) {
  PP_ASSERT(!operation.submitted());
  MarkSubmitted(operation, index);
  Slot& slot = slots_[index];
  switch (operation.kind()) {
    case OperationKind::kReceive:
    case OperationKind::kAccept:
    case OperationKind::kReadable:
      PP_ASSERT(slot.reading == nullptr);
      slot.reading = &operation;
      UpdateWatch(index);
      return;
    case OperationKind::kConnect:
      PP_ASSERT(slot.writing == nullptr);
      slot.writing = &operation;
      UpdateWatch(index);
      return;
    case OperationKind::kSend:
      PP_ASSERT(slot.writing == nullptr);
      slot.writing = &operation;
      if (!slot.blocked) RunWriting(index);
      UpdateWatch(index);
      return;
  }
}

void EpollDriver::Cancel(Operation& operation) {
  Forget(operation);
  if (!operation.submitted()) return;
  MarkDone(operation);
  Slot& slot = slots_[operation.slot()];
  if (slot.reading == &operation) slot.reading = nullptr;
  if (slot.writing == &operation) slot.writing = nullptr;
  UpdateWatch(operation.slot());
}

void EpollDriver::SetKeepsAlive(uint32_t slot, bool keeps_alive) {
  host_.SetKeepsAlive(slot, keeps_alive);
}

void EpollDriver::OnHangUp(uint32_t index) {
  Operation* reading = slots_[index].reading;
  if (reading != nullptr && reading->kind() == OperationKind::kReceive) reading->OnHangUp();
}

bool EpollDriver::OnReady(uint32_t index, bool readable, bool writable) {
  // Reading first: what a peer said before it went away counts for more than that it cannot be
  // answered.
  const size_t filled = readable && slots_[index].reading != nullptr ? RunReading(index) : 0;
  slots_[index].filled_bytes = filled > 0 ? slots_[index].filled_bytes + filled : 0;
  if (writable) {
    slots_[index].blocked = false;
    if (slots_[index].writing != nullptr) RunWriting(index);
  }
  UpdateWatch(index);
  if (slots_[index].filled_bytes < kReceiveBytesPerTurn) return filled > 0;
  slots_[index].filled_bytes = 0;
  return false;
}

bool EpollDriver::MayAsk(uint32_t index) const {
  const Operation* reading = slots_[index].reading;
  return reading != nullptr && reading->kind() == OperationKind::kReceive &&
         !reading->is_read_by_owner();
}

bool EpollDriver::MayLook(uint32_t index) const {
  const Operation* reading = slots_[index].reading;
  return reading != nullptr && reading->kind() == OperationKind::kReceive &&
         reading->is_read_by_owner();
}

void EpollDriver::UpdateWatch(uint32_t index) {
  Slot& slot = slots_[index];
  const bool readable = slot.reading != nullptr;
  const bool writable = slot.writing != nullptr;
  if (readable == slot.watches_readable && writable == slot.watches_writable) return;
  slot.watches_readable = readable;
  slot.watches_writable = writable;
  const int watched = host_.Watch(index, readable, writable);
  // The descriptor was accepted by Open, so the host can only fail for want of memory; both sides
  // then learn it.
  if (watched >= 0) return;
  for (Operation** side : {&slot.reading, &slot.writing}) {
    if (*side == nullptr) continue;
    MarkDone(**side);
    Complete(**side, watched);
    *side = nullptr;
  }
}

size_t EpollDriver::RunReading(uint32_t index) {
  Slot& slot = slots_[index];
  Operation& operation = *slot.reading;
  if (operation.kind() == OperationKind::kReadable) {
    Complete(operation, 0);
    return 0;
  }
  if (operation.kind() == OperationKind::kAccept) {
    const int32_t result = AcceptReady(slot.fd, operation);
    if (result < 0) {
      slot.reading = nullptr;
      MarkDone(operation);
      Complete(operation, result);
    }
    return 0;
  }
  iovec vectors[kVectorsMax];
  const size_t count = operation.Gather(vectors, kVectorsMax);
  if (count == 0) return 0;  // No room in this turn; the host is level-triggered and asks again.
  ssize_t received;
  do {
    received = count == 1 ? recv(slot.fd, vectors[0].iov_base, vectors[0].iov_len, 0)
                          : readv(slot.fd, vectors, static_cast<int>(count));
  } while (received < 0 && errno == EINTR);
  if (received < 0 && WouldBlock(errno)) return 0;
  const int32_t result = received < 0 ? -errno : static_cast<int32_t>(received);
  if (result <= 0) {
    slot.reading = nullptr;
    MarkDone(operation);
  }
  Complete(operation, result);
  size_t offered = 0;
  for (size_t i = 0; i < count; ++i) offered += vectors[i].iov_len;
  return received > 0 && static_cast<size_t>(received) == offered ? offered : 0;
}

void EpollDriver::RunWriting(uint32_t index) {
  Slot& slot = slots_[index];
  Operation& operation = *slot.writing;
  int32_t result = 0;
  if (operation.kind() == OperationKind::kConnect) {
    result = ConnectResult(slot.fd);
  } else {
    iovec vectors[kVectorsMax];
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = operation.Gather(vectors, kVectorsMax);
    if (message.msg_iovlen == 0) {
      slot.writing = nullptr;
      MarkDone(operation);
      return;
    }
    size_t offered = 0;
    for (size_t i = 0; i < message.msg_iovlen; ++i) offered += vectors[i].iov_len;
    ssize_t sent;
    do {
      sent = message.msg_iovlen == 1
                 ? send(slot.fd, vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL)
                 : sendmsg(slot.fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && WouldBlock(errno)) {
      slot.blocked = true;
      return;
    }
    slot.blocked = sent >= 0 && static_cast<size_t>(sent) < offered;
    result = sent < 0 ? -errno : static_cast<int32_t>(sent);
  }
  slot.writing = nullptr;
  MarkDone(operation);
  Complete(operation, result);
}

}  // namespace paipai
