// The low-rank parts of a model in training, which together are an adapter in PEFT's form.
//
// One thread drives a set. The model owns the parts, so it lives as long as the set is used.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "adapters/module_rules.h"
#include "train/lora_part.h"
#include "train/weights.h"

namespace hearth::train {

class LoraSet final : public LowRankMaker {
 public:
  // `where` names the configuration in errors.
  LoraSet(const adapters::AdapterConfig& config, const std::string& where);
  ~LoraSet() override;

  std::unique_ptr<LowRankPart> make(const Projection& projection, Parameters& parameters) override;

  // After the base's weights are there: DoRA's magnitudes become the norms of its rows. Throws
  // Error where the configuration joined no module.
  void initialise(ops::TrainContext& ctx, ModelWeights& weights);
  // The values of an adapter with the same modules and ranks; the way to go on from one.
  void load(const adapters::Adapter& adapter);
  adapters::Adapter adapter() const;

  // Until the next call. `key` chooses what dropout leaves out.
  void set_mode(LoraShared::Mode mode, uint64_t key = 0);
  // The optimizer moved the parameters.
  void weights_changed() { ++shared_.version; }

  size_t modules() const { return parts_.size(); }
  // Memory that the parts take for each token of a batch.
  double bytes_of_token(DType compute) const;

 private:
  void resolve_targets(adapters::AdapterConfig& config) const;

  adapters::AdapterConfig config_;
  adapters::ModuleRules rules_;
  std::string where_;
  LoraShared shared_;
  std::vector<LoraPart*> parts_;  // owned by the model
  std::vector<std::string> names_;
};

}  // namespace hearth::train
