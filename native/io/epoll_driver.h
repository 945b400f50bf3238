#pragma once

#include <cstddef>
#include <cstdint>

#include "io/hosted_driver.h"
#include "io/readiness_host.h"
#include "io/slot_table.h"

namespace paipai {

// Completions over readiness: a send is tried when it is submitted, everything else when the host
// says the descriptor is ready; what would block waits for the host's word. Thread: loop.
class EpollDriver final : public HostedDriver {
 public:
  explicit EpollDriver(ReadinessHost& host) : host_(host) {}

  Result<uint32_t> Attach(int fd) override;
  void Detach(uint32_t slot) override;
  void Submit(uint32_t slot, Operation& operation) override;
  void Cancel(Operation& operation) override;
  size_t Reap() override { return DeliverCompletions(); }
  void SetKeepsAlive(uint32_t slot, bool keeps_alive) override;

  bool OnReady(uint32_t slot, bool readable, bool writable) override;
  void OnHangUp(uint32_t slot) override;
  bool MayAsk(uint32_t slot) const override;
  bool MayLook(uint32_t slot) const override;

 private:
  struct Slot {
    Operation* reading = nullptr;  // kReceive, kAccept or kReadable.
    Operation* writing = nullptr;  // kSend or kConnect.
    int fd = -1;
    bool watches_readable = false;
    bool watches_writable = false;
    // The last send took less than it was given: the next one waits for the host instead of asking
    // in vain.
    bool blocked = false;
    size_t filled_bytes = 0;  // Of receives in this readiness that filled their room.
  };

  void UpdateWatch(uint32_t index);
  // Bytes of a receive that filled its room, so that there may be more to read at once, else 0.
  size_t RunReading(uint32_t index);
  void RunWriting(uint32_t index);

  ReadinessHost& host_;
  SlotTable<Slot> slots_;
};

}  // namespace paipai
