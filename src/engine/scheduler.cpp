#include "engine/scheduler.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "engine/timed_step_budget.h"

namespace hearth::engine {
namespace {

void require(bool holds, const char* field, const std::string& text) {
  if (!holds) throw Error(ErrorCode::kInvalidArgument, text, field);
}

const EngineConfig& checked(const EngineConfig& config) {
  require(config.num_blocks > 0, "num_blocks",
          "the KV cache needs at least one block; give it more memory");
  require(config.max_model_len > 0, "max_model_len", "must be positive");
  require(config.max_num_seqs > 0, "max_num_seqs", "must be positive");
  require(config.max_num_batched_tokens >= config.max_num_seqs, "max_num_batched_tokens",
          fmt::format("must be at least max_num_seqs = {}, so that each sequence gets its token in "
                      "each step; got {}",
                      config.max_num_seqs, config.max_num_batched_tokens));
  require(config.max_num_partial_prefills > 0, "max_num_partial_prefills", "must be positive");
  require(config.max_long_partial_prefills > 0, "max_long_partial_prefills", "must be positive");
  require(config.long_prefill_token_threshold > 0, "long_prefill_token_threshold",
          "must be positive");
  require(config.max_choices > 0, "max_choices", "must be positive");
  require(config.max_queued_requests > 0, "max_queued_requests", "must be positive");
  require(config.max_queued_tokens > 0, "max_queued_tokens", "must be positive");
  require(config.max_guessed_tokens >= 0, "max_guessed_tokens", "must not be negative");
  require(config.max_speculative_rows >= 0, "max_speculative_rows", "must not be negative");
  require(config.step_time_target >= 0, "step_time_target", "must not be negative");
  require(config.step_stretch_permille == 0 || config.step_stretch_permille > 1000,
          "step_stretch_permille", "must be 0 or over 1000");
  require(config.max_overtaken >= 0, "max_overtaken", "must not be negative");
  require(config.watermark_permille >= 0 && config.watermark_permille <= 1000, "watermark_permille",
          "must be from 0 to 1000");
  require(config.adapter_pages >= 0, "adapter_pages", "must not be negative");
  require(config.max_loras >= 0, "max_loras", "must not be negative");
  require(config.priority_aging >= 0, "priority_aging", "must not be negative");
  return config;
}

std::unique_ptr<StepBudget> make_budget(const EngineConfig& config) {
  const int32_t most = config.max_num_batched_tokens;
  const StepLimits limits{config.step_time_target, config.step_stretch_permille};
  if (limits.target > 0 && config.costs.known()) {
    return std::make_unique<CostedStepBudget>(config.costs, most, limits);
  }
  if (limits.target > 0 || limits.stretch_permille > 0) {
    return std::make_unique<TimedStepBudget>(most, limits);
  }
  return std::make_unique<FixedStepBudget>(most);
}

}  // namespace

Scheduler::Scheduler(const EngineConfig& config, std::unique_ptr<StepBudget> budget,
                     Drafter* drafter)
    : config_(checked(config)),
      budget_(budget ? std::move(budget) : make_budget(config)),
      drafter_(drafter ? *drafter : lookup_),
      guesses_(config.max_speculative_rows),
      hasher_(config.prefix_hash_key),
      pool_(config.num_blocks),
      waiting_(config.long_prefill_token_threshold),
      prices_(config.prices),
      adapters_(config.adapter_pages, config.max_loras),
      watermark_(
          static_cast<int32_t>(int64_t{config.num_blocks} * config.watermark_permille / 1000)) {
  const size_t slots = static_cast<size_t>(config.max_num_seqs);
  for (int32_t slot = config.max_num_seqs; slot-- > 0;) free_slots_.push_back(slot);
  running_.reserve(slots);
  planned_.reserve(slots);
  outputs_.reserve(slots);
  plan_.sequences.reserve(slots);
  plan_.copies.reserve(slots);
}

// --- requests come and go ------------------------------------------------------------------------

Admission Scheduler::add(Request request, Nanos now) {
  Admission answer = check_request(request, config_);
  if (answer.accepted() && request.adapter != kBaseModel && !adapters_.open(request.adapter)) {
    answer = {AdmissionCode::kNoAdapter,
              fmt::format("adapter {} is not here, or has been unloaded", request.adapter)};
  }
  if (answer.accepted()) answer = check_queue(request);
  ++stats_.admissions[static_cast<size_t>(answer.code)];
  if (answer.accepted()) enqueue(std::move(request), now);
  return answer;
}

// What waits in lower classes takes nobody's place.
Admission Scheduler::check_queue(const Request& request) const {
  const int32_t requests = stats_.queued_up_to(request.service_class);
  const auto& by_class = stats_.queued_tokens_by_class;
  const int64_t tokens = std::accumulate(
      by_class.begin(), by_class.begin() + 1 + static_cast<int>(request.service_class), int64_t{0});
  if (requests >= config_.max_queued_requests) {
    return {AdmissionCode::kQueueFull,
            fmt::format("{} requests wait already, max_queued_requests = {}", requests,
                        config_.max_queued_requests)};
  }
  const int64_t prompt_tokens = std::ssize(request.prompt);
  if (requests > 0 && tokens + prompt_tokens > config_.max_queued_tokens) {
    return {AdmissionCode::kQueueFull,
            fmt::format("{} prompt tokens wait already, {} more are over max_queued_tokens = {}",
                        tokens, prompt_tokens, config_.max_queued_tokens)};
  }
  return {};
}

int32_t Stats::queued_up_to(ServiceClass service_class) const {
  return std::accumulate(queued_by_class.begin(),
                         queued_by_class.begin() + 1 + static_cast<int>(service_class), 0);
}

void Scheduler::enqueue(Request request, Nanos now) {
  const auto [where, inserted] = requests_.try_emplace(request.id);
  CHECK(inserted, "request {} is in the engine already", request.id);
  where->second = std::make_unique<RequestState>();
  RequestState& state = *where->second;
  state.prompt_tokens = static_cast<int32_t>(request.prompt.size());
  state.max_length = max_length(request, config_);
  state.unfinished = request.choices;
  state.siblings = request.choices - 1;
  state.sequences.resize(static_cast<size_t>(request.choices));
  state.flow = &waiting_.enter(request.service_class, request.deployment);
  Rank rank = make_rank(now, request.priority, arrivals_++, config_.priority_aging);
  rank.service_class = request.service_class;
  for (Sequence& sequence : state.sequences) {
    sequence.owner = &state;
    sequence.rank = rank;
    sequence.sampling = request.sampling;
    sequence.sampling.seed = choice_seed(request.sampling.seed, rank.choice++);
    sequence.usage.prompt_tokens = state.prompt_tokens;
    sequence.timing.queued = now;
  }
  Sequence& leader = state.sequences.front();
  leader.tokens = std::move(request.prompt);
  state.request = std::move(request);
  count_queued(state, 1);
  stats_.waiting_siblings += state.siblings;
  if (state.request.adapter != kBaseModel) adapters_.enter(state.request.adapter);
  wait(leader);
}

void Scheduler::cancel(RequestId id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  // From the back, and by index: the request is gone with the last choice that ends.
  RequestState& state = *found->second;
  for (int32_t choice = state.request.choices; choice-- > 0;) {
    const bool last = state.unfinished == 1;
    Sequence& sequence = state.sequences[static_cast<size_t>(choice)];
    if (sequence.state == SequenceState::kFinished) continue;
    end(sequence, FinishReason::kAbort);
    if (last) return;
  }
}

void Scheduler::finish(RequestId id, int32_t choice, FinishReason reason) {
  CHECK(reason != FinishReason::kNone, "request {} finishes without a reason", id);
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  RequestState& state = *found->second;
  CHECK(choice >= 0 && choice < state.request.choices, "choice {} of request {} with {}", choice,
        id, state.request.choices);
  Sequence& sequence = state.sequences[static_cast<size_t>(choice)];
  if (sequence.state != SequenceState::kFinished) end(sequence, reason);
}

// A sequence that the runner is working on keeps its memory until the step is committed.
void Scheduler::end(Sequence& sequence, FinishReason reason) {
  if (in_flight_ && sequence.planned > 0) {
    if (sequence.ending == FinishReason::kNone) sequence.ending = reason;
  } else {
    retire(sequence, reason);
  }
}

// Afterwards `sequence` may be gone.
void Scheduler::retire(Sequence& sequence, FinishReason reason) {
  RequestState& owner = *sequence.owner;
  switch (sequence.state) {
    case SequenceState::kSibling:
      --owner.siblings;
      --stats_.waiting_siblings;
      break;
    case SequenceState::kParked:
      parked_.erase(&sequence);
      parked_stale_ = true;  // others may have stood behind it
      break;
    case SequenceState::kWaiting:
      waiting_.remove(sequence);
      break;
    case SequenceState::kRunning:
      leave_slot(sequence);
      break;
    case SequenceState::kFinished:
      CHECK(false, "request {} ends twice", owner.request.id);
  }
  sequence.state = SequenceState::kFinished;
  ++stats_.finished[static_cast<size_t>(reason)];
  drafter_.end(owner.request.id, sequence.rank.choice);
  if (--owner.unfinished > 0) {
    release_siblings(owner, sequence);
    return;
  }
  forget(owner);
}

void Scheduler::forget(RequestState& owner) {
  if (!owner.scheduled) count_as_scheduled(owner);
  if (const AdapterId adapter = owner.request.adapter; adapter != kBaseModel) {
    if (owner.has_adapter) adapters_.release(adapter);
    adapters_.leave(adapter);
    parked_stale_ = true;
  }
  waiting_.leave(*owner.flow);
  requests_.erase(owner.request.id);
}

void Scheduler::leave_slot(Sequence& sequence) {
  const auto where = std::lower_bound(running_.begin(), running_.end(), &sequence, ByRank());
  CHECK(where != running_.end() && *where == &sequence, "request {} does not run",
        sequence.owner->request.id);
  running_.erase(where);
  release_blocks(sequence);
  free_slots_.push_back(std::exchange(sequence.slot, -1));
  sequence.guess.clear();
  sequence.computed = sequence.published = sequence.planned = 0;
  sequence.generating = false;
}

// The end of a text is of less use to others than its beginning: it is given away first. Blocks of
// batch work go to the front of those to be given away, the beginning of its text behind the rest.
void Scheduler::release_blocks(Sequence& sequence) {
  std::vector<BlockId>& blocks = sequence.blocks;
  if (sequence.rank.service_class == ServiceClass::kBatch) {
    for (const BlockId block : blocks) pool_.release(block, Holder::kBatch);
  } else {
    for (size_t i = blocks.size(); i-- > 0;) pool_.release(blocks[i]);
  }
  blocks.clear();
}

void Scheduler::count_as_scheduled(RequestState& owner) {
  owner.scheduled = true;
  count_queued(owner, -1);
}

void Scheduler::count_queued(const RequestState& owner, int32_t change) {
  const auto index = static_cast<size_t>(owner.request.service_class);
  const int64_t tokens = int64_t{change} * owner.prompt_tokens;
  stats_.queued_requests += change;
  stats_.queued_tokens += tokens;
  stats_.queued_by_class[index] += change;
  stats_.queued_tokens_by_class[index] += tokens;
}

void Scheduler::wait(Sequence& sequence) {
  const RequestState& owner = *sequence.owner;
  sequence.overtaken = 0;
  if (owner.request.adapter != kBaseModel && !owner.has_adapter) {
    sequence.state = SequenceState::kParked;
    parked_.insert(&sequence);
    parked_stale_ = true;
  } else {
    sequence.state = SequenceState::kWaiting;
    waiting_.push(sequence);
  }
}

// Once the prompt is computed, the other choices can share it. If the leader ends before that, the
// next choice leads.
void Scheduler::release_siblings(RequestState& owner, const Sequence& done) {
  if (owner.siblings == 0 || done.rank.choice != owner.leader) return;
  const bool computed = done.furthest >= owner.prompt_tokens;
  const std::vector<TokenId>& known = done.tokens;
  for (Sequence& sibling : owner.sequences) {
    if (sibling.state != SequenceState::kSibling) continue;
    --owner.siblings;
    --stats_.waiting_siblings;
    sibling.tokens.assign(known.begin(), known.begin() + owner.prompt_tokens);
    wait(sibling);
    if (computed) continue;
    owner.leader = sibling.rank.choice;
    return;
  }
}

// --- deployments --------------------------------------------------------------------------------

void Scheduler::set_deployment(DeploymentId deployment, Cost rate_per_minute) {
  waiting_.set_rate(deployment, rate_per_minute);
}

void Scheduler::remove_deployment(DeploymentId deployment) { waiting_.forget(deployment); }

// --- numbers -------------------------------------------------------------------------------------

Stats Scheduler::stats() const {
  Stats stats = stats_;
  stats.running = static_cast<int32_t>(running_.size());
  stats.waiting_adapters = static_cast<int32_t>(parked_.size());
  stats.waiting = waiting_.size() + stats.waiting_adapters;
  stats.adapters = adapters_.stats();
  stats.blocks_total = pool_.total();
  stats.blocks_used = pool_.used();
  stats.blocks_cached = pool_.cached();
  stats.evictions = pool_.evictions();
  return stats;
}

void Scheduler::forget_prefixes() {
  CHECK(!in_flight_, "step {} has not been committed", plan_.step);
  pool_.forget();
}

}  // namespace hearth::engine
