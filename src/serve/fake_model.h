// A model without weights, for tests of the API: its tokens are bytes, and what it says is written
// in the prompt. After the last "say " of the prompt comes the reply, up to the end of that line;
// without one it greets the world; "say forever" never ends. Everything is deterministic.
//
//   <think>...</think> is reasoning, <call>NAME ARGUMENTS</call> is a tool call.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "engine/step_plan.h"
#include "serve/model_handle.h"

namespace hearth::serve {

// Ids 0 to 255 are bytes.
constexpr TokenId kFakeEnd = 256;
constexpr TokenId kFakeBegin = 257;
constexpr int32_t kFakeVocab = 258;
constexpr int32_t kFakeDimension = 4;

// Adapters without weights: a folder with an adapter_config.json is one. A reply with an adapter
// starts with its id: "[1] ".
class FakeAdapters final : public AdapterHost {
 public:
  void tell(Loaded loaded) override { loaded_ = std::move(loaded); }
  AdapterInfo open(engine::AdapterId adapter, const std::string& folder) override;
  AdapterTiers tiers() const override {
    return {.stored = static_cast<int32_t>(known_.size() - in_memory_.size())};
  }
  AdapterTier tier_of(engine::AdapterId adapter) const override;
  int64_t page_bytes() const override { return 4096; }

  void obey(const engine::AdapterOrder& order);
  // Loads that are ordered from now on wait for finish(), or are done at once.
  void hold() { held_ = true; }
  void finish(const std::string& error = {});
  // Those that were opened and not forgotten.
  const std::set<engine::AdapterId>& known() const { return known_; }

 private:
  Loaded loaded_;
  bool held_ = false;
  std::vector<engine::AdapterId> loading_;
  std::set<engine::AdapterId> known_;
  std::set<engine::AdapterId> in_memory_;
};

class FakeRunner final : public engine::Runner {
 public:
  // `adapters` outlives it; null: plans have none.
  explicit FakeRunner(FakeAdapters* adapters = nullptr) : adapters_(adapters) {}
  engine::StepResult run(const engine::StepPlan& plan) override;
  // Each further step throws this, until it is empty again.
  void fail_with(std::string error) { failure_ = std::move(error); }

 private:
  FakeAdapters* const adapters_;
  std::string failure_;
};

// A handle named "fake" with everything but the runner.
ModelHandle fake_model();

}  // namespace hearth::serve
