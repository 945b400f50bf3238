#include <errno.h>
#include <fcntl.h>
#include <napi.h>

#include <vector>

#include "binding/arguments.h"
#include "binding/env_state.h"
#include "binding/exports.h"
#include "socket/address.h"

namespace paipai {
namespace {

RawConnection* RawAt(const Napi::CallbackInfo& info) {
  return EnvState::Of(info.Env()).FindRaw(Uint32At(info, 0));
}

Napi::Value WrittenOf(const Napi::CallbackInfo& info, const Result<bool>& written) {
  return ResultOf(info, written ? (*written ? 0 : 1) : written.error().result());
}

// rawAdopt(fd) → raw stream over a copy of the descriptor, or result
Napi::Value RawAdopt(const Napi::CallbackInfo& info) {
  const int fd = fcntl(Int32At(info, 0), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return ResultOf(info, -errno);
  return ResultOf(info, EnvState::Of(info.Env()).AdoptRaw(fd));
}

// rawCopyDescriptor(raw) → fd of the caller's, or result
Napi::Value RawCopyDescriptor(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  // Whoever has the copy does not know of an end that is to leave.
  if (raw != nullptr) raw->stream().FinishShutDown();
  const int fd = raw == nullptr ? -1 : raw->stream().fd();
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return ResultOf(info, copy < 0 ? -errno : copy);
}

// rawWrite(raw, bytes, token) → 0: sent; 1: a `rawDone` event follows; or result
Napi::Value RawWrite(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  if (raw == nullptr) return ResultOf(info, -EBADF);
  return WrittenOf(info, raw->Write(info[1], BytesAt(info, 1), Uint32At(info, 2)));
}

// rawWriteAll(raw, buffers, token): the same for an array of them, which nobody changes
Napi::Value RawWriteAll(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  if (raw == nullptr) return ResultOf(info, -EBADF);
  uint32_t count = 0;
  napi_get_array_length(info.Env(), info[1], &count);
  std::vector<ByteSpan> pieces(count);
  for (uint32_t i = 0; i < count; ++i) {
    napi_value piece;
    if (napi_get_element(info.Env(), info[1], i, &piece) != napi_ok) break;
    pieces[i] = BytesOf(info.Env(), piece);
  }
  return WrittenOf(info, raw->WriteAll(info[1], pieces, Uint32At(info, 2)));
}

// rawWriteOutbox(raw, offset, length, token): the same for bytes in the outbox, which are free
// again
Napi::Value RawWriteOutbox(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  if (raw == nullptr) return ResultOf(info, -EBADF);
  const ByteSpan bytes = EnvState::Of(info.Env()).OutboxAt(Uint32At(info, 1), Uint32At(info, 2));
  return WrittenOf(info, raw->WriteCopy(bytes, Uint32At(info, 3)));
}

// rawShutDown(raw, token): a `rawDone` event follows
Napi::Value RawShutDown(const Napi::CallbackInfo& info) {
  if (RawConnection* raw = RawAt(info)) raw->ShutDown(Uint32At(info, 1));
  return Undefined(info);
}

// rawLend(bytes): for one receive of bulk
Napi::Value RawLend(const Napi::CallbackInfo& info) {
  EnvState::Of(info.Env()).Lend(info[0], BytesAt(info, 0));
  return Undefined(info);
}

// rawAnnounce(raw): from now on `rawReadable` events, and `rawRead`
Napi::Value RawAnnounce(const Napi::CallbackInfo& info) {
  if (RawConnection* raw = RawAt(info)) raw->stream().Announce();
  return Undefined(info);
}

// rawRead(raw, bytes) → count, 0 at the end, or result
Napi::Value RawRead(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  if (raw == nullptr) return ResultOf(info, -EBADF);
  const Result<size_t> count = raw->stream().Read(BytesAt(info, 1));
  return NumberOf(info.Env(), count ? static_cast<double>(*count) : count.error().result());
}

Napi::Value RawResume(const Napi::CallbackInfo& info) {
  if (RawConnection* raw = RawAt(info)) raw->stream().Resume();
  return Undefined(info);
}

Napi::Value RawPause(const Napi::CallbackInfo& info) {
  if (RawConnection* raw = RawAt(info)) raw->stream().Pause();
  return Undefined(info);
}

// rawClose(raw, resets): ends at once; no event follows
Napi::Value RawClose(const Napi::CallbackInfo& info) {
  EnvState::Of(info.Env()).CloseRaw(Uint32At(info, 0), BoolAt(info, 1));
  return Undefined(info);
}

// rawSetKeepsAlive(raw, keepsAlive)
Napi::Value RawSetKeepsAlive(const Napi::CallbackInfo& info) {
  if (RawConnection* raw = RawAt(info)) raw->SetKeepsAlive(BoolAt(info, 1));
  return Undefined(info);
}

// rawSetNoDelay(raw, noDelay) → result
Napi::Value RawSetNoDelay(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  if (raw == nullptr) return ResultOf(info, -EBADF);
  return ResultOf(info, raw->stream().SetNoDelay(BoolAt(info, 1)));
}

// rawSetKeepAlive(raw, keepAlive, idleSeconds) → result
Napi::Value RawSetKeepAlive(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  if (raw == nullptr) return ResultOf(info, -EBADF);
  return ResultOf(info, raw->stream().SetKeepAlive(BoolAt(info, 1), Uint32At(info, 2)));
}

// rawAddress(raw, isRemote) → text; undefined when it is not to be had
Napi::Value RawAddress(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  if (raw == nullptr) return Undefined(info);
  const int fd = raw->stream().fd();
  Result<Address> address = BoolAt(info, 1) ? Address::Remote(fd) : Address::Local(fd);
  if (!address) return Undefined(info);
  return TextValueOf(info.Env(), address->Format());
}

// rawDescriptor(raw) → fd; -1 when it is closed
Napi::Value RawDescriptor(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  return ResultOf(info, raw == nullptr ? -1 : raw->stream().fd());
}

// eventCount() → descriptors of the batch that is being delivered, or gathered
Napi::Value EventCount(const Napi::CallbackInfo& info) {
  const size_t count = EnvState::Of(info.Env()).batch().count();
  return NumberOf(info.Env(), static_cast<double>(count));
}

// rawQueuedBytes(raw) → bytes that the kernel has not taken
Napi::Value RawQueuedBytes(const Napi::CallbackInfo& info) {
  RawConnection* raw = RawAt(info);
  const size_t bytes = raw == nullptr ? 0 : raw->stream().queued_bytes();
  return NumberOf(info.Env(), static_cast<double>(bytes));
}

// rawThrow(thrown): uncaught here and now, in the async context of who runs; returns when somebody
// listens for 'uncaughtException', and else the process ends
Napi::Value RawThrow(const Napi::CallbackInfo& info) {
  napi_fatal_exception(info.Env(), info[0]);
  return Undefined(info);
}

}  // namespace

void ExportRaw(Napi::Env env, Napi::Object exports) {
  ExportFunction(env, exports, "rawAdopt", RawAdopt);
  ExportFunction(env, exports, "rawCopyDescriptor", RawCopyDescriptor);
  ExportFunction(env, exports, "rawWrite", RawWrite);
  ExportFunction(env, exports, "rawWriteAll", RawWriteAll);
  ExportFunction(env, exports, "rawWriteOutbox", RawWriteOutbox);
  ExportFunction(env, exports, "rawShutDown", RawShutDown);
  ExportFunction(env, exports, "rawLend", RawLend);
  ExportFunction(env, exports, "rawAnnounce", RawAnnounce);
  ExportFunction(env, exports, "rawRead", RawRead);
  ExportFunction(env, exports, "rawResume", RawResume);
  ExportFunction(env, exports, "rawPause", RawPause);
  ExportFunction(env, exports, "rawClose", RawClose);
  ExportFunction(env, exports, "rawSetKeepsAlive", RawSetKeepsAlive);
  ExportFunction(env, exports, "rawSetNoDelay", RawSetNoDelay);
  ExportFunction(env, exports, "rawSetKeepAlive", RawSetKeepAlive);
  ExportFunction(env, exports, "rawAddress", RawAddress);
  ExportFunction(env, exports, "rawDescriptor", RawDescriptor);
  ExportFunction(env, exports, "eventCount", EventCount);
  ExportFunction(env, exports, "rawQueuedBytes", RawQueuedBytes);
  ExportFunction(env, exports, "rawThrow", RawThrow);
}

}  // namespace paipai
