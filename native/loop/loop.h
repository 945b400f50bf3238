#pragma once

#include <cstddef>
#include <cstdint>

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

// Something whose work is seen by looking at memory, not told by the driver: it is looked at each
// turn while it is awake, and asleep it has told the other side to wake it.
class Pollable : public IntrusiveListNode<Pollable> {
 public:
  // Does what there is to do; whether there was anything.
  virtual bool Poll() = 0;
  // Whether more is about to come, or to be taken: in the middle of bulk.
  virtual bool ExpectsMore() const = 0;
  // Before the loop waits. True: asleep from here on, until Loop::Wake; false: there is something
  // to do, so do not wait.
  virtual bool PrepareSleep() = 0;

 protected:
  ~Pollable() = default;
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

  // Flushes `user` as soon as the code that runs now is over, before what was received is delivered
  // and before others are flushed.
  void RequestEnd(Flushable& user) {
    if (!user.is_linked()) ending_.PushBack(user);
  }
  void FlushEnds();

  // Delivers completions, sends what was queued, delivers what that completed. Who asks for a flush
  // meanwhile is served in the next turn: returns whether there is such a one, so that the host
  // does not sleep.
  bool Flush();

  // How many have bytes queued that the system has not taken; kept in `*place` from now on.
  void CountUnsentIn(uint32_t* place) {
    *place = *unsent_count_;
    unsent_count_ = place;
  }
  void AddUnsent() { ++*unsent_count_; }
  void RemoveUnsent() { --*unsent_count_; }

  // From now on `user` is polled.
  void Wake(Pollable& user) {
    if (!user.is_linked()) awake_.PushBack(user);
  }
  bool has_awake() const { return !awake_.empty(); }
  // Polls all that are awake, once; whether any did something.
  bool Poll();
  // Whether one of the awake does.
  bool ExpectsMore();
  // Before the host waits: puts to sleep whoever can. True: one had something to do instead.
  bool PrepareSleep();

 private:
  Driver& driver_;
  uint32_t own_unsent_count_ = 0;
  uint32_t* unsent_count_ = &own_unsent_count_;
  BufferPool pool_;
  IntrusiveList<Flushable> dirty_;
  IntrusiveList<Flushable> ending_;
  IntrusiveList<Pollable, Pollable> awake_;
};

}  // namespace paipai
