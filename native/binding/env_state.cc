#include "binding/env_state.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "frame/several.h"
#include "memory/pool_budget.h"

namespace paipai {
namespace {

// JS writes the number of the connection where the sequence number of the frame will stand.
constexpr size_t kConnectionOffset = offsetof(FrameHeader, sequence);

// Looks at shared memory in one poll, before others get their turn.
constexpr int kPollsMax = 8;

// Of what JS queues in a turn the first so many bytes leave at once, for the other side to begin
// with; later ones in larger pieces.
constexpr uint32_t kFirstFlushBytes = 3072;
// The same while the loop spins: who is awake anyway needs no early call, and pieces of one size
// keep both sides at work.
constexpr uint32_t kFirstFlushBytesSpinning = 4608;

// Of what is queued in one call for many, as much leaves together.
constexpr size_t kManyFlushBytes = size_t{64} << 10;
static_assert(kManyFlushBytes + kFrameHeaderBytes + kSeveralBytesMax <= kOutboxBytes);

uv_loop_t* UvLoopOf(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  PP_ASSERT(napi_get_uv_event_loop(env, &loop) == napi_ok);
  return loop;
}

// The state does not end with the instance data but in its cleanup hook, when libuv has let go of
// every handle.
void KeepUntilCleanup(Napi::Env, EnvState*) {}

}  // namespace

SharedMemory::SharedMemory(Napi::Env env, size_t bytes) {
  void* data = nullptr;
  napi_value buffer;
  // Refused in a worker that is being terminated.
  if (napi_create_arraybuffer(env, bytes, &data, &buffer) != napi_ok) return;
  buffer_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
  data_ = data;
  bytes_ = bytes;
}

EnvState& EnvState::Of(Napi::Env env, IoChoice io) {
  auto* state = env.GetInstanceData<EnvState>();
  if (state != nullptr) return *state;
  state = new EnvState(env, io);
  env.SetInstanceData<EnvState, KeepUntilCleanup>(state);
  return *state;
}

EnvState::EnvState(Napi::Env env, IoChoice io)
    : env_(env),
      inbox_(env, kInboxBytes),
      descriptors_(env, kDescriptorsMax * sizeof(Descriptor)),
      outbox_(env, kOutboxBytes),
      control_(env, 4 * sizeof(uint32_t)),
      outbox_data_(outbox_.As<uint8_t>().data()),
      control_data_(control_.As<uint32_t>().data()),
      host_(UvLoopOf(env), *this),
      selected_(SelectDriver(io, host_)),
      driver_(*selected_.driver),
      loop_(driver_),
      batch_(inbox_.As<uint8_t>(), descriptors_.As<Descriptor>()),
      async_context_(std::make_unique<Napi::AsyncContext>(env, "paipainet")) {
  if (control_data_ != nullptr) loop_.CountUnsentIn(&control_data_[3]);
  PP_ASSERT(napi_add_async_cleanup_hook(env, OnCleanup, this, &cleanup_) == napi_ok);
}

void EnvState::OnCleanup(napi_async_cleanup_hook_handle, void* data) {
  auto* state = static_cast<EnvState*>(data);
  state->closing_ = true;
  state->connections_.Clear();
  state->listeners_.Clear();
  state->raws_.Clear();
  state->retired_.clear();
  state->retired_raws_.clear();
  state->host_.CloseAll();
}

void EnvState::OnClosed() {
  napi_async_cleanup_hook_handle cleanup = cleanup_;
  delete this;
  napi_remove_async_cleanup_hook(cleanup);
}

Napi::Object EnvState::Open(Napi::Function on_batch) {
  if (!has_memory()) return Napi::Object();
  on_batch_ = Napi::Persistent(on_batch);
  Napi::Object shared = Napi::Object::New(env_);
  shared.Set("inbox", inbox_.buffer());
  shared.Set("descriptors", descriptors_.buffer());
  shared.Set("outbox", outbox_.buffer());
  shared.Set("control", control_.buffer());
  shared.Set("io", selected_.io == IoChoice::kUring ? "uring" : "epoll");
  shared.Set("ioReason", selected_.reason);
  return shared;
}

int32_t EnvState::Connect(const Address& address, uint32_t frame_bytes_max) {
  const uint32_t id = connections_.Add(
      [&](uint32_t made) { return std::make_unique<Connection>(*this, made, frame_bytes_max); });
  if (id == decltype(connections_)::kNone) return Error::Of(ErrorCode::POOL_EXHAUSTED).result();
  Result<void> begun = connections_.Find(id)->stream().Connect(address);
  if (begun) return static_cast<int32_t>(id);
  connections_.Take(id);
  return begun.error().result();
}

int32_t EnvState::Listen(const Address& address, int backlog, uint32_t frame_bytes_max) {
  const uint32_t id = listeners_.Add([&](uint32_t made) {
    return std::make_unique<ListenerHolder>(*this, made, frame_bytes_max);
  });
  if (id == decltype(listeners_)::kNone) return Error::Of(ErrorCode::POOL_EXHAUSTED).result();
  Result<void> listening = listeners_.Find(id)->listener().Listen(address, backlog);
  if (listening) return static_cast<int32_t>(id);
  listeners_.Take(id);
  return listening.error().result();
}

void EnvState::Accept(uint32_t listener_id, int fd, uint32_t frame_bytes_max) {
  const uint32_t id = connections_.Add(
      [&](uint32_t made) { return std::make_unique<Connection>(*this, made, frame_bytes_max); });
  if (id == decltype(connections_)::kNone) {
    close(fd);
    return;
  }
  if (!connections_.Find(id)->stream().Adopt(fd)) {
    connections_.Take(id);
    return;
  }
  Descriptor accepted;
  accepted.connection = listener_id;
  accepted.kind = EventKind::kAccepted;
  accepted.extra = id;
  batch_.AddEvent(accepted);
}

void EnvState::Retire(uint32_t id) {
  std::unique_ptr<Connection> connection = connections_.Take(id);
  if (connection != nullptr) retired_.push_back(std::move(connection));
}

void EnvState::CloseConnection(uint32_t id) {
  Connection* connection = FindConnection(id);
  if (connection == nullptr) return;
  connection->stream().Close();
  Retire(id);
}

void EnvState::CloseListener(uint32_t id) { listeners_.Take(id); }

int32_t EnvState::AdoptRaw(int fd) {
  const uint32_t id =
      raws_.Add([&](uint32_t made) { return std::make_unique<RawConnection>(*this, made); });
  if (id == decltype(raws_)::kNone) {
    close(fd);
    return -EMFILE;
  }
  Result<void> adopted = raws_.Find(id)->stream().Adopt(fd);
  if (adopted) return static_cast<int32_t>(id);
  raws_.Take(id);
  return adopted.error().result();
}

void EnvState::Lend(Napi::Value buffer, MutableByteSpan memory) {
  lent_ = Napi::Persistent(buffer.As<Napi::Object>());
  batch_.Lend(memory);
}

void EnvState::CloseRaw(uint32_t id, bool resets) {
  std::unique_ptr<RawConnection> raw = raws_.Take(id);
  if (raw == nullptr) return;
  raw->stream().Close(resets);
  retired_raws_.push_back(std::move(raw));
}

ByteSpan EnvState::OutboxAt(size_t offset, size_t length) const {
  if (!has_memory() || offset > kOutboxBytes || length > kOutboxBytes - offset) return {};
  return {outbox_data_ + offset, length};
}

void EnvState::ChangeSpin(uint32_t before, uint32_t after) {
  if (before != 0 && --spins_[before] == 0) spins_.erase(before);
  if (after != 0) ++spins_[after];
  host_.SetSpin(spins_.empty() ? 0 : spins_.rbegin()->first);
}

uint32_t EnvState::AddLarge(Napi::ObjectReference buffer) {
  large_.push_back(std::move(buffer));
  return static_cast<uint32_t>(large_.size() - 1);
}

bool EnvState::OnReady(uint32_t slot, bool readable, bool writable) {
  bool came = false;
  bool may_have_more = true;
  while (may_have_more) {
    may_have_more = driver_.OnReady(slot, readable, writable);
    if (driver_.Reap() > 0) came = true;
    // A full inbox is delivered now: those whose turn comes later would find no room in it, this
    // time and every time.
    if (batch_.Room(kReceiveBytesMax).empty()) Deliver();
    // Asking at once costs less than another turn of the loop. What a completion did may have ended
    // the slot, even given it to another descriptor: then there is nothing to run, or nothing to
    // read.
    readable = true;
    writable = false;
  }
  // With nothing to deliver no flush follows, which would do it.
  if (!came) driver_.Commit();
  return came;
}

void EnvState::SetFlushMark() {
  if (control_data_ == nullptr) return;
  control_data_[2] = spins_.empty() ? kFirstFlushBytes : kFirstFlushBytesSpinning;
}

bool EnvState::OnBeforeWait() {
  loop_.FlushEnds();
  Flush();
  SetFlushMark();
  return more_to_send_ || batch_.has_events();
}

bool EnvState::OnPoll() {
  bool came = false;
  // A full inbox is delivered at once, as in OnReady.
  for (int i = 0; i < kPollsMax && loop_.Poll(); ++i) {
    came = true;
    if (!batch_.Room(kReceiveBytesMax).empty()) break;
    Deliver();
  }
  return came;
}

bool EnvState::OnAfterWait() {
  OnPoll();
  loop_.FlushEnds();
  Deliver();
  loop_.FlushEnds();
  Flush();
  SetFlushMark();
  retired_.clear();
  retired_raws_.clear();
  return more_to_send_ || batch_.has_events();
}

void EnvState::TakeOutbox(std::vector<FramedStream*>& borrowers) {
  // In a worker that was terminated while this state was made, V8 gave no memory; nothing will use
  // it either.
  if (!has_memory()) return;
  const size_t used = std::exchange(control_data_[0], 0u);
  if (used == 0) return;
  NoteMessages();
  ++control_data_[1];
  PP_ASSERT(used <= kOutboxBytes);
  size_t run_begin = 0;
  while (run_begin < used) {
    // A run: frames one behind the other for one connection.
    const uint32_t id = Load32(outbox_data_ + run_begin + kConnectionOffset);
    size_t run_end = run_begin;
    while (run_end < used && Load32(outbox_data_ + run_end + kConnectionOffset) == id) {
      const uint32_t payload_bytes =
          Load32(outbox_data_ + run_end + offsetof(FrameHeader, payload_bytes));
      PP_ASSERT(used - run_end >= kFrameHeaderBytes &&
                payload_bytes <= used - run_end - kFrameHeaderBytes);
      run_end += kFrameHeaderBytes + payload_bytes;
    }
    // Frames for a connection that has ended go where it went.
    if (Connection* connection = FindConnection(id)) {
      connection->stream().SendFrames({outbox_data_ + run_begin, run_end - run_begin});
      borrowers.push_back(&connection->stream());
    }
    run_begin = run_end;
  }
}

size_t EnvState::QueueMessages(uint32_t connection, uint16_t name, ByteSpan payloads,
                               size_t payload_bytes) {
  if (!has_memory()) return 0;
  const size_t item_bytes = SeveralItemBytes(payload_bytes);
  const size_t per_frame = kSeveralBytesMax / item_bytes;
  size_t begin = control_data_[0];
  while (!payloads.empty()) {
    // While the other side works on these, this one goes on.
    if (control_data_[0] >= kManyFlushBytes) {
      Flush();
      begin = 0;
    }
    const size_t count = std::min(payloads.size() / payload_bytes, per_frame);
    uint8_t* next = outbox_data_ + control_data_[0];
    FrameHeader header{};
    header.type = FrameType::kMessages;
    header.name = name;
    header.payload_bytes = static_cast<uint32_t>(count * item_bytes);
    header.sequence = connection;
    std::memcpy(next, &header, sizeof(header));
    next += sizeof(header);
    for (size_t i = 0; i < count; ++i) {
      next = WriteSeveralItem(next, 0, payloads.first(payload_bytes));
      payloads = payloads.subspan(payload_bytes);
    }
    control_data_[0] = static_cast<uint32_t>(next - outbox_data_);
  }
  return control_data_[0] - begin;
}

void EnvState::Flush() {
  borrowers_.clear();
  TakeOutbox(borrowers_);
  more_to_send_ = loop_.Flush();
  // Nobody is destroyed within a turn (see Retire), so the pointers hold.
  for (FramedStream* borrower : borrowers_) borrower->Settle();
}

// Node-API without its wrapper, which would end the process when a worker is terminated: every call
// that could run JS fails then, and that is all right.
void EnvState::Deliver() {
  if (!batch_.has_events() || closing_ || on_batch_.IsEmpty()) return;
  NoteMessages();
  Napi::HandleScope scope(env_);
  const size_t count = batch_.BeginDelivery();
  napi_value arguments[2] = {Napi::Number::New(env_, static_cast<double>(count)), env_.Undefined()};
  if (!large_.empty()) {
    napi_create_array_with_length(env_, large_.size(), &arguments[1]);
    for (size_t i = 0; i < large_.size(); ++i) {
      napi_set_element(env_, arguments[1], static_cast<uint32_t>(i), large_[i].Value());
    }
    large_.clear();
  }
  napi_value returned;
  const napi_value on_batch = on_batch_.Value();
  const napi_status status =
      napi_make_callback(env_, *async_context_, on_batch, on_batch, 2, arguments, &returned);
  napi_value thrown;
  if (status == napi_pending_exception &&
      napi_get_and_clear_last_exception(env_, &thrown) == napi_ok) {
    // As for any callback of Node's own: 'uncaughtException', and the end of the process unless
    // someone listens.
    napi_fatal_exception(env_, thrown);
  }
  batch_.EndDelivery();
}

}  // namespace paipai
