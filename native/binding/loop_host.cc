#include "binding/loop_host.h"

#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace paipai {
namespace {

// Without giving the CPU away two that spin on one CPU wait out each other's time slices, and
// libuv's thread pool starves.
constexpr int kPollsPerYield = 2;
// While one connection talks it is asked for bytes at once: the set takes a system call of its own
// to say that there are some. So often in a row.
constexpr int kTalksMax = 3;
// While memory brings messages nothing else is asked, for a system call takes as long as a message;
// libuv's own set knows our sockets too. In a pause the CPU is given away, and sockets are asked,
// ever more rarely: a quarter of the pause apart, within these bounds. The lower one doubles while
// nobody else wants the CPU, who would have had it for longer than an empty yield takes.
constexpr int kMemoryPollsPerClock = 16;
constexpr uint64_t kMemoryLookNsMin = 5'000;
constexpr uint64_t kMemoryLookNsMax = 50'000;
constexpr uint64_t kEmptyYieldNsMax = 2'000;
constexpr uint64_t kMemoryBusyNs = 100'000;
// How long memory that goes on bringing messages keeps libuv from its turn, asleep otherwise.
constexpr uint64_t kMemoryTurnNs = 40'000;
// How long whoever is in the middle of bulk looks for more of it before it sleeps: to be woken
// takes as long (with 0, 10, 30, 60 us 4.6, 4.6, 6.0, 7.0 GB/s of messages of 1 MiB, for less CPU
// each).
constexpr uint64_t kBulkLookNs = 60'000;
// How often libuv's own descriptors are looked at: other sockets, the thread pool, other threads.
// A look costs what an empty poll does. Messages that come faster than this do not put it off.
constexpr uint64_t kUvLookNs = 20'000;
// libuv gets a turn at least this often, whatever its descriptors say: it puts new ones into its
// set only then.
constexpr uint64_t kUvTurnNs = 250'000;
// While memory brings messages: with requests of libuv's under way, such as those of its thread
// pool, and with none.
constexpr uint64_t kMemoryUvTurnNs = 500'000;
constexpr uint64_t kMemoryUvTurnNsUnasked = 1'000'000;
// Two that talk on one CPU wait for each other's turn: who gives the CPU away finds the answer when
// it gets it back, and nobody slept or was woken (ping-pong 17.2 us asleep, 13.1 so). For so long
// libuv waits for its turn meanwhile.
constexpr uint64_t kLingerTurnNs = 50'000;
// Longer, and it went to somebody who does not talk to us: whoever sleeps is served before those
// who wait for a share. That may take this share of the time, and as much more at once: now and
// then it is but what a host does to a guest.
constexpr uint64_t kLingerYieldNsMax = 200'000;
constexpr uint64_t kLingerPausePerYield = 16;
constexpr uint64_t kLingerCreditNs = 160'000'000;
constexpr uint64_t kLingerPauseNsMax = 2'000'000'000;
// After so many in vain it is only tried in one turn of so many.
constexpr int kLingerMissesMax = 4;
constexpr uint32_t kLingerProbeTurns = 64;
constexpr size_t kReadyMax = 64;
// From this version on libuv's streams read on behind a hang-up, and meet the error there.
constexpr unsigned kUvThatReadsOn = 1 << 16 | 52 << 8;

}  // namespace

LoopHost::LoopHost(uv_loop_t* loop, LoopHostUser& user)
    : loop_(loop),
      user_(user),
      tells_hang_up_(uv_version() < kUvThatReadsOn),
      memory_look_ns_(kMemoryLookNsMin) {
  uv_prepare_init(loop, &prepare_);
  uv_check_init(loop, &check_);
  uv_idle_init(loop, &idle_);
  prepare_.data = check_.data = idle_.data = this;
  uv_prepare_start(&prepare_, [](uv_prepare_t* handle) {
    auto* host = static_cast<LoopHost*>(handle->data);
    if (host->user_.OnBeforeWait()) host->SkipNextWait();
    host->ApplyChanges();
    host->Spin();
    host->Linger();
    host->PrepareSleep();
  });
  uv_check_start(&check_, [](uv_check_t* handle) {
    auto* host = static_cast<LoopHost*>(handle->data);
    uv_idle_stop(&host->idle_);
    if (host->ready_count_ != 1 && !host->is_lingering_) host->last_ready_ = nullptr;
    host->ready_count_ = 0;
    host->is_lingering_ = false;
    if (host->user_.OnAfterWait()) host->SkipNextWait();
  });
  // Only descriptors keep the process alive, and uv_idle for the one turn that leftovers need.
  uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&check_));
  open_handles_ = 3;
}

int LoopHost::Poll::fd() const {
  uv_os_fd_t fd = -1;
  PP_ASSERT(uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle), &fd) == 0);
  return fd;
}

int LoopHost::Open(uint32_t slot, int fd) {
  Poll* poll = new Poll{};
  const int opened = uv_poll_init(loop_, &poll->handle, fd);
  if (opened < 0) {
    delete poll;
    return opened;
  }
  poll->slot = slot;
  poll->handle.data = this;
  if (slot >= polls_.size()) polls_.resize(slot + 1, nullptr);
  PP_ASSERT(polls_[slot] == nullptr);
  polls_[slot] = poll;
  ++open_handles_;
  return 0;
}

int LoopHost::Watch(uint32_t slot, bool readable, bool writable) {
  Poll* poll = polls_[slot];
  poll->wants_readable = readable;
  poll->wants_writable = writable;
  if (!poll->has_readable && !poll->has_writable) {
    // Not later: a handle that watches nothing keeps no process alive, so that there might be no
    // later.
    Apply(*poll);
  } else if (!poll->is_changed) {
    poll->is_changed = true;
    changed_.push_back(slot);
  }
  return 0;
}

void LoopHost::ApplyChanges() {
  for (const uint32_t slot : changed_) {
    Poll* poll = polls_[slot];
    if (poll == nullptr || !poll->is_changed) continue;
    poll->is_changed = false;
    Apply(*poll);
  }
  changed_.clear();
}

void LoopHost::Apply(Poll& poll) {
  if (poll.wants_readable == poll.has_readable && poll.wants_writable == poll.has_writable) return;
  poll.has_readable = poll.wants_readable;
  poll.has_writable = poll.wants_writable;
  UpdateSpinSet(poll);
  const int events = (poll.has_readable ? UV_READABLE : 0) | (poll.has_writable ? UV_WRITABLE : 0);
  // uv_poll_start fails only for a handle that is closing; ours is in the table, so it is not.
  uv_poll_start(&poll.handle, events, [](uv_poll_t* handle, int status, int events_now) {
    auto* ready = reinterpret_cast<Poll*>(handle);
    LoopHost* host = &ready->host();
    const uint32_t slot = ready->slot;
    ++host->ready_count_;
    host->last_ready_ = ready;
    if (status >= 0) {
      host->user_.OnReady(slot, (events_now & UV_READABLE) != 0, (events_now & UV_WRITABLE) != 0);
      return;
    }
    // An error on the descriptor: let the operations run and meet it themselves. libuv has stopped
    // the handle, but a receive may first have to take what came before the error.
    ready->has_readable = ready->has_writable = false;
    host->user_.OnReady(slot, true, true);
    host->TellHangUp(slot, ready);
    if (host->polls_[slot] == ready) host->Apply(*ready);
  });
}

void LoopHost::TellHangUp(uint32_t slot, const Poll* poll) {
  if (tells_hang_up_ && polls_[slot] == poll) user_.OnHangUp(slot);
}

void LoopHost::Close(uint32_t slot) {
  Poll* poll = polls_[slot];
  polls_[slot] = nullptr;
  ClosePoll(poll);
}

void LoopHost::ClosePoll(Poll* poll) {
  poll->is_changed = false;
  poll->has_readable = poll->has_writable = false;
  if (talking_ == poll) talking_ = nullptr;
  if (last_ready_ == poll) last_ready_ = nullptr;
  UpdateSpinSet(*poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&poll->handle), [](uv_handle_t* handle) {
    auto* closed = reinterpret_cast<Poll*>(handle);
    LoopHost& host = closed->host();
    delete closed;
    host.OnHandleClosed();
  });
}

void LoopHost::SetKeepsAlive(uint32_t slot, bool keeps_alive) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&polls_[slot]->handle);
  if (keeps_alive) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

void LoopHost::SetSpin(uint32_t microseconds) {
  spin_ns_ = microseconds * uint64_t{1'000};
  if (microseconds == 0) {
    spin_set_.Close();
    for (Poll* poll : polls_) {
      if (poll != nullptr) poll->spin_events = 0;
    }
    return;
  }
  if (spin_set_.is_open() || !spin_set_.Open()) return;
  for (Poll* poll : polls_) {
    if (poll != nullptr) UpdateSpinSet(*poll);
  }
}

void LoopHost::UpdateSpinSet(Poll& poll) {
  if (!spin_set_.is_open()) return;
  const uint32_t events = (poll.has_readable ? EPOLLIN : 0u) | (poll.has_writable ? EPOLLOUT : 0u);
  // Refused for want of memory, it is noticed when libuv gets its next turn.
  if (spin_set_.Change(poll.fd(), poll.spin_events, events, &poll)) {
    poll.spin_events = static_cast<uint8_t>(events);
  }
}

void LoopHost::Spin() {
  if (!spin_set_.is_open()) return;
  const uint64_t begun_ns = uv_hrtime();
  uint64_t look_at = begun_ns + kUvLookNs;
  SpinEnd end;
  while ((end = SpinUntilReady(begun_ns + UvTurnNs(), look_at)) == SpinEnd::kReady) {
    // Timers that JS now starts count from now, in milliseconds.
    if (spun_ns_ / 1'000'000 > uv_now(loop_)) uv_update_time(loop_);
    const bool has_leftovers = user_.OnAfterWait();
    ApplyChanges();
    if (has_leftovers) SkipNextWait();
  }
  if (end == SpinEnd::kTurn) SkipNextWait();
}

uint64_t LoopHost::UvTurnNs() const {
  if (!memory_leads_) return kUvTurnNs;
  return loop_->active_reqs.count > 0 ? kMemoryUvTurnNs : kMemoryUvTurnNsUnasked;
}

void LoopHost::Linger() {
  const uint64_t begun_ns = uv_hrtime();
  if (!MayLinger(begun_ns)) return;
  while (uv_backend_timeout(loop_) != 0) {
    const uint64_t given_ns = uv_hrtime();
    if (given_ns >= begun_ns + kLingerTurnNs) {
      is_lingering_ = true;
      SkipNextWait();
      return;
    }
    sched_yield();
    // libuv reckons from here when it waits, or looks at its timers.
    uv_update_time(loop_);
    const uint64_t now = uv_hrtime();
    const uint64_t away_ns = now - given_ns;
    if (away_ns > kLingerYieldNsMax) {
      linger_from_ns_ = std::max(linger_from_ns_, now - kLingerCreditNs) +
                        std::min(kLingerPausePerYield * away_ns, kLingerPauseNsMax);
    }
    const bool found = AskLast();
    linger_misses_ = found ? 0 : linger_misses_ + 1;
    if (!found) return;
    const bool has_leftovers = user_.OnAfterWait();
    ApplyChanges();
    if (has_leftovers) SkipNextWait();
    if (now < linger_from_ns_) return;
  }
}

bool LoopHost::MayLinger(uint64_t now) {
  ++turns_;
  if (spin_set_.is_open() || now < linger_from_ns_) return false;
  if (linger_misses_ >= kLingerMissesMax && turns_ % kLingerProbeTurns != 0) return false;
  if (user_.IsAwake()) return true;
  if (last_ready_ == nullptr) return false;
  return user_.MayAsk(last_ready_->slot) || user_.MayLook(last_ready_->slot);
}

bool LoopHost::AskLast() {
  if (user_.OnPoll()) return true;
  if (last_ready_ == nullptr) return false;
  const uint32_t slot = last_ready_->slot;
  if (user_.MayAsk(slot)) return user_.OnReady(slot, true, false);
  if (!user_.MayLook(slot)) return false;
  // An error or a hang-up is libuv's to tell.
  pollfd found{last_ready_->fd(), POLLIN, 0};
  if (poll(&found, 1, 0) != 1 || found.revents != POLLIN) return false;
  user_.OnReady(slot, true, false);
  return true;
}

void LoopHost::PrepareSleep() {
  uint64_t until_ns = 0;
  while (uv_backend_timeout(loop_) != 0) {
    if (!LookForBulk() && !user_.OnSleep()) return;
    const uint64_t now = uv_hrtime();
    if (until_ns == 0) until_ns = now + kMemoryTurnNs;
    if (now >= until_ns) {
      SkipNextWait();
      return;
    }
    uv_update_time(loop_);
    const bool has_leftovers = user_.OnAfterWait();
    ApplyChanges();
    if (has_leftovers) SkipNextWait();
  }
  // libuv says 0 also when it has descriptors to put into its set, and then waits all the same:
  // whoever is awake would miss what comes. Who keeps nothing alive must not do so here.
  if (user_.IsAwake() && uv_loop_alive(loop_) != 0) SkipNextWait();
}

bool LoopHost::LookForBulk() {
  if (!user_.ExpectsMore()) return false;
  const uint64_t until_ns = uv_hrtime() + kBulkLookNs;
  do {
    if (user_.OnPoll()) return true;
    sched_yield();
  } while (uv_hrtime() < until_ns);
  return false;
}

LoopHost::SpinEnd LoopHost::SpinUntilReady(uint64_t turn_at, uint64_t& look_at) {
  // Closed, or something to do for libuv, by what JS did with the last batch.
  const int timeout_ms = uv_backend_timeout(loop_);
  if (!spin_set_.is_open() || timeout_ms == 0) return SpinEnd::kSleep;
  uint64_t now = uv_hrtime();
  if (std::exchange(had_messages_, false)) messages_ns_ = now;
  const uint64_t sleep_at = messages_ns_ + spin_ns_;
  // Until the next timer; -1 is none.
  if (timeout_ms > 0) {
    turn_at = std::min(turn_at, (uv_now(loop_) + static_cast<uint64_t>(timeout_ms)) * 1'000'000);
  }
  if (memory_leads_) look_at = now + memory_look_ns_;
  for (int polls = 1;; ++polls) {
    spun_ns_ = now;
    if (now >= sleep_at) return SpinEnd::kSleep;
    if (now >= turn_at) return SpinEnd::kTurn;
    // The clock takes longer than a look at memory.
    for (int looks = 0; looks < (memory_leads_ ? kMemoryPollsPerClock : 1); ++looks) {
      if (!user_.OnPoll()) continue;
      memory_leads_ = true;
      found_ns_ = now;
      return SpinEnd::kReady;
    }
    const uint64_t pause_ns = now - found_ns_;
    const bool is_look = now >= look_at;
    const bool asks_others = !memory_leads_ || (is_look && pause_ns >= kMemoryBusyNs);
    if (asks_others && RunReady()) {
      memory_leads_ = false;
      found_ns_ = now;
      return SpinEnd::kReady;
    }
    if (asks_others && is_look && IsUvReady()) return SpinEnd::kTurn;
    if (!memory_leads_) {
      if (is_look) look_at = now + kUvLookNs;
      if (polls % kPollsPerYield == 0) sched_yield();
      now = uv_hrtime();
    } else if (is_look) {
      now = YieldInPause();
      look_at = now + std::clamp(pause_ns / 4, memory_look_ns_, kMemoryLookNsMax);
    } else {
      now = uv_hrtime();
    }
  }
}

uint64_t LoopHost::YieldInPause() {
  const uint64_t given_ns = uv_hrtime();
  sched_yield();
  const uint64_t now = uv_hrtime();
  const bool is_alone = now - given_ns <= kEmptyYieldNsMax;
  memory_look_ns_ = is_alone ? std::min(2 * memory_look_ns_, kMemoryLookNsMax) : kMemoryLookNsMin;
  return now;
}

bool LoopHost::RunReady() {
  if (talking_ == nullptr || talks_ == kTalksMax || !user_.MayAsk(talking_->slot)) {
    talks_ = 0;
    return RunReadyOfSpinSet();
  }
  ++talks_;
  return user_.OnReady(talking_->slot, true, false);
}

bool LoopHost::RunReadyOfSpinSet() {
  epoll_event events[kReadyMax];
  const size_t count = spin_set_.Ready(events);
  // What is said of it below may close it.
  if (count > 0) talking_ = count == 1 ? static_cast<Poll*>(events[0].data.ptr) : nullptr;
  for (size_t i = 0; i < count; ++i) {
    // Still in memory, even if one before it in this round has closed it: libuv's close callbacks
    // come later in the turn.
    auto* poll = static_cast<Poll*>(events[i].data.ptr);
    if (polls_[poll->slot] != poll) continue;
    const bool failed = (events[i].events & (EPOLLERR | EPOLLHUP)) != 0;
    user_.OnReady(poll->slot, failed || (events[i].events & EPOLLIN) != 0,
                  failed || (events[i].events & EPOLLOUT) != 0);
    if (failed) TellHangUp(poll->slot, poll);
  }
  return count > 0;
}

bool LoopHost::IsUvReady() const {
  pollfd backend{uv_backend_fd(loop_), POLLIN, 0};
  return poll(&backend, 1, 0) != 0;
}

void LoopHost::SkipNextWait() {
  if (closing_) return;
  uv_idle_start(&idle_, [](uv_idle_t*) {});
}

void LoopHost::CloseAll() {
  PP_ASSERT(!closing_);
  closing_ = true;
  spin_set_.Close();
  for (Poll*& poll : polls_) {
    if (poll != nullptr) ClosePoll(poll);
    poll = nullptr;
  }
  const auto closed = [](uv_handle_t* handle) {
    static_cast<LoopHost*>(handle->data)->OnHandleClosed();
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&check_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), closed);
}

void LoopHost::OnHandleClosed() {
  PP_ASSERT(open_handles_ > 0);
  --open_handles_;
  if (closing_ && open_handles_ == 0) user_.OnClosed();
}

}  // namespace paipai
