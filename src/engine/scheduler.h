// The brain of one engine: decides what each step computes and keeps account of every block.
//
//   loop: plan(now) -> runner.run(plan) -> commit(result, now)
//
// add(), cancel() and finish(), and all about adapters, may come at any time between these calls,
// also while a step is in flight. One thread calls everything. No clock, no tensor, no randomness:
// the same calls give the same plans.
//
// A step is filled in this order, each by rank (see sequence.h), and 2 to 4 for each class of
// service before the next one:
//   1. every sequence that generates gets its next token;
//   2. every prompt in progress gets a share: long_prefill_token_threshold tokens, or less where
//      the long ones would leave nothing of the step to a short one; but one whose next block a
//      prompt before it is computing takes that block over when it is there;
//   3. waiting sequences are admitted with a share while tokens, slots and memory last: of a class
//      those of the deployment that is furthest behind (fair_queue.h), of that the first in rank;
//   4. what is left of the step goes to the prompts in progress, and then to step 3 again;
//   5. if the step is small even so and nobody computes a prompt, guesses of what comes next are
//      checked in it (drafter.h), as many as pay (guess_policy.h).
// Who needs a block and finds none takes it from the last in rank, which starts over later with all
// its tokens known (preemption by recompute). The first in rank can take from everybody, so it
// advances in every step, whatever else happens; but the budget may leave all prompts out of a
// step, not of two in a row, to see what generation alone takes. A higher class also takes slots,
// memory and time from lower ones, at once: what was bought is there when it is asked for. Batch
// work sits out every step that somebody else is in.
//
// A request whose adapter is not in memory is parked: it stands in nobody's way while the adapter
// is loaded, in the background, and joins the queue at its rank. One that finds no room, because
// all that is in memory is in use, is passed by at most max_overtaken others with adapters; after
// that those wait too, until enough of what is in use has ended.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/adapter_cache.h"
#include "engine/block_pool.h"
#include "engine/config.h"
#include "engine/drafter.h"
#include "engine/fair_queue.h"
#include "engine/guess_policy.h"
#include "engine/request.h"
#include "engine/sequence.h"
#include "engine/stats.h"
#include "engine/step_budget.h"
#include "engine/step_plan.h"

namespace hearth::engine {

class Scheduler {
 public:
  // Throws Error where limits contradict each other. Without a budget, the one that
  // step_time_target asks for; without a drafter, guesses are PromptLookup's. The drafter outlives
  // this.
  explicit Scheduler(const EngineConfig& config, std::unique_ptr<StepBudget> budget = nullptr,
                     Drafter* drafter = nullptr);

  // Takes the request or says why not; a refusal costs no more than its text.
  Admission add(Request request, Nanos now);
  // Ends all choices that still go on. No Output follows; unknown ids are ignored, since the
  // request may have ended by itself.
  void cancel(RequestId id);
  // Ends one choice, for what only the caller can see (a stop string). No Output follows.
  void finish(RequestId id, int32_t choice, FinishReason reason);

  // From now on requests may name this adapter; it takes so many pages, at most adapter_pages.
  void add_adapter(AdapterId adapter, int32_t pages);
  // New requests for it are refused; those that are here go on to their end.
  void remove_adapter(AdapterId adapter);
  // The runner has brought it into memory.
  void adapter_loaded(AdapterId adapter);
  // The runner could not, and why. Ends those who wait for it; valid like those of commit().
  std::span<const Output> adapter_failed(AdapterId adapter, const std::string& error);

  // What a deployment bought, from the next step on: its weight among the provisioned.
  void set_deployment(DeploymentId deployment, Cost rate_per_minute);
  // Its requests go on to their end.
  void remove_deployment(DeploymentId deployment);
  // From now on work is counted by these.
  void set_prices(const TokenPrices& prices) { prices_ = prices; }
  const TokenPrices& prices() const { return prices_; }

  // The next step; an empty one is neither run nor committed. It is empty when no request is here,
  // and when all that are wait for their adapters. Valid until the step is committed.
  const StepPlan& plan(Nanos now);
  // What came out of the planned step; nobody has advanced in one that was abandoned. The outputs
  // are valid until the next call of commit(), and their spans as long as `result`.
  std::span<const Output> commit(const StepResult& result, Nanos now);

  // True when a request is in the engine, or an order for the runner: plan() has something to do, a
  // step is in flight, or adapters are waited for.
  bool busy() const { return !requests_.empty() || adapters_.has_orders(); }
  Stats stats() const;
  const EngineConfig& config() const { return config_; }
  const BlockPool& blocks() const { return pool_; }
  const AdapterCache& adapters() const { return adapters_; }
  const FairQueue& waiting() const { return waiting_; }
  // Who holds a slot, by rank; for audits.
  std::span<const Sequence* const> running() const { return running_; }
  // All cached blocks are forgotten (the weights have changed, say). Not while a step is in flight.
  void forget_prefixes();

 private:
  // What can be reused for a sequence that is about to start.
  struct Start {
    int32_t computed = 0;             // tokens that need not be computed
    int32_t shared_blocks = 0;        // leading blocks taken over
    const Sequence* donor = nullptr;  // null: they come from the prefix index
    int32_t blocks_needed = 0;        // free blocks that all known tokens will take
  };
  enum class Verdict : uint8_t { kFits, kNoPlace, kNoMemory, kNoTime };
  enum class Yield : uint8_t { kToClass, kToPriority };  // the latter: to both

  void unpark();
  void fill_step(std::span<const ServiceClass> classes, Nanos now);
  bool others_than_batch() const;
  bool sits_out(const Sequence& sequence) const;
  StepLoad load() const;
  int32_t prompts_due() const;
  int32_t step_tokens(Nanos now);
  int32_t in_step(int64_t tokens) const;
  void reclaim_time(Nanos now);
  int64_t prompt_tokens_above(ServiceClass below) const;
  int64_t tokens_owed() const;
  void plan_generating();
  void fill(ServiceClass service_class, Nanos now);
  void plan_prompts(ServiceClass service_class);
  void yield_to_urgent(ServiceClass service_class, Yield yield);
  void admit_waiting(ServiceClass service_class, Nanos now);
  void extend_prompts(ServiceClass service_class);
  void plan_guesses();
  int32_t most_guesses(const Sequence& sequence) const;
  void order_guess(Sequence& sequence);
  void make_guesses();
  void learn_guesses(Nanos duration);
  bool wants_token(const Sequence& sequence) const;
  void write_plan();
  void add_work(const StepSequence& step, const Sequence& sequence);
  int32_t used_adapters() const;

  Start find_start(Sequence& sequence);
  Verdict judge(const Sequence& sequence, const Start& start) const;
  bool has_time(const Sequence& sequence, size_t victims) const;
  bool within_batch_memory(const Sequence& sequence) const;
  int32_t share(int32_t left) const;
  void start_running(Sequence& sequence, const Start& start, Nanos now);
  void take_shared_blocks(Sequence& sequence, const Start& start);
  void take_new_blocks(Sequence& sequence);
  bool awaits_block(Sequence& sequence);
  int32_t blocks_promised() const;
  bool long_lane_full(ServiceClass service_class) const;
  int32_t partial_prompts(ServiceClass service_class) const;

  bool make_room(size_t index, int32_t blocks);
  void grow(Sequence& sequence, int32_t tokens);
  void assign(Sequence& sequence, int32_t count);
  int32_t room_for(const Sequence& sequence) const;
  void preempt(Sequence& sequence);

  void take_back(Sequence& sequence, const StepSequence& step);
  void account(Sequence& sequence);
  void keep_right_guesses(Sequence& sequence, std::span<const SampledToken> tokens);
  void drop_spare_blocks(Sequence& sequence);
  void publish(Sequence& sequence);
  Output advance(Sequence& sequence, const SequenceResult& result, Nanos now);
  void take_tokens(Sequence& sequence, const SequenceResult& result, Output& output, Nanos now);
  void tell_prompt(Sequence& sequence, int32_t first_row, const SequenceResult& result,
                   Output& output);
  void release_siblings(RequestState& owner, const Sequence& done);

  Admission check_queue(const Request& request) const;
  void enqueue(Request request, Nanos now);
  void end(Sequence& sequence, FinishReason reason);
  void retire(Sequence& sequence, FinishReason reason);
  void leave_slot(Sequence& sequence);
  void release_blocks(Sequence& sequence);
  void count_as_scheduled(RequestState& owner);
  void count_queued(const RequestState& owner, int32_t change);
  void wait(Sequence& sequence);
  void forget(RequestState& owner);

  const EngineConfig config_;
  std::unique_ptr<StepBudget> budget_;
  PromptLookup lookup_;
  Drafter& drafter_;
  GuessPolicy guesses_;
  PrefixHasher hasher_;
  BlockPool pool_;
  FairQueue waiting_;
  TokenPrices prices_;
  AdapterCache adapters_;
  std::set<Sequence*, ByRank> parked_;
  bool parked_stale_ = false;       // something has changed for them since they were last looked at
  std::vector<Sequence*> running_;  // by rank
  std::vector<int32_t> free_slots_;
  std::unordered_map<RequestId, std::unique_ptr<RequestState>> requests_;
  uint64_t arrivals_ = 0;

  StepPlan plan_;
  std::vector<Sequence*> planned_;  // parallel to plan_.sequences
  std::vector<Output> outputs_;
  // Who may be guessed at in the step being planned: kept for their memory, parallel.
  std::vector<GuessCandidate> candidates_;
  std::vector<GuessOrder> guess_orders_;
  std::vector<Sequence*> guessed_;
  int32_t guess_read_ = 0;  // tokens that the drafter read for the step in flight
  bool in_flight_ = false;
  Nanos planned_at_ = 0;         // the step in flight
  int32_t tokens_left_ = 0;      // of the step being planned
  bool left_out_ = false;        // prompts were, in the step planned last
  bool batch_sits_out_ = false;  // of the step being planned
  int32_t prompt_share_ = 0;     // most tokens for one prompt while others may want some
  int32_t watermark_ = 0;        // blocks
  Stats stats_;
};

}  // namespace hearth::engine
