#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "binding/spin_set.h"
#include "io/readiness_host.h"

namespace paipai {

// What the host calls, all on the thread of the loop.
class LoopHostUser {
 public:
  // Runs what waits for `slot`; whether anything came of it.
  virtual bool OnReady(uint32_t slot, bool readable, bool writable) = 0;
  // Both directions of `slot` have ended, behind the OnReady of that.
  virtual void OnHangUp(uint32_t slot) = 0;
  // Whether OnReady(slot, true, false) finds out itself if there is anything to receive.
  virtual bool MayAsk(uint32_t slot) const = 0;
  // Whether it may be called, but only once there is something: nobody finds that out within it.
  virtual bool MayLook(uint32_t slot) const = 0;
  // Before libuv waits. True: something is left to do, so do not wait.
  virtual bool OnBeforeWait() = 0;
  // After libuv waited and ran the callbacks of what became ready, or spinning did. True: as above.
  virtual bool OnAfterWait() = 0;
  // Looks at what is seen without a system call; whether anything came.
  virtual bool OnPoll() = 0;
  // Whether OnPoll is about to find something.
  virtual bool ExpectsMore() = 0;
  // The last thing before libuv waits. True: something came, so do not wait.
  virtual bool OnSleep() = 0;
  // Whether OnPoll has anything to look at, which OnSleep would put to sleep.
  virtual bool IsAwake() const = 0;
  // Every handle is closed; the host may be destroyed.
  virtual void OnClosed() = 0;

 protected:
  ~LoopHostUser() = default;
};

// How the core lives inside Node's own loop: a uv_poll for each descriptor, uv_prepare to send what
// a turn queued, uv_check to deliver what it brought, uv_idle to keep libuv from sleeping over
// leftovers. The only file that includes uv.h. Changes of what is watched are gathered and applied
// once before libuv waits: uv_poll_start costs a system call each time. While it spins, uv_prepare
// asks an epoll set of the host's own for what is ready, again and again, in the place of libuv's
// wait.
class LoopHost final : public ReadinessHost {
 public:
  LoopHost(uv_loop_t* loop, LoopHostUser& user);
  LoopHost(const LoopHost&) = delete;
  LoopHost& operator=(const LoopHost&) = delete;

  int Open(uint32_t slot, int fd) override;
  int Watch(uint32_t slot, bool readable, bool writable) override;
  void Close(uint32_t slot) override;
  void SetKeepsAlive(uint32_t slot, bool keeps_alive) override;

  // For how long after the last message the loop looks for the next one without sleeping; 0 is not
  // at all. When the system has no descriptor for it, the loop sleeps.
  void SetSpin(uint32_t microseconds);
  // Messages came, or were sent.
  void NoteMessages() { had_messages_ = true; }

  // There is a next turn, whatever else is alive, and it does not wait for anything.
  void SkipNextWait();
  // Closes every handle; OnClosed follows in a later turn.
  void CloseAll();

 private:
  // One watched descriptor. Lives until libuv has closed its handle, which is after the slot is
  // free again.
  struct Poll {
    LoopHost& host() const { return *static_cast<LoopHost*>(handle.data); }
    int fd() const;

    uv_poll_t handle;  // Its data is the host.
    uint32_t slot;
    bool wants_readable : 1;
    bool wants_writable : 1;
    bool has_readable : 1;
    bool has_writable : 1;
    bool is_changed : 1;
    uint8_t spin_events;  // EPOLLIN and EPOLLOUT, as the spin set has them.
  };
  static_assert(sizeof(Poll) == sizeof(uv_poll_t) + 8);

  void ApplyChanges();
  void Apply(Poll& poll);
  // Unless it has been closed since.
  void TellHangUp(uint32_t slot, const Poll* poll);
  void UpdateSpinSet(Poll& poll);
  // The last thing before libuv waits: goes on at once with what has come by memory meanwhile.
  void PrepareSleep();
  // Before it sleeps: gives the CPU away, and goes on with what whoever took it has sent.
  void Linger();
  bool MayLinger(uint64_t now);
  // Whether anything has come, by memory or from whoever was ready last.
  bool AskLast();
  bool LookForBulk();
  enum class SpinEnd { kReady, kTurn, kSleep };
  // In the place of libuv's wait: takes and delivers what comes, until libuv needs a turn, or it is
  // time to let it wait.
  void Spin();
  // `look_at`: when libuv's descriptors are looked at next.
  SpinEnd SpinUntilReady(uint64_t turn_at, uint64_t& look_at);
  // How long libuv waits for its turn while this spins.
  uint64_t UvTurnNs() const;
  // Gives the CPU away; the time after it.
  uint64_t YieldInPause();
  // Both: whether anything was ready.
  bool RunReady();
  bool RunReadyOfSpinSet();
  bool IsUvReady() const;
  void OnHandleClosed();
  void ClosePoll(Poll* poll);

  uv_loop_t* const loop_;
  LoopHostUser& user_;
  // As the streams of this libuv.
  const bool tells_hang_up_;
  uv_prepare_t prepare_;
  uv_check_t check_;
  uv_idle_t idle_;
  std::vector<Poll*> polls_;  // By slot; each owned by libuv until its close callback.
  std::vector<uint32_t> changed_;
  size_t open_handles_ = 0;
  bool closing_ = false;
  SpinSet spin_set_;  // Open while the loop may spin.
  uint64_t spin_ns_ = 0;
  uint64_t messages_ns_ = 0;   // When the last messages were noticed.
  uint64_t spun_ns_ = 0;       // When spinning last looked at the clock.
  uint64_t found_ns_ = 0;      // When spinning last found something.
  bool memory_leads_ = false;  // It was seen by OnPoll.
  uint64_t memory_look_ns_;    // How long memory is silent before the CPU is given away.
  bool had_messages_ = false;
  // The only one that was ready when the spin set last had any, and how often it was asked itself
  // since.
  Poll* talking_ = nullptr;
  int talks_ = 0;
  // The only one that was ready in the last turn; null: none, or several.
  Poll* last_ready_ = nullptr;
  int ready_count_ = 0;
  bool is_lingering_ = false;  // The turn of libuv's is only in between.
  int linger_misses_ = 0;      // In a row.
  uint32_t turns_ = 0;
  uint64_t linger_from_ns_ = 0;  // Not before.
};

}  // namespace paipai
