#include "binding/loop_host.h"

#include "base/assert.h"

namespace paipai {

LoopHost::LoopHost(uv_loop_t* loop, LoopHostUser& user) : loop_(loop), user_(user) {
  uv_prepare_init(loop, &prepare_);
  uv_check_init(loop, &check_);
  uv_idle_init(loop, &idle_);
  prepare_.data = check_.data = idle_.data = this;
  uv_prepare_start(&prepare_, [](uv_prepare_t* handle) {
    auto* host = static_cast<LoopHost*>(handle->data);
    if (host->user_.OnBeforeWait()) host->SkipNextWait();
    host->ApplyChanges();
  });
  uv_check_start(&check_, [](uv_check_t* handle) {
    auto* host = static_cast<LoopHost*>(handle->data);
    uv_idle_stop(&host->idle_);
    if (host->user_.OnAfterWait()) host->SkipNextWait();
  });
  // Only descriptors keep the process alive, and uv_idle for the one turn that leftovers need.
  uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&check_));
  open_handles_ = 3;
}

int LoopHost::Open(uint32_t slot, int fd) {
  Poll* poll = new Poll{};
  const int opened = uv_poll_init(loop_, &poll->handle, fd);
  if (opened < 0) {
    delete poll;
    return opened;
  }
  poll->host = this;
  poll->slot = slot;
  poll->handle.data = poll;
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
  const int events = (poll.has_readable ? UV_READABLE : 0) | (poll.has_writable ? UV_WRITABLE : 0);
  // uv_poll_start fails only for a handle that is closing; ours is in the table, so it is not.
  uv_poll_start(&poll.handle, events, [](uv_poll_t* handle, int status, int events_now) {
    auto* ready = static_cast<Poll*>(handle->data);
    LoopHost* host = ready->host;
    const uint32_t slot = ready->slot;
    if (status >= 0) {
      host->user_.OnReady(slot, (events_now & UV_READABLE) != 0, (events_now & UV_WRITABLE) != 0);
      return;
    }
    // An error on the descriptor: let the operations run and meet it themselves. libuv has stopped
    // the handle, but a receive may first have to take what came before the error.
    ready->has_readable = ready->has_writable = false;
    host->user_.OnReady(slot, true, true);
    if (host->polls_[slot] == ready) host->Apply(*ready);
  });
}

void LoopHost::Close(uint32_t slot) {
  Poll* poll = polls_[slot];
  polls_[slot] = nullptr;
  ClosePoll(poll);
}

void LoopHost::ClosePoll(Poll* poll) {
  poll->is_changed = false;
  uv_close(reinterpret_cast<uv_handle_t*>(&poll->handle), [](uv_handle_t* handle) {
    auto* closed = static_cast<Poll*>(handle->data);
    LoopHost* host = closed->host;
    delete closed;
    host->OnHandleClosed();
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

void LoopHost::SkipNextWait() {
  if (closing_) return;
  uv_idle_start(&idle_, [](uv_idle_t*) {});
}

void LoopHost::CloseAll() {
  PP_ASSERT(!closing_);
  closing_ = true;
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
