// The flags of adapters that are served besides a model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "serve/adapter_registry.h"

namespace CLI {
class App;
}

namespace hearth::apps {

struct LoraFlags {
  // NAME=FOLDER, or @TENANT/NAME=FOLDER.
  std::vector<std::string> adapters;
  // Watched: see serve::AdapterOptions.
  std::string folder;
  // Memory for adapters; 0: none are served.
  int64_t memory_bytes = 0;
  // The greatest rank that is taken.
  int64_t rank_max = 256;
  // Adapters that requests use at once; 0: as many as there are.
  int32_t max_loras = 0;
  // What their weights are held as; auto: as in their files.
  std::string dtype = "auto";
  serve::AdapterRegistry::Limits limits;
};

constexpr int64_t kAdapterMemoryBytes = int64_t{1} << 30;

// Serving adapters is on with these flags, in kAdapterMemoryBytes if nothing else is said.
void add_lora_flags(CLI::App& command, LoraFlags& flags);
// Serves those that the flags name. Throws Error naming --lora or the adapter's file.
void serve_adapters(const LoraFlags& flags, serve::AdapterRegistry& registry);

}  // namespace hearth::apps
