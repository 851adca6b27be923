#include "apps/local_adapters.h"

namespace hearth::apps {
namespace {

adapters::StoreOptions store_options(const LoraFlags& flags) {
  adapters::StoreOptions options;
  options.memory_bytes = flags.memory_bytes;
  options.limits.rank_max = flags.rank_max;
  if (flags.dtype == "f32") options.dtype = DType::kF32;
  if (flags.dtype == "f16") options.dtype = DType::kF16;
  if (flags.dtype == "bf16") options.dtype = DType::kBF16;
  return options;
}

}  // namespace

LocalAdapters::LocalAdapters(std::span<const nn::Projection> projections, const LoraFlags& flags)
    : store_(projections, store_options(flags)) {}

serve::AdapterInfo LocalAdapters::open(engine::AdapterId adapter, const std::string& folder) {
  const adapters::AdapterFacts facts = store_.open(adapter, folder);
  return {facts.pages, facts.parameters, facts.bytes, facts.rank, facts.base_model};
}

serve::AdapterTiers LocalAdapters::tiers() const {
  const adapters::StoreTiers tiers = store_.tiers();
  return {tiers.mapped, tiers.stored};
}

serve::AdapterTier LocalAdapters::tier_of(engine::AdapterId adapter) const {
  switch (store_.tier_of(adapter)) {
    case adapters::Tier::kPacked:
      return serve::AdapterTier::kMemory;
    case adapters::Tier::kMapped:
      return serve::AdapterTier::kMapped;
    case adapters::Tier::kStored:
      break;
  }
  return serve::AdapterTier::kStored;
}

}  // namespace hearth::apps
