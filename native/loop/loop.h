#pragma once

#include <cstddef>

#include "base/intrusive_list.h"
#include "io/driver.h"
#include "memory/buffer_pool.h"

namespace paipai {

// Something that gathers bytes during a turn and sends them when the turn ends.
class Flushable : public IntrusiveListNode<> {
 public:
  // Submits what is queued. Asks for another flush itself when it leaves some to the next turn.
  virtual void Flush() = 0;

 protected:
  ~Flushable() = default;
};

// One loop an environment: the driver, the pool, and who has something to send. It has no thread
// and no wait of its own; whoever hosts it calls OnTurn. Thread: the host's.
class Loop {
 public:
  explicit Loop(Driver& driver) : driver_(driver) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Driver& driver() { return driver_; }
  BufferPool& pool() { return pool_; }

  // Flushes `user` at the end of this turn; once, however often it asks.
  void RequestFlush(Flushable& user) {
    if (!user.is_linked()) dirty_.PushBack(user);
  }

  // Delivers completions, sends what was queued, delivers what that completed. Who asks for a flush
  // meanwhile is served in the next turn: returns whether there is such a one, so that the host
  // does not sleep.
  bool Flush();

 private:
  Driver& driver_;
  BufferPool pool_;
  IntrusiveList<Flushable> dirty_;
};

}  // namespace paipai
