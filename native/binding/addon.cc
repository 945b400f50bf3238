#include <napi.h>

#include "binding/exports.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  paipai::ExportSockets(env, exports);
  paipai::ExportRaw(env, exports);
  paipai::ExportCodecs(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(paipainet, Init)
