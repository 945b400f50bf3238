#include <napi.h>

#include <cstring>
#include <string>
#include <string_view>

#include "base/crc32c.h"
#include "base/result.h"
#include "binding/arguments.h"
#include "binding/exports.h"
#include "frame/shard_header.h"

namespace paipai {
namespace {

// crc32c(bytes, crcBefore) → u32
Napi::Value Crc32cOf(const Napi::CallbackInfo& info) {
  return NumberOf(info.Env(), Crc32cExtend(Uint32At(info, 1), BytesAt(info, 0)));
}

// crc32cImplementation() → 'sse4.2', 'arm' or 'table'
Napi::Value Crc32cImplementationOf(const Napi::CallbackInfo& info) {
  return TextValueOf(info.Env(), Crc32cImplementation());
}

// The fields of a shard header as JS has them: ShardHeader of lib/wire/shard-header.ts.
class FieldReader {
 public:
  FieldReader(napi_env env, napi_value fields) : env_(env), fields_(fields) {}

  bool Flag(const char* name) const {
    bool flag = false;
    napi_get_value_bool(env_, Get(name), &flag);
    return flag;
  }
  uint32_t Word(const char* name) const { return Uint32Of(env_, Get(name)); }
  uint64_t Size(const char* name) const {
    int64_t size = 0;
    napi_get_value_int64(env_, Get(name), &size);
    return static_cast<uint64_t>(size);
  }
  uint64_t Big(const char* name) const {
    uint64_t number = 0;
    bool lossless = false;
    napi_get_value_bigint_uint64(env_, Get(name), &number, &lossless);
    return number;
  }
  std::string Text(const char* name) const { return TextOf(env_, Get(name)); }

 private:
  napi_value Get(const char* name) const {
    napi_value value = nullptr;
    napi_get_named_property(env_, fields_, name, &value);
    return value;
  }

  napi_env env_;
  napi_value fields_;
};

class FieldWriter {
 public:
  explicit FieldWriter(napi_env env) : env_(env) { napi_create_object(env, &fields_); }

  Napi::Value fields() const { return Napi::Value(env_, fields_); }
  void Flag(const char* name, bool flag) {
    napi_value value = nullptr;
    napi_get_boolean(env_, flag, &value);
    Set(name, value);
  }
  void Number(const char* name, uint64_t number) {
    Set(name, NumberOf(env_, static_cast<double>(number)));
  }
  void Big(const char* name, uint64_t number) {
    napi_value value = nullptr;
    napi_create_bigint_uint64(env_, number, &value);
    Set(name, value);
  }
  void Text(const char* name, std::string_view text) { Set(name, TextValueOf(env_, text)); }

 private:
  void Set(const char* name, napi_value value) {
    napi_set_named_property(env_, fields_, name, value);
  }

  napi_env env_;
  napi_value fields_ = nullptr;
};

// writeShardHeader(fields) → Uint8Array or result
Napi::Value WriteShardHeaderOf(const Napi::CallbackInfo& info) {
  napi_env env = info.Env();
  const FieldReader fields(env, info[0]);
  const std::string data_id = fields.Text("dataId");
  const std::string source_id = fields.Text("sourceId");
  const std::string target_id = fields.Text("targetId");
  ShardHeader header;
  if (fields.Flag("compressed")) header.flags |= kShardCompressed;
  if (fields.Flag("encrypted")) header.flags |= kShardEncrypted;
  if (fields.Flag("last")) header.flags |= kShardLast;
  if (fields.Flag("checksumFollows")) header.flags |= kShardChecksumFollows;
  header.content_crc = fields.Word("contentCrc32c");
  header.data_version = fields.Big("dataVersion");
  header.fencing_token = fields.Big("fencingToken");
  header.shard_index = fields.Word("shardIndex");
  header.shard_count = fields.Word("shardCount");
  header.offset_bytes = fields.Size("offset");
  header.total_bytes = fields.Size("totalBytes");
  header.shard_bytes = fields.Word("shardBytes");
  header.data_id = data_id;
  header.source_id = source_id;
  header.target_id = target_id;
  uint8_t bytes[kShardHeaderBytesMax];
  Result<size_t> written = WriteShardHeader(header, bytes);
  if (!written) return ResultOf(info, written.error().result());
  void* data = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  if (napi_create_arraybuffer(env, *written, &data, &buffer) != napi_ok) return Undefined(info);
  std::memcpy(data, bytes, *written);
  napi_create_typedarray(env, napi_uint8_array, *written, buffer, 0, &array);
  return Napi::Value(env, array);
}

// parseShardHeader(bytes) → fields or result
Napi::Value ParseShardHeaderOf(const Napi::CallbackInfo& info) {
  Result<ShardHeader> parsed = ParseShardHeader(BytesAt(info, 0));
  if (!parsed) return ResultOf(info, parsed.error().result());
  FieldWriter fields(info.Env());
  fields.Flag("compressed", (parsed->flags & kShardCompressed) != 0);
  fields.Flag("encrypted", (parsed->flags & kShardEncrypted) != 0);
  fields.Flag("last", (parsed->flags & kShardLast) != 0);
  fields.Flag("checksumFollows", (parsed->flags & kShardChecksumFollows) != 0);
  fields.Number("contentCrc32c", parsed->content_crc);
  fields.Big("dataVersion", parsed->data_version);
  fields.Big("fencingToken", parsed->fencing_token);
  fields.Number("shardIndex", parsed->shard_index);
  fields.Number("shardCount", parsed->shard_count);
  fields.Number("offset", parsed->offset_bytes);
  fields.Number("totalBytes", parsed->total_bytes);
  fields.Number("shardBytes", parsed->shard_bytes);
  fields.Text("dataId", parsed->data_id);
  fields.Text("sourceId", parsed->source_id);
  if (!parsed->target_id.empty()) fields.Text("targetId", parsed->target_id);
  return fields.fields();
}

// errorCodes() → { name: number, … }, as in error_codes.def
Napi::Value ErrorCodesOf(const Napi::CallbackInfo& info) {
  FieldWriter codes(info.Env());
  for (const ErrorCodeEntry& entry : kErrorCodes)
    codes.Number(entry.name, static_cast<uint64_t>(entry.code));
  return codes.fields();
}

}  // namespace

void ExportCodecs(Napi::Env env, Napi::Object exports) {
  ExportFunction(env, exports, "crc32c", Crc32cOf);
  ExportFunction(env, exports, "crc32cImplementation", Crc32cImplementationOf);
  ExportFunction(env, exports, "writeShardHeader", WriteShardHeaderOf);
  ExportFunction(env, exports, "parseShardHeader", ParseShardHeaderOf);
  ExportFunction(env, exports, "errorCodes", ErrorCodesOf);
}

}  // namespace paipai
