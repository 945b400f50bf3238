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

void Connection::Hold(std::optional<Held>& held, uint32_t key, Napi::Value value) {
  if (!held) held.emplace();
  held->insert_or_assign(key, Napi::Persistent(value.As<Napi::Object>()));
}

void Connection::SendLarge(const uint8_t* header, Napi::Value bytes, ByteSpan payload,
                           uint32_t token) {
  Hold(sending_, token, bytes);
  state_.NoteMessages();
  stream_.SendLarge(header, payload, token);
}

void Connection::SendBulk(uint32_t stream_id, Napi::Value bytes, ByteSpan span, uint32_t token) {
  Hold(sending_, token, bytes);
  state_.NoteMessages();
  stream_.SendBulk(stream_id, span, token);
}

bool Connection::SetSink(uint32_t stream_id, Napi::Value target, MutableByteSpan span) {
  if (!stream_.SetSink(stream_id, span)) return false;
  Hold(sinks_, stream_id, target);
  return true;
}

bool Connection::ClearSink(uint32_t stream_id) {
  const bool cleared = stream_.ClearSink(stream_id);
  if (sinks_) sinks_->erase(stream_id);
  return cleared;
}

Result<void> Connection::OpenDoor(std::string_view name) {
  Result<SharedDoor> door = SharedDoor::Open(name);
  if (!door) return door.error();
  door_ = std::make_unique<SharedDoor>(std::move(*door));
  return {};
}

Result<void> Connection::EnterDoor(std::string_view name, ByteSpan token) {
  Result<SharedPair> pair = SharedDoor::Enter(name, token);
  if (!pair) return pair.error();
  return stream_.SetSharedPair(std::move(*pair));
}

Result<void> Connection::TakeFromDoor(ByteSpan token) {
  const std::unique_ptr<SharedDoor> door = std::move(door_);
  if (door == nullptr) return Error::Of(ErrorCode::INVALID_STATE);
  Result<SharedPair> pair = door->Take(token);
  if (!pair) return pair.error();
  Result<void> set = stream_.SetSharedPair(std::move(*pair));
  if (!set) return set;
  if (stream_.SwitchSending()) return {};
  stream_.DropSharedPair();
  return Error::Of(ErrorCode::INVALID_STATE);
}

void Connection::CloseDoor() {
  door_.reset();
  stream_.DropSharedPair();
}

uint8_t* Connection::OnLargeBegin(size_t bytes) {
  Napi::HandleScope scope(state_.env());
  napi_value buffer;
  void* data = nullptr;
  if (napi_create_arraybuffer(state_.env(), bytes, &data, &buffer) != napi_ok) return nullptr;
  large_ = Napi::Persistent(Napi::Object(state_.env(), buffer));
  return static_cast<uint8_t*>(data);
}

uint32_t Connection::OnLargeDone() { return state_.AddLarge(std::move(large_)); }

void Connection::OnLargeDropped() { large_.Reset(); }

void Connection::OnSentToken(uint32_t token, uint32_t crc) {
  sending_->erase(token);
  Descriptor sent;
  sent.connection = stream_.id();
  sent.kind = EventKind::kSent;
  sent.argument = crc;
  sent.extra = token;
  state_.batch().AddEvent(sent);
}

void Connection::OnClosed() {
  sending_.reset();
  sinks_.reset();
  door_.reset();
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
