#include "binding/connection.h"

#include <utility>

#include "binding/env_state.h"

namespace paipai {

void SpinHold::Set(uint32_t microseconds) {
  const uint32_t before = std::exchange(microseconds_, microseconds);
  if (before != microseconds) state_.ChangeSpin(before, microseconds);
}

Connection::Connection(EnvState& state, uint32_t id, uint32_t frame_bytes_max)
    : state_(state),
      stream_(state.loop(), state.batch(), *this, id, frame_bytes_max),
      spin_(state) {}

Connection::~Connection() { stream_.Close(); }

Connection::Held& Connection::MakeHeld() {
  if (held_ == nullptr) held_ = std::make_unique<Held>();
  return *held_;
}

void Connection::HoldUntilSent(uint32_t token, Napi::Value bytes) {
  MakeHeld().sending.insert_or_assign(token, Napi::Persistent(bytes.As<Napi::Object>()));
  state_.NoteMessages();
}

void Connection::SendLarge(const uint8_t* header, Napi::Value bytes, ByteSpan payload,
                           uint32_t token) {
  HoldUntilSent(token, bytes);
  stream_.SendLarge(header, payload, token);
}

void Connection::SendBulk(uint32_t stream_id, Napi::Value bytes, ByteSpan span, uint32_t token) {
  HoldUntilSent(token, bytes);
  stream_.SendBulk(stream_id, span, token);
}

void Connection::SendBulkFrame(const uint8_t* header, Napi::Value bytes, ByteSpan payload,
                               uint32_t token) {
  HoldUntilSent(token, bytes);
  stream_.SendBulkFrame(header, payload, token);
}

bool Connection::SetSink(uint32_t stream_id, Napi::Value target, MutableByteSpan span) {
  if (!stream_.SetSink(stream_id, span)) return false;
  MakeHeld().sinks.insert_or_assign(stream_id, Napi::Persistent(target.As<Napi::Object>()));
  return true;
}

bool Connection::ClearSink(uint32_t stream_id) {
  const bool cleared = stream_.ClearSink(stream_id);
  if (held_ != nullptr) held_->sinks.erase(stream_id);
  return cleared;
}

Result<void> Connection::OpenDoor(std::string_view name) {
  Result<SharedDoor> door = SharedDoor::Open(name);
  if (!door) return door.error();
  MakeHeld().door = std::make_unique<SharedDoor>(std::move(*door));
  return {};
}

Result<void> Connection::EnterDoor(std::string_view name, ByteSpan token) {
  Result<SharedPair> pair = SharedDoor::Enter(name, token);
  if (!pair) return pair.error();
  return stream_.SetSharedPair(std::move(*pair));
}

Result<void> Connection::TakeFromDoor(ByteSpan token) {
  if (held_ == nullptr || held_->door == nullptr) return Error::Of(ErrorCode::INVALID_STATE);
  const std::unique_ptr<SharedDoor> door = std::move(held_->door);
  Result<SharedPair> pair = door->Take(token);
  if (!pair) return pair.error();
  Result<void> set = stream_.SetSharedPair(std::move(*pair));
  if (!set) return set;
  if (stream_.SwitchSending()) return {};
  stream_.DropSharedPair();
  return Error::Of(ErrorCode::INVALID_STATE);
}

void Connection::CloseDoor() {
  if (held_ != nullptr) held_->door.reset();
  stream_.DropSharedPair();
}

uint8_t* Connection::OnLargeBegin(size_t bytes) {
  Napi::HandleScope scope(state_.env());
  LargeBuffer spare = state_.spares().Take(bytes);
  if (spare.data != nullptr) {
    MakeHeld().large = std::move(spare.buffer);
    return spare.data;
  }
  napi_value buffer;
  void* data = nullptr;
  if (napi_create_arraybuffer(state_.env(), bytes, &data, &buffer) != napi_ok) return nullptr;
  MakeHeld().large = Napi::Persistent(Napi::Object(state_.env(), buffer));
  return static_cast<uint8_t*>(data);
}

uint32_t Connection::OnLargeDone() { return state_.AddLarge(std::move(held_->large)); }

void Connection::OnLargeDropped() { held_->large.Reset(); }

void Connection::OnSentToken(uint32_t token, uint32_t crc) {
  held_->sending.erase(token);
  Descriptor sent;
  sent.connection = stream_.id();
  sent.kind = EventKind::kSent;
  sent.argument = crc;
  sent.extra = token;
  state_.batch().AddEvent(sent);
}

void Connection::OnClosed() {
  held_.reset();
  state_.Retire(stream_.id());
}

ListenerHolder::ListenerHolder(EnvState& state, uint32_t id, uint32_t frame_bytes_max)
    : state_(state),
      id_(id),
      frame_bytes_max_(frame_bytes_max),
      listener_(state.loop(), *this),
      spin_(state) {}

void ListenerHolder::OnAccept(int fd) { state_.Accept(id_, fd, frame_bytes_max_); }

void ListenerHolder::OnPaused(int32_t result) {
  Descriptor paused;
  paused.connection = id_;
  paused.kind = EventKind::kListenerPaused;
  paused.extra = static_cast<uint32_t>(result);
  state_.batch().AddEvent(paused);
}

}  // namespace paipai
