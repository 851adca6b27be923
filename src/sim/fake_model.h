// A language model made of hashes, and a runner that computes it through the KV blocks it is given.
//
// The value of a position depends on every value before it, as keys and values of a real model do,
// and the runner reads those from its own store through the block tables of the plan. A wrong
// table, a missed copy or stale cache contents therefore change the tokens that come out, and the
// tokens that the model gives to a request alone are what every schedule must reproduce.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/step_plan.h"

namespace hearth::sim {

constexpr engine::TokenId kFakeVocabulary = 48;

// Allows a changing half of the vocabulary, and finishes after a number of tokens.
class FakeConstraint final : public engine::TokenConstraint {
 public:
  FakeConstraint(uint64_t seed, int32_t length) : state_(seed), left_(length) {}
  void fill(std::span<uint32_t> allowed) override;
  bool accept(engine::TokenId token) override;
  bool finished() const override { return left_ <= 0; }

 private:
  bool allows(engine::TokenId token) const;

  uint64_t state_;
  int32_t left_;
};

// What the runner must know of a request besides the plan.
struct FakeRequest {
  uint64_t salt = 0;          // as the tenant has it, whatever the scheduler was told
  int32_t adapter_pages = 0;  // that its adapter takes
  // The runner reports an error instead of the output token of this index; -1: never.
  int32_t fails_at = -1;
  // One way on in so many: the runner then gives several tokens at once. 0: never.
  int32_t jumps = 0;
};

// Bugs for the harness to find.
enum class Fault : uint8_t {
  kNone,
  kSkippedCopy,     // copy on write forgets the copy
  kStaleBlock,      // a block table names another block
  kIgnoredSalt,     // tenants share cached blocks
  kLostWrite,       // a position is not written
  kSwappedResults,  // two sequences get each other's token
  kLostCount,       // the index of a sampled token starts again after a preemption
  kLateCopy,        // copies are made after the step instead of before
  kLostCancel,      // a cancelled request goes on
  kLostPage,        // an adapter is said to be loaded before its last page is
  kTakenGuess,      // a guess is taken although the model chooses another token
};

const char* to_string(Fault fault);
std::span<const Fault> all_faults();

class FakeRunner final : public engine::Runner {
 public:
  using Lookup = std::function<const FakeRequest&(engine::RequestId)>;

  // `describe` is asked in each step. `seed` decides where a fault strikes.
  FakeRunner(const engine::EngineConfig& config, Lookup describe, Fault fault, uint64_t seed);

  engine::StepResult run(const engine::StepPlan& plan) override;
  // Asks once; what an abandoned step was to write becomes garbage.
  engine::StepResult run_idle(const engine::StepPlan& plan,
                              const std::function<bool()>& stop) override;
  // An adapter whose load was ordered is in its pages now; or it is not, and they stay blank.
  void finish_load(engine::AdapterId adapter);
  void fail_load(engine::AdapterId adapter);
  // What was wrong with the plans so far as a runner can see; empty: nothing.
  const std::string& complaint() const { return complaint_; }

 private:
  struct Slot {
    engine::RequestId request = 0;
    int32_t choice = -1;
    int32_t started_with = 0;  // tokens when it got the slot
    uint64_t sum = 0;          // of values, for mean pooling
    uint64_t first = 0;
  };

  struct Adapter {
    std::vector<engine::PageId> pages;
    bool loaded = false;
  };

  void obey(const engine::AdapterOrder& order);
  void spoil(const engine::StepSequence& sequence);
  uint64_t adapter_word(engine::AdapterId adapter);
  void copy_blocks(std::span<const engine::BlockCopy> copies);
  uint64_t& value_at(const engine::StepSequence& sequence, int32_t position);
  engine::SequenceResult compute(const engine::StepSequence& sequence);
  std::vector<uint64_t> read_guess(const engine::StepSequence& sequence, uint64_t fold);
  void sample(const engine::StepSequence& sequence, const FakeRequest& request, uint64_t fold,
              engine::SequenceResult& result);
  Slot& slot_of(const engine::StepSequence& sequence);
  bool strikes(Fault fault);

  std::vector<uint64_t> values_;  // [num_blocks, kBlockTokens]
  std::vector<uint64_t> pages_;   // [adapter_pages]
  std::map<engine::AdapterId, Adapter> adapters_;
  std::vector<Slot> slots_;
  Lookup describe_;
  Fault fault_;
  uint64_t dice_;
  std::string complaint_;
};

// One choice computed alone, without blocks: what it must be under any schedule.
struct FakeAnswer {
  std::vector<engine::TokenId> tokens;
  std::vector<float> logprobs;         // of tokens
  std::vector<float> prompt_logprobs;  // of prompt tokens 1, 2, ...
  std::vector<float> pooled;
  engine::FinishReason finish = engine::FinishReason::kNone;
};

FakeAnswer answer_alone(const engine::Request& request, const FakeRequest& fake, int32_t choice,
                        uint64_t seed, int32_t max_length, engine::TokenConstraint* constraint);

}  // namespace hearth::sim
