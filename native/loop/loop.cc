#include "loop/loop.h"

namespace paipai {

bool Loop::Flush() {
  // A sentinel of this turn: those behind it asked while we were flushing.
  class TurnEnd final : public Flushable {
    void Flush() override {}
  } turn_end;
  driver_.Reap();
  dirty_.PushBack(turn_end);
  for (Flushable* next = dirty_.PopFront(); next != &turn_end; next = dirty_.PopFront())
    next->Flush();
  // Together: a driver may send for all of them in one call.
  driver_.Reap();
  driver_.Commit();
  return !dirty_.empty();
}

void Loop::FlushEnds() {
  while (Flushable* next = ending_.PopFront()) next->Flush();
}

bool Loop::Poll() {
  if (awake_.empty()) return false;
  // A sentinel as in Flush: who is woken meanwhile comes behind it, and gets its turn in the next.
  class TurnEnd final : public Pollable {
    bool Poll() override { return false; }
    bool ExpectsMore() const override { return false; }
    bool PrepareSleep() override { return false; }
  } turn_end;
  awake_.PushBack(turn_end);
  bool did = false;
  for (Pollable* next = awake_.PopFront(); next != &turn_end; next = awake_.PopFront()) {
    awake_.PushBack(*next);
    did |= next->Poll();
  }
  // Another one comes first the next time: the first may fill the inbox.
  if (Pollable* first = awake_.PopFront()) awake_.PushBack(*first);
  return did;
}

bool Loop::ExpectsMore() {
  for (Pollable& user : awake_) {
    if (user.ExpectsMore()) return true;
  }
  return false;
}

bool Loop::PrepareSleep() {
  bool has_work = false;
  for (auto at = awake_.begin(); at != awake_.end();) {
    Pollable& user = *at;
    ++at;
    if (user.PrepareSleep()) {
      user.Unlink();
    } else {
      has_work = true;
    }
  }
  return has_work;
}

}  // namespace paipai
