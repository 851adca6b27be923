// Any bytes as a GGUF model: an Error, never a crash or a hang.
#include <cstdint>
#include <span>

#include "base/error.h"
#include "io/gguf.h"
#include "models/model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  hearth::io::MemoryFiles files("fuzz", {{hearth::io::kGgufFile, file}});
  try {
    hearth::models::load(files);
  } catch (const hearth::Error&) {
  }
  return 0;
}
