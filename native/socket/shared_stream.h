#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "io/operation.h"
#include "loop/loop.h"
#include "shm/pair.h"
#include "socket/stream.h"

namespace paipai {

// A byte stream through shared memory, as Stream is one through a socket: it asks its user for the
// same vectors and fills or empties them. It has no end of its own: the socket that the two had
// before tells of that. Everything that it reads of the rings is the other process's word and
// checked there. Thread: loop.
class SharedStream final : public Pollable {
 public:
  SharedStream(Loop& loop, StreamUser& user, SharedPair pair)
      : loop_(loop),
        user_(user),
        pair_(std::move(pair)),
        writer_(pair_.out()),
        reader_(pair_.in()),
        woken_(*this),
        let_go_(*this) {}
  SharedStream(const SharedStream&) = delete;
  SharedStream& operator=(const SharedStream&) = delete;
  ~SharedStream() { Close(); }

  // Begins to listen for the other end. Fails: -errno.
  Result<void> Open();
  void StartReceiving();
  void StopReceiving() { receives_ = false; }
  // Asks GatherSend for as much as the ring takes. What is left leaves when there is room again.
  void Send();
  // The socket ended with `result`. True: bytes lie in the ring that were sent before; OnEnd
  // follows them, once, with the `result` of the first call.
  bool EndAfterBytes(int32_t result);
  // Whether it is on its way to that OnEnd.
  bool is_ending() const { return receives_ && end_ == End::kBehindBytes; }
  // No call to the user follows. Idempotent.
  void Close();

  // Pollable: called while this end is awake.
  bool Poll() override;
  bool ExpectsMore() const override;
  bool PrepareSleep() override;

 private:
  class Woken final : public Operation {
   public:
    explicit Woken(SharedStream& stream) : Operation(OperationKind::kReadable), stream_(stream) {}
    size_t Gather(iovec*, size_t) override { return 0; }
    void OnComplete(int32_t result) override;

   private:
    SharedStream& stream_;
  };

  // The link: it has nothing to say but its end.
  class LetGo final : public Operation {
   public:
    explicit LetGo(SharedStream& stream) : Operation(OperationKind::kReadable), stream_(stream) {}
    size_t Gather(iovec*, size_t) override { return 0; }
    void OnComplete(int32_t result) override;

   private:
    SharedStream& stream_;
  };

  enum class End : uint8_t { kNone, kBehindBytes, kTold };

  bool Receive();
  void Wake();
  void FailSending(Error error);
  // The other end wrote what cannot be.
  void FailReceiving(Error error);

  Loop& loop_;
  StreamUser& user_;
  SharedPair pair_;
  RingWriter writer_;
  RingReader reader_;
  Woken woken_;
  LetGo let_go_;
  size_t received_bytes_ = 0;  // Since it was last asleep.
  uint32_t slot_ = 0;
  uint32_t link_slot_ = 0;
  End end_ = End::kNone;
  int32_t end_result_ = 0;
  bool open_ = false;
  bool receives_ = false;
  bool sending_ = false;         // Send is on the stack.
  bool sends_again_ = false;     // And was called meanwhile.
  bool is_let_go_ = false;       // Nobody takes anything out of the ring any more.
  bool waits_for_room_ = false;  // There is more to send than the ring had room for.
};

}  // namespace paipai
