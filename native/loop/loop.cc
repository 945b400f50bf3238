#include "loop/loop.h"

namespace paipai {

bool Loop::Flush() {
  // A sentinel of this turn: those behind it asked while we were flushing.
  class TurnEnd final : public Flushable {
    void Flush() override {}
  } turn_end;
  driver_.Reap();
  dirty_.PushBack(turn_end);
  for (Flushable* next = dirty_.PopFront(); next != &turn_end; next = dirty_.PopFront()) {
    next->Flush();
    driver_.Reap();
  }
  return !dirty_.empty();
}

}  // namespace paipai
