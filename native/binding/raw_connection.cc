#include "binding/raw_connection.h"

#include "binding/env_state.h"

namespace paipai {

RawConnection::RawConnection(EnvState& state, uint32_t id)
    : state_(state), id_(id), stream_(state.loop(), state.batch(), *this, id) {}

Result<bool> RawConnection::WriteAll(Napi::Value holder, std::span<const ByteSpan> pieces,
                                     uint32_t token) {
  Result<bool> written = stream_.WriteAll(pieces, token);
  if (written && !*written) {
    writing_.insert_or_assign(token, Napi::Persistent(holder.As<Napi::Object>()));
  }
  UpdateKeepsAlive();
  return written;
}

Result<bool> RawConnection::WriteCopy(ByteSpan bytes, uint32_t token) {
  Result<bool> written = stream_.WriteCopy(bytes, token);
  UpdateKeepsAlive();
  return written;
}

void RawConnection::ShutDown(uint32_t token) {
  stream_.ShutDown(token);
  state_.SkipNextWait();
}

void RawConnection::SetKeepsAlive(bool keeps_alive) {
  keeps_alive_ = keeps_alive;
  stream_.SetKeepsAlive(keeps_alive || stream_.queued_bytes() > 0);
}

void RawConnection::UpdateKeepsAlive() {
  if (!keeps_alive_) SetKeepsAlive(false);
}

void RawConnection::OnDone(uint32_t token, int32_t result) {
  writing_.erase(token);
  Descriptor done;
  done.connection = id_;
  done.kind = EventKind::kRawDone;
  done.argument = static_cast<uint32_t>(result);
  done.extra = token;
  state_.batch().AddEvent(done);
  // Also where nothing else keeps the loop: somebody waits to be told.
  state_.SkipNextWait();
  UpdateKeepsAlive();
}

}  // namespace paipai
