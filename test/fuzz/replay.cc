// Runs a fuzz target over stored inputs, for compilers without libFuzzer: replay FILE_OR_FOLDER...

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz.h"

namespace {

void Replay(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  FUZZ_CHECK(stream.is_open());
  const std::vector<char> bytes((std::istreambuf_iterator<char>(stream)),
                                std::istreambuf_iterator<char>());
  std::printf("%s, %zu bytes\n", path.c_str(), bytes.size());
  std::fflush(stdout);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argument_count, char** arguments) {
  for (int index = 1; index < argument_count; ++index) {
    const std::filesystem::path path = arguments[index];
    if (!std::filesystem::is_directory(path)) {
      Replay(path);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(path)) Replay(entry.path());
  }
  return 0;
}
