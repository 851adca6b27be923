// The adapters of a model loaded in this process, as the server wants them.
#pragma once

#include <span>

#include "adapters/store.h"
#include "apps/lora_flags.h"
#include "serve/adapter_host.h"

namespace hearth::apps {

class LocalAdapters final : public serve::AdapterHost {
 public:
  // The projections outlive this.
  LocalAdapters(std::span<const nn::Projection> projections, const LoraFlags& flags);

  adapters::AdapterStore& store() { return store_; }

  void tell(Loaded loaded) override { store_.tell(std::move(loaded)); }
  serve::AdapterInfo open(engine::AdapterId adapter, const std::string& folder) override;
  serve::AdapterTiers tiers() const override;
  serve::AdapterTier tier_of(engine::AdapterId adapter) const override;
  int64_t page_bytes() const override { return store_.page_bytes(); }

 private:
  adapters::AdapterStore store_;
};

}  // namespace hearth::apps
