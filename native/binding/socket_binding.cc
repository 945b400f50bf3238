#include <napi.h>

#include <string>

#include "binding/arguments.h"
#include "binding/env_state.h"
#include "binding/exports.h"
#include "frame/several.h"
#include "io/kernel_probe.h"
#include "io/uring_driver.h"
#include "memory/slab.h"
#include "socket/address.h"

namespace paipai {
namespace {

// The address in arguments 0 (host or path) and 1 (port, -1 for a path).
Result<Address> AddressOf(const Napi::CallbackInfo& info) {
  const std::string text = TextOf(info.Env(), info[0]);
  const int32_t port = Int32At(info, 1);
  return port < 0 ? Address::Unix(text) : Address::Ip(text, static_cast<uint16_t>(port));
}

Connection* ConnectionAt(const Napi::CallbackInfo& info) {
  return EnvState::Of(info.Env()).FindConnection(Uint32At(info, 0));
}

// open(onBatch, wantsUring) → { inbox, descriptors, outbox, control, io, ioReason }
Napi::Value Open(const Napi::CallbackInfo& info) {
  const IoChoice io = BoolAt(info, 1) ? IoChoice::kUring : IoChoice::kEpoll;
  return EnvState::Of(info.Env(), io).Open(info[0].As<Napi::Function>());
}

// probeUring() → { works, reason }
Napi::Value ProbeUringOf(const Napi::CallbackInfo& info) {
  const UringProbe probe = ProbeUring(UringDriver::kEntries);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("works", probe.ring != nullptr);
  result.Set("reason", probe.reason);
  return result;
}

// connect(hostOrPath, port, frameBytesMax) → connection or result
Napi::Value Connect(const Napi::CallbackInfo& info) {
  Result<Address> address = AddressOf(info);
  if (!address) return ResultOf(info, address.error().result());
  return ResultOf(info, EnvState::Of(info.Env()).Connect(*address, Uint32At(info, 2)));
}

// listen(hostOrPath, port, frameBytesMax, backlog) → listener or result
Napi::Value Listen(const Napi::CallbackInfo& info) {
  Result<Address> address = AddressOf(info);
  if (!address) return ResultOf(info, address.error().result());
  return ResultOf(info,
                  EnvState::Of(info.Env()).Listen(*address, Int32At(info, 3), Uint32At(info, 2)));
}

// listenerAddress(listener) → text; undefined when it is closed
Napi::Value ListenerAddress(const Napi::CallbackInfo& info) {
  ListenerHolder* holder = EnvState::Of(info.Env()).FindListener(Uint32At(info, 0));
  if (holder == nullptr) return Undefined(info);
  Result<Address> address = holder->listener().address();
  if (!address) return Undefined(info);
  return TextValueOf(info.Env(), address->Format());
}

// remoteAddress(connection) → text; undefined when it is not connected
Napi::Value RemoteAddress(const Napi::CallbackInfo& info) {
  Connection* connection = ConnectionAt(info);
  if (connection == nullptr || connection->stream().fd() < 0) return Undefined(info);
  Result<Address> address = Address::Remote(connection->stream().fd());
  if (!address) return Undefined(info);
  return TextValueOf(info.Env(), address->Format());
}

Napi::Value Flush(const Napi::CallbackInfo& info) {
  EnvState::Of(info.Env()).Flush();
  return Undefined(info);
}

// sendLarge(connection, header, payload, token)
Napi::Value SendLarge(const Napi::CallbackInfo& info) {
  const MutableByteSpan header = BytesAt(info, 1);
  const MutableByteSpan payload = BytesAt(info, 2);
  if (header.size() != kFrameHeaderBytes || payload.empty())
    return ResultOf(info, ErrorCode::INVALID_ARGUMENT);
  EnvState& state = EnvState::Of(info.Env());
  Connection* connection = state.FindConnection(Uint32At(info, 0));
  if (connection == nullptr) return ResultOf(info, ErrorCode::PEER_CLOSED);
  // What JS queued before must go before.
  state.Flush();
  connection = state.FindConnection(Uint32At(info, 0));
  if (connection == nullptr) return ResultOf(info, ErrorCode::PEER_CLOSED);
  connection->SendLarge(header.data(), info[2], payload, Uint32At(info, 3));
  return ResultOf(info, 0);
}

// sendBulkFrame(connection, header, payload, token)
Napi::Value SendBulkFrame(const Napi::CallbackInfo& info) {
  const MutableByteSpan header = BytesAt(info, 1);
  if (header.size() != kFrameHeaderBytes) return ResultOf(info, ErrorCode::INVALID_ARGUMENT);
  EnvState& state = EnvState::Of(info.Env());
  // The name of its topic, if that is new, must go before. Not with each frame: they leave
  // together.
  if (state.has_outbox()) state.Flush();
  Connection* connection = state.FindConnection(Uint32At(info, 0));
  if (connection == nullptr) return ResultOf(info, ErrorCode::PEER_CLOSED);
  connection->SendBulkFrame(header.data(), info[2], BytesAt(info, 2), Uint32At(info, 3));
  return ResultOf(info, 0);
}

// sendMany(connection, name, payloads, payloadBytes) → bytes of them in the outbox, or result
Napi::Value SendMany(const Napi::CallbackInfo& info) {
  const uint32_t name = Uint32At(info, 1);
  const MutableByteSpan payloads = BytesAt(info, 2);
  const size_t payload_bytes = Uint32At(info, 3);
  if (name > UINT16_MAX || payload_bytes == 0 || payload_bytes > kGatheredBytesMax ||
      payloads.size() % payload_bytes != 0) {
    return ResultOf(info, ErrorCode::INVALID_ARGUMENT);
  }
  const size_t waiting =
      EnvState::Of(info.Env())
          .QueueMessages(Uint32At(info, 0), static_cast<uint16_t>(name), payloads, payload_bytes);
  return NumberOf(info.Env(), static_cast<double>(waiting));
}

// sendBulk(connection, streamId, bytes, token)
Napi::Value SendBulk(const Napi::CallbackInfo& info) {
  Connection* connection = ConnectionAt(info);
  if (connection == nullptr) return ResultOf(info, ErrorCode::PEER_CLOSED);
  const MutableByteSpan bytes = BytesAt(info, 2);
  if (bytes.empty()) return ResultOf(info, ErrorCode::INVALID_ARGUMENT);
  connection->SendBulk(Uint32At(info, 1), info[2], bytes, Uint32At(info, 3));
  return ResultOf(info, 0);
}

// setSink(connection, streamId, target)
Napi::Value SetSink(const Napi::CallbackInfo& info) {
  Connection* connection = ConnectionAt(info);
  if (connection == nullptr) return ResultOf(info, ErrorCode::PEER_CLOSED);
  const bool set = connection->SetSink(Uint32At(info, 1), info[2], BytesAt(info, 2));
  return set ? ResultOf(info, 0) : ResultOf(info, ErrorCode::INVALID_STATE);
}

// clearSink(connection, streamId)
Napi::Value ClearSink(const Napi::CallbackInfo& info) {
  Connection* connection = ConnectionAt(info);
  if (connection != nullptr) connection->ClearSink(Uint32At(info, 1));
  return Undefined(info);
}

// reuse(buffer)
Napi::Value Reuse(const Napi::CallbackInfo& info) {
  EnvState::Of(info.Env()).spares().Add(info.Env(), info[0]);
  return Undefined(info);
}

// limitReceived(connection, frameBytesMax)
Napi::Value LimitReceived(const Napi::CallbackInfo& info) {
  if (Connection* connection = ConnectionAt(info))
    connection->stream().LimitReceived(Uint32At(info, 1));
  return Undefined(info);
}

// queuedBytes(connection) → bytes not with the kernel yet, without those in the outbox
Napi::Value QueuedBytes(const Napi::CallbackInfo& info) {
  Connection* connection = ConnectionAt(info);
  const size_t bytes = connection == nullptr ? 0 : connection->stream().queued_bytes();
  return NumberOf(info.Env(), static_cast<double>(bytes));
}

Napi::Value Pause(const Napi::CallbackInfo& info) {
  if (Connection* connection = ConnectionAt(info)) connection->stream().Pause();
  return Undefined(info);
}

Napi::Value Resume(const Napi::CallbackInfo& info) {
  if (Connection* connection = ConnectionAt(info)) connection->stream().Resume();
  return Undefined(info);
}

// shutdown(connection): sends what is queued, then ends; an event follows
Napi::Value Shutdown(const Napi::CallbackInfo& info) {
  EnvState& state = EnvState::Of(info.Env());
  state.Flush();
  if (Connection* connection = state.FindConnection(Uint32At(info, 0)))
    connection->stream().Shutdown();
  return Undefined(info);
}

// closeConnection(connection): ends at once; no event follows
Napi::Value CloseConnection(const Napi::CallbackInfo& info) {
  EnvState::Of(info.Env()).CloseConnection(Uint32At(info, 0));
  return Undefined(info);
}

Napi::Value CloseListener(const Napi::CallbackInfo& info) {
  EnvState::Of(info.Env()).CloseListener(Uint32At(info, 0));
  return Undefined(info);
}

Napi::Value ResumeListener(const Napi::CallbackInfo& info) {
  if (ListenerHolder* holder = EnvState::Of(info.Env()).FindListener(Uint32At(info, 0)))
    holder->listener().Resume();
  return Undefined(info);
}

// setConnectionKeepsAlive(connection, keepsAlive)
Napi::Value SetConnectionKeepsAlive(const Napi::CallbackInfo& info) {
  if (Connection* connection = ConnectionAt(info))
    connection->stream().SetKeepsAlive(BoolAt(info, 1));
  return Undefined(info);
}

// setTcpOptions(connection, noDelay, keepAliveMs)
Napi::Value SetTcpOptions(const Napi::CallbackInfo& info) {
  if (Connection* connection = ConnectionAt(info))
    connection->stream().SetTcpOptions(BoolAt(info, 1), Uint32At(info, 2));
  return Undefined(info);
}

// setListenerKeepsAlive(listener, keepsAlive)
Napi::Value SetListenerKeepsAlive(const Napi::CallbackInfo& info) {
  ListenerHolder* holder = EnvState::Of(info.Env()).FindListener(Uint32At(info, 0));
  if (holder != nullptr) holder->listener().SetKeepsAlive(BoolAt(info, 1));
  return Undefined(info);
}

// setConnectionSpin(connection, microseconds); 0: sleep
Napi::Value SetConnectionSpin(const Napi::CallbackInfo& info) {
  if (Connection* connection = ConnectionAt(info)) connection->spin().Set(Uint32At(info, 1));
  return Undefined(info);
}

// setListenerSpin(listener, microseconds); 0: sleep
Napi::Value SetListenerSpin(const Napi::CallbackInfo& info) {
  if (ListenerHolder* holder = EnvState::Of(info.Env()).FindListener(Uint32At(info, 0)))
    holder->spin().Set(Uint32At(info, 1));
  return Undefined(info);
}

// openDoor(connection, name) → result
Napi::Value OpenDoor(const Napi::CallbackInfo& info) {
  Connection* connection = ConnectionAt(info);
  if (connection == nullptr) return ResultOf(info, ErrorCode::PEER_CLOSED);
  return ResultOf(info, connection->OpenDoor(TextOf(info.Env(), info[1])));
}

// enterDoor(connection, name, token) → result
Napi::Value EnterDoor(const Napi::CallbackInfo& info) {
  Connection* connection = ConnectionAt(info);
  if (connection == nullptr) return ResultOf(info, ErrorCode::PEER_CLOSED);
  return ResultOf(info, connection->EnterDoor(TextOf(info.Env(), info[1]), BytesAt(info, 2)));
}

// takeFromDoor(connection, token) → result
Napi::Value TakeFromDoor(const Napi::CallbackInfo& info) {
  EnvState& state = EnvState::Of(info.Env());
  // What JS queued before goes before, by the socket.
  state.Flush();
  Connection* connection = ConnectionAt(info);
  if (connection == nullptr) return ResultOf(info, ErrorCode::PEER_CLOSED);
  return ResultOf(info, connection->TakeFromDoor(BytesAt(info, 1)));
}

Napi::Value CloseDoor(const Napi::CallbackInfo& info) {
  if (Connection* connection = ConnectionAt(info)) connection->CloseDoor();
  return Undefined(info);
}

// adviseHugePages(bytes): for memory that shards will be received into
Napi::Value AdviseHugePagesOf(const Napi::CallbackInfo& info) {
  const MutableByteSpan bytes = BytesAt(info, 0);
  AdviseHugePages(bytes.data(), bytes.size());
  return Undefined(info);
}

}  // namespace

void ExportSockets(Napi::Env env, Napi::Object exports) {
  ExportFunction(env, exports, "open", Open);
  ExportFunction(env, exports, "probeUring", ProbeUringOf);
  ExportFunction(env, exports, "connect", Connect);
  ExportFunction(env, exports, "listen", Listen);
  ExportFunction(env, exports, "listenerAddress", ListenerAddress);
  ExportFunction(env, exports, "remoteAddress", RemoteAddress);
  ExportFunction(env, exports, "flush", Flush);
  ExportFunction(env, exports, "sendLarge", SendLarge);
  ExportFunction(env, exports, "sendMany", SendMany);
  ExportFunction(env, exports, "sendBulk", SendBulk);
  ExportFunction(env, exports, "sendBulkFrame", SendBulkFrame);
  ExportFunction(env, exports, "setSink", SetSink);
  ExportFunction(env, exports, "clearSink", ClearSink);
  ExportFunction(env, exports, "reuse", Reuse);
  ExportFunction(env, exports, "limitReceived", LimitReceived);
  ExportFunction(env, exports, "queuedBytes", QueuedBytes);
  ExportFunction(env, exports, "pause", Pause);
  ExportFunction(env, exports, "resume", Resume);
  ExportFunction(env, exports, "shutdown", Shutdown);
  ExportFunction(env, exports, "closeConnection", CloseConnection);
  ExportFunction(env, exports, "closeListener", CloseListener);
  ExportFunction(env, exports, "resumeListener", ResumeListener);
  ExportFunction(env, exports, "setConnectionKeepsAlive", SetConnectionKeepsAlive);
  ExportFunction(env, exports, "setTcpOptions", SetTcpOptions);
  ExportFunction(env, exports, "setListenerKeepsAlive", SetListenerKeepsAlive);
  ExportFunction(env, exports, "setConnectionSpin", SetConnectionSpin);
  ExportFunction(env, exports, "setListenerSpin", SetListenerSpin);
  ExportFunction(env, exports, "openDoor", OpenDoor);
  ExportFunction(env, exports, "enterDoor", EnterDoor);
  ExportFunction(env, exports, "takeFromDoor", TakeFromDoor);
  ExportFunction(env, exports, "closeDoor", CloseDoor);
  ExportFunction(env, exports, "adviseHugePages", AdviseHugePagesOf);
}

}  // namespace paipai
