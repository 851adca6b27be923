// The bytes of the adapters of one base, in three tiers: packed in memory, where the kernels read
// them; mapped, opened and checked, a copy away; and stored, known by their folder. Which are
// packed is the engine's to say; the most recently used of the others stay mapped.
//
// open() and close() may be called by any thread, the rest by the engine's. Packing is done by one
// thread of the store, never by the engine's: it takes milliseconds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "adapters/binding.h"
#include "adapters/packed.h"

namespace hearth::adapters {

struct StoreOptions {
  // Memory for packed adapters.
  int64_t memory_bytes = int64_t{1} << 30;
  // What A and B are packed as; absent: as in the file.
  std::optional<DType> dtype;
  // Adapters that stay mapped besides.
  int32_t mapped_max = 1024;
  // What a file may ask for.
  AdapterLimits limits{};
};

// What open() found.
struct AdapterFacts {
  int32_t pages = 0;
  int64_t parameters = 0;
  int64_t bytes = 0;  // of the file
  int64_t rank = 0;   // the greatest
  int64_t modules = 0;
  std::string base_model;
};

struct StoreTiers {
  int32_t packed = 0;
  int32_t mapped = 0;  // and not packed
  int32_t stored = 0;  // neither
};

enum class Tier : uint8_t { kPacked, kMapped, kStored };

class AdapterStore {
 public:
  // On the store's thread, after each load(): an empty text, or why it failed.
  using Loaded = std::function<void(int32_t id, const std::string& error)>;

  // The projections, and what they view, outlive this. Throws Error naming --adapter-memory.
  AdapterStore(std::span<const nn::Projection> projections, const StoreOptions& options);
  ~AdapterStore();
  AdapterStore(const AdapterStore&) = delete;
  AdapterStore& operator=(const AdapterStore&) = delete;

  // Who is told from now on; nobody, when empty. Any thread.
  void tell(Loaded loaded);
  int32_t pages() const;
  int64_t page_bytes() const;

  // Reads and checks the adapter in `folder`; from now on `id` is known. Throws Error naming file
  // and tensor, and --adapter-memory when it takes more than all of it.
  AdapterFacts open(int32_t id, const std::string& folder);
  // Forgets one that is not packed.
  void close(int32_t id);

  // Packs it into these pages, in the background.
  void load(int32_t id, std::vector<int32_t> pages);
  // Returns when every load so far is done and told. Any thread: for programs that have nothing to
  // do meanwhile.
  void wait();
  // Its pages are not its own any more.
  void evict(int32_t id);
  // One that is packed.
  std::shared_ptr<const PackedAdapter> packed(int32_t id) const;

  StoreTiers tiers() const;
  // Any thread; one that is not known is stored.
  Tier tier_of(int32_t id) const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::adapters
