// Any text as config.json beside an empty set of weights: an Error, never a crash or a hang.
#include <cstdint>
#include <span>

#include "base/error.h"
#include "io/safetensors.h"
#include "models/model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> config(reinterpret_cast<const std::byte*>(data), size);
  const std::string weights = hearth::io::build_safetensors({});
  const std::span<const std::byte> nothing(reinterpret_cast<const std::byte*>(weights.data()),
                                           weights.size());
  hearth::io::MemoryFiles files("fuzz", {{"config.json", config},
                                         {"generation_config.json", config},
                                         {"model.safetensors", nothing}});
  try {
    hearth::models::load(files);
  } catch (const hearth::Error&) {
  }
  return 0;
}
