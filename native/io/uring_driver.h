#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "io/hosted_driver.h"
#include "io/readiness_host.h"
#include "io/slot_table.h"
#include "io/uring_ring.h"

namespace paipai {

// Readiness and transfers through one io_uring, whose descriptor is all that the host watches.
//
// No memory of an operation is ever in flight. What waits in the kernel are polls, which hold a
// file and no address; sends and receives are submitted without waiting (MSG_DONTWAIT) when their
// turn has come, those of several connections in one call, and the driver does not return before
// their completions are there. So an operation may be cancelled, and its memory freed, at any time.
// Detach takes the polls back and waits for their end: afterwards the kernel holds nothing of the
// descriptor, and closing it closes the socket.
//
//   host: the ring is readable → OnReady: take completions, run one ready slot a call
//   Submit(kSend) → gathered and sent with others in Reap; blocked: polled first
//   polls to be armed wait for the next call into the kernel, at the latest that of Commit
class UringDriver final : public HostedDriver {
 public:
  // Takes a ring of at least kEntries. Fails: -errno of the host.
  static Result<std::unique_ptr<UringDriver>> Open(ReadinessHost& host,
                                                   std::unique_ptr<UringRing> ring);
  static constexpr uint32_t kEntries = 64;

  Result<uint32_t> Attach(int fd) override;
  void Detach(uint32_t slot) override;
  void Submit(uint32_t slot, Operation& operation) override;
  void Cancel(Operation& operation) override;
  size_t Reap() override;
  void Commit() override;
  void SetKeepsAlive(uint32_t slot, bool keeps_alive) override;

  // `slot` is the host's, of the ring.
  bool OnReady(uint32_t slot, bool readable, bool writable) override;
  // What has completed lies in memory.
  bool MayAsk(uint32_t) const override { return true; }

 private:
  enum Side : uint32_t { kReading, kWriting };
  static constexpr Side kSides[] = {kReading, kWriting};

  struct Slot {
    int fd = -1;
    // By Side: kReceive, kAccept or kReadable; kSend or kConnect.
    Operation* operations[2] = {};
    bool polled[2] = {};  // A poll is queued or with the kernel.
    bool ready[2] = {};
    bool keeps_alive = true;
    bool is_counted = false;  // In busy_count_.
    // As in EpollDriver: the next send waits for a poll instead of asking in vain.
    bool blocked = false;
  };
  // A send or receive while the kernel works on it.
  struct Transfer {
    uint32_t slot;
    size_t offered;
    int32_t result;
    msghdr message;
    iovec vectors[kVectorsMax];
  };
  static constexpr size_t kTransfersMax = 32;

  UringDriver(ReadinessHost& host, std::unique_ptr<UringRing> ring);

  void SetOperation(uint32_t index, Side side, Operation* operation);
  void Finish(uint32_t index, Side side, int32_t result);
  void UpdateBusy(Slot& slot);
  void Poll(uint32_t index, Side side);
  void TakePollsBack(uint32_t index);

  // Bytes of a receive that filled its room, so that there may be more to read at once, else 0.
  size_t RunReading(uint32_t index);
  void RunWriting(uint32_t index);
  void RunSends();
  // False: there is nothing to gather.
  bool BeginTransfer(uint32_t index, Operation& operation);
  // Until every transfer that was begun has its result.
  void WaitForTransfers();

  // As UringRing::Enter, but may return before it is done.
  void Enter(UringRing::Purpose purpose, uint32_t wait);
  uring::Sqe& Queue(uring::Op op, int fd, uint64_t user_data);
  void TakeCompletions();
  void TakePoll(uint32_t index, Side side, int32_t result);

  ReadinessHost& host_;
  const std::unique_ptr<UringRing> ring_;
  SlotTable<Slot> slots_;
  std::vector<uint32_t> sends_;    // Slots whose send is to be tried; some may have changed since.
  std::vector<uint32_t> ready_;    // Slots that became ready; likewise.
  std::vector<uint32_t> serving_;  // Those of the readiness that the host told last.
  size_t served_count_ = 0;
  size_t filled_bytes_ = 0;  // Of receives of the slot being served that filled their room.
  uint32_t busy_count_ = 0;  // Slots that keep the host's loop alive.
  bool has_nop_ = false;     // One is on its way to make the ring readable.
  const std::unique_ptr<Transfer[]> transfers_;
  size_t transfer_count_ = 0;
  size_t unfinished_count_ = 0;  // Of these.
  size_t cancel_count_ = 0;      // Requests to take a poll back that have no answer yet.
};

}  // namespace paipai
