// What the server asks of those who hold the bytes of adapters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/types.h"

namespace hearth::serve {

struct AdapterInfo {
  int32_t pages = 0;  // of the memory for adapters
  int64_t parameters = 0;
  int64_t bytes = 0;  // of the file
  int64_t rank = 0;
  std::string base_model;  // as the adapter names it
};

// Where an adapter's bytes are.
enum class AdapterTier : uint8_t { kMemory, kMapped, kStored };
// "memory", "mapped", "stored".
const char* to_string(AdapterTier tier);

// Adapters by where they are: mapped ones are a copy away, stored ones are known by their folder.
struct AdapterTiers {
  int32_t mapped = 0;
  int32_t stored = 0;
};

class AdapterHost {
 public:
  // After each load that the engine ordered: an empty text, or why it failed. Any thread.
  using Loaded = std::function<void(engine::AdapterId adapter, const std::string& error)>;

  virtual ~AdapterHost() = default;
  virtual void tell(Loaded loaded) = 0;
  // Reads and checks the adapter in a folder. Any thread; may take a while. Throws Error naming the
  // file and tensor.
  virtual AdapterInfo open(engine::AdapterId adapter, const std::string& folder) = 0;
  virtual AdapterTiers tiers() const = 0;
  virtual AdapterTier tier_of(engine::AdapterId adapter) const = 0;
  virtual int64_t page_bytes() const = 0;
};

}  // namespace hearth::serve
