// Any bytes as an uploaded adapter: the first two say how many are the config, the rest are the
// weights. An Error, or an adapter whose modules are whole.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "adapters/module_rules.h"
#include "adapters/peft.h"
#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::span<const std::byte> all(reinterpret_cast<const std::byte*>(data), size);
  const size_t split = std::min<size_t>(2 + data[0] + 256 * data[1], size);
  hearth::io::MemoryFiles files("fuzz",
                                {{hearth::adapters::kAdapterConfigFile, all.subspan(2, split - 2)},
                                 {hearth::adapters::kAdapterWeightsFile, all.subspan(split)}});
  try {
    const hearth::adapters::Adapter adapter = hearth::adapters::load_adapter(files);
    const hearth::adapters::ModuleRules rules(adapter.config, "fuzz");
    for (const auto& module : adapter.modules) {
      if (module.a->rows() != module.rank || module.b->cols() != module.rank) std::abort();
      rules.targets(module.name);
    }
  } catch (const hearth::Error&) {
  }
  return 0;
}
