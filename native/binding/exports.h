#pragma once

#include <napi.h>

namespace paipai {

// Each adds its functions to the addon's exports.
void ExportSockets(Napi::Env env, Napi::Object exports);
void ExportRaw(Napi::Env env, Napi::Object exports);
void ExportCodecs(Napi::Env env, Napi::Object exports);

using RawFunction = Napi::Value (*)(const Napi::CallbackInfo&);

inline void ExportFunction(Napi::Env env, Napi::Object exports, const char* name,
                           RawFunction function) {
  napi_set_named_property(env, exports, name, Napi::Function::New(env, function, name));
}

}  // namespace paipai
