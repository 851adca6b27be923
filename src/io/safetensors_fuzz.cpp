// Any bytes as a safetensors file: an Error, or tensors that lie inside the file.
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  try {
    for (const auto& [name, tensor] : hearth::io::parse_safetensors(file, "fuzz")) {
      if (tensor.data.empty()) continue;
      if (tensor.data.data() < file.data()) std::abort();
      if (tensor.data.data() + tensor.data.size() > file.data() + file.size()) std::abort();
    }
  } catch (const hearth::Error&) {
  }
  return 0;
}
