#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "io/driver.h"

namespace paipai::test {

// A driver whose kernel is the test: it says which bytes arrive, in which cut, and how many may
// leave. Descriptors are only carried along.
class FakeDriver final : public Driver {
 public:
  Result<uint32_t> Attach(int fd) override {
    if (attach_errno != 0) return Error::System(attach_errno);
    slots_.emplace_back().fd = fd;
    return static_cast<uint32_t>(slots_.size() - 1);
  }

  void Detach(uint32_t index) override {
    Slot& slot = slots_[index];
    PP_ASSERT(slot.fd >= 0);
    if (slot.reading != nullptr) Cancel(*slot.reading);
    if (slot.writing != nullptr) Cancel(*slot.writing);
    slot.fd = -1;
  }

  void Submit(uint32_t index, Operation& operation) override {
    PP_ASSERT(!operation.submitted() && slots_[index].fd >= 0);
    MarkSubmitted(operation, index);
    const bool writes =
        operation.kind() == OperationKind::kSend || operation.kind() == OperationKind::kConnect;
    Operation*& side = writes ? slots_[index].writing : slots_[index].reading;
    PP_ASSERT(side == nullptr);
    side = &operation;
    if (operation.kind() == OperationKind::kSend) RunSend(index);
  }

  void Cancel(Operation& operation) override {
    for (std::vector<Completion>* list : {&completions_, &reaping_}) {
      for (Completion& completion : *list) {
        if (completion.operation == &operation) completion.operation = nullptr;
      }
    }
    if (!operation.submitted()) return;
    MarkDone(operation);
    Slot& slot = slots_[operation.slot()];
    if (slot.reading == &operation) slot.reading = nullptr;
    if (slot.writing == &operation) slot.writing = nullptr;
  }

  size_t Reap() override {
    size_t count = 0;
    while (!completions_.empty()) {
      reaping_.swap(completions_);
      for (size_t i = 0; i < reaping_.size(); ++i) {
        if (reaping_[i].operation == nullptr) continue;
        ++count;
        std::exchange(reaping_[i].operation, nullptr)->OnComplete(reaping_[i].result);
      }
      reaping_.clear();
    }
    return count;
  }

  void SetKeepsAlive(uint32_t, bool) override {}

  // What the test says.

  int attach_errno = 0;

  // `bytes` arrive at `slot`: as many as there is a receive and room for. Returns how many.
  size_t Arrive(uint32_t index, ByteSpan bytes) {
    Operation* const operation = slots_[index].reading;
    if (operation == nullptr || operation->kind() != OperationKind::kReceive) return 0;
    iovec vectors[kVectorsMax];
    const size_t count = operation->Gather(vectors, kVectorsMax);
    size_t taken = 0;
    for (size_t i = 0; i < count && taken < bytes.size(); ++i) {
      const size_t size = std::min(vectors[i].iov_len, bytes.size() - taken);
      std::memcpy(vectors[i].iov_base, bytes.data() + taken, size);
      taken += size;
    }
    if (taken > 0) completions_.push_back({operation, static_cast<int32_t>(taken)});
    return taken;
  }

  // The receive on `slot` ends: 0 is the end of the stream, else -errno. Whether there was one.
  bool EndReceive(uint32_t index, int32_t result) { return Finish(slots_[index].reading, result); }
  // So does what is being sent or connected.
  bool EndWriting(uint32_t index, int32_t result) { return Finish(slots_[index].writing, result); }

  // The kernel takes `bytes` more on `slot`.
  void AllowSend(uint32_t index, size_t bytes) {
    slots_[index].send_room += bytes;
    RunSend(index);
  }
  std::vector<uint8_t>& sent(uint32_t index) { return slots_[index].sent; }
  bool is_receiving(uint32_t index) const { return slots_[index].reading != nullptr; }

 private:
  static constexpr size_t kVectorsMax = 64;

  struct Slot {
    int fd = -1;
    Operation* reading = nullptr;
    Operation* writing = nullptr;
    size_t send_room = 0;
    std::vector<uint8_t> sent;
  };
  struct Completion {
    Operation* operation;
    int32_t result;
  };

  bool Finish(Operation*& side, int32_t result) {
    if (side == nullptr) return false;
    MarkDone(*side);
    completions_.push_back({std::exchange(side, nullptr), result});
    return true;
  }

  void RunSend(uint32_t index) {
    Slot& slot = slots_[index];
    if (slot.writing == nullptr || slot.writing->kind() != OperationKind::kSend) return;
    if (slot.send_room == 0) return;
    iovec vectors[kVectorsMax];
    const size_t count = slot.writing->Gather(vectors, kVectorsMax);
    size_t taken = 0;
    for (size_t i = 0; i < count && slot.send_room > 0; ++i) {
      const size_t size = std::min(vectors[i].iov_len, slot.send_room);
      const auto* const data = static_cast<const uint8_t*>(vectors[i].iov_base);
      slot.sent.insert(slot.sent.end(), data, data + size);
      slot.send_room -= size;
      taken += size;
    }
    Operation* const operation = std::exchange(slot.writing, nullptr);
    MarkDone(*operation);
    if (count > 0) completions_.push_back({operation, static_cast<int32_t>(taken)});
  }

  std::vector<Slot> slots_;
  std::vector<Completion> completions_;
  std::vector<Completion> reaping_;
};

}  // namespace paipai::test
