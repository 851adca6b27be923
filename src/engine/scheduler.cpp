#include "engine/scheduler.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"
#include "base/error.h"

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
  require(config.priority_aging >= 0, "priority_aging", "must not be negative");
  return config;
}

bool in_order(const Sequence* a, const Sequence* b) { return a->rank < b->rank; }

}  // namespace

Scheduler::Scheduler(const EngineConfig& config, std::unique_ptr<StepBudget> budget)
    : config_(checked(config)),
      budget_(budget ? std::move(budget)
                     : std::make_unique<FixedStepBudget>(config.max_num_batched_tokens)),
      hasher_(config.prefix_hash_key),
      pool_(config.num_blocks),
      waiting_(config.long_prefill_token_threshold),
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
  const int64_t prompt = std::ssize(request.prompt);
  if (answer.accepted() && stats_.queued_requests >= config_.max_queued_requests) {
    answer = {AdmissionCode::kQueueFull,
              fmt::format("{} requests wait already, max_queued_requests = {}",
                          stats_.queued_requests, config_.max_queued_requests)};
  }
  if (answer.accepted() && stats_.queued_requests > 0 &&
      stats_.queued_tokens + prompt > config_.max_queued_tokens) {
    answer = {AdmissionCode::kQueueFull,
              fmt::format("{} prompt tokens wait already, {} more are over max_queued_tokens = {}",
                          stats_.queued_tokens, prompt, config_.max_queued_tokens)};
  }
  ++stats_.admissions[static_cast<size_t>(answer.code)];
  if (!answer.accepted()) return answer;

  auto state = std::make_unique<RequestState>();
  state->prompt_tokens = static_cast<int32_t>(prompt);
  state->max_length = max_length(request, config_);
  state->unfinished = request.choices;
  state->siblings = request.choices - 1;
  state->request = std::move(request);
  const Request& kept = state->request;
  const Rank rank = make_rank(now, kept.priority, arrivals_++, config_.priority_aging);
  state->sequences.resize(static_cast<size_t>(kept.choices));
  for (int32_t choice = 0; choice < kept.choices; ++choice) {
    Sequence& sequence = state->sequences[static_cast<size_t>(choice)];
    sequence.owner = state.get();
    sequence.rank = rank;
    sequence.rank.choice = choice;
    sequence.sampling = kept.sampling;
    sequence.sampling.seed = choice_seed(kept.sampling.seed, choice);
    sequence.usage.prompt_tokens = state->prompt_tokens;
    sequence.timing.queued = now;
  }
  Sequence& leader = state->sequences.front();
  leader.tokens = std::move(state->request.prompt);
  const auto [where, inserted] = requests_.try_emplace(kept.id, nullptr);
  CHECK(inserted, "request {} is in the engine already", kept.id);
  ++stats_.queued_requests;
  stats_.queued_tokens += prompt;
  stats_.waiting_siblings += kept.choices - 1;
  where->second = std::move(state);
  wait(leader);
  return answer;
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
  if (--owner.unfinished > 0) {
    release_siblings(owner, sequence);
    return;
  }
  if (!owner.scheduled) count_as_scheduled(owner);
  requests_.erase(owner.request.id);
}

void Scheduler::leave_slot(Sequence& sequence) {
  const auto where = std::lower_bound(running_.begin(), running_.end(), &sequence, in_order);
  CHECK(where != running_.end() && *where == &sequence, "request {} does not run",
        sequence.owner->request.id);
  running_.erase(where);
  // The end of a text is of less use to others than its beginning: it is given away first.
  for (size_t i = sequence.blocks.size(); i-- > 0;) pool_.release(sequence.blocks[i]);
  sequence.blocks.clear();
  free_slots_.push_back(std::exchange(sequence.slot, -1));
  sequence.computed = sequence.published = sequence.planned = 0;
  sequence.generating = false;
}

void Scheduler::count_as_scheduled(RequestState& owner) {
  owner.scheduled = true;
  --stats_.queued_requests;
  stats_.queued_tokens -= owner.prompt_tokens;
}

void Scheduler::wait(Sequence& sequence) {
  sequence.state = SequenceState::kWaiting;
  sequence.overtaken = 0;
  waiting_.push(sequence);
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

// --- a step is planned ---------------------------------------------------------------------------

const StepPlan& Scheduler::plan(Nanos now) {
  CHECK(!in_flight_, "step {} has not been committed", plan_.step);
  plan_.sequences.clear();
  plan_.copies.clear();
  plan_.tokens = 0;
  planned_.clear();
  tokens_left_ = step_tokens(now);
  plan_generating();
  prompt_share_ = std::clamp(tokens_left_ / (config_.max_long_partial_prefills + 1), 1,
                             config_.long_prefill_token_threshold);
  plan_prompts();
  yield_to_urgent();
  for (int32_t before = 0; before != tokens_left_;) {
    before = tokens_left_;
    admit_waiting(now);
    extend_prompts();
  }
  write_plan();
  return plan_;
}

int32_t Scheduler::step_tokens(Nanos now) const {
  StepLoad load;
  for (const Sequence* sequence : running_) {
    if (!sequence->generating) continue;
    ++load.generating;
    load.generating_context += sequence->size();
  }
  load.prompts = static_cast<int32_t>(running_.size()) - load.generating + waiting_.size();
  const int32_t least = std::min(load.generating + 1, config_.max_num_batched_tokens);
  return std::clamp(budget_->tokens(load, now), least, config_.max_num_batched_tokens);
}

// One token each is certain, and one for a prompt; a sequence with several to catch up on gets what
// is not reserved.
void Scheduler::plan_generating() {
  int32_t to_come = static_cast<int32_t>(
      std::count_if(running_.begin(), running_.end(), [](auto* s) { return s->generating; }));
  if (to_come < static_cast<int32_t>(running_.size())) ++to_come;
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (!sequence.generating) continue;
    --to_come;
    const int32_t count = std::min(sequence.left(), std::max(tokens_left_ - to_come, 0));
    const int32_t blocks = blocks_for(sequence.computed + count);
    if (count > 0 && make_room(i, blocks - static_cast<int32_t>(sequence.blocks.size()))) {
      assign(sequence, count);
    }
  }
}

void Scheduler::plan_prompts() {
  for (size_t i = 0; i < running_.size() && tokens_left_ > 0; ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.generating) continue;
    if (room_for(sequence) == 0 && !make_room(i, 1)) continue;
    assign(sequence, std::min(share(sequence.left()), room_for(sequence)));
  }
}

int32_t Scheduler::share(int32_t left) const {
  return std::min({left, prompt_share_, tokens_left_});
}

// Whoever is of a more urgent priority than those who run does not wait for them to end, if their
// slots and blocks are what it needs.
void Scheduler::yield_to_urgent() {
  Sequence* first = waiting_.front();
  if (!first || running_.empty() || tokens_left_ == 0) return;
  const auto outranks = [&](const Sequence& other) {
    return first->rank < other.rank &&
           first->owner->request.priority < other.owner->request.priority;
  };
  if (!outranks(*running_.back())) return;
  const Start start = find_start(*first);
  const Verdict verdict = judge(*first, start);
  if (verdict == Verdict::kNoPlace || (verdict == Verdict::kFits && !free_slots_.empty())) return;
  size_t victims = 0;
  int32_t missing = start.blocks_needed + blocks_promised() + watermark_ - pool_.free();
  while (missing > 0 || (free_slots_.empty() && victims == 0)) {
    if (victims == running_.size()) break;
    const Sequence& victim = *running_[running_.size() - 1 - victims];
    if (!outranks(victim)) return;
    missing -= static_cast<int32_t>(victim.blocks.size());
    ++victims;
  }
  for (; victims > 0; --victims) preempt(*running_.back());
}

// In order of rank, with two exceptions: the short lane passes a long prompt that waits for one
// before it to be computed, and one lane passes the other's first that waits for memory, but only
// max_overtaken times.
void Scheduler::admit_waiting(Nanos now) {
  bool open[2] = {true, true};
  Sequence* starved = nullptr;
  while (tokens_left_ > 0 && !free_slots_.empty()) {
    Sequence* candidates[2] = {open[0] ? waiting_.front(Lane::kShort) : nullptr,
                               open[1] ? waiting_.front(Lane::kLong) : nullptr};
    if (!candidates[0] && !candidates[1]) return;
    const size_t lane =
        !candidates[0] || (candidates[1] && candidates[1]->rank < candidates[0]->rank) ? 1 : 0;
    Sequence& next = *candidates[lane];
    if (starved && starved->overtaken >= config_.max_overtaken) return;
    const Start start = find_start(next);
    const Verdict verdict = judge(next, start);
    if (verdict != Verdict::kFits) {
      open[lane] = false;
      if (verdict == Verdict::kNoMemory && !starved) starved = &next;
      continue;
    }
    if (starved && starved->rank < next.rank) ++starved->overtaken;
    waiting_.remove(next);
    start_running(next, start, now);
    assign(next, share(next.left()));
  }
}

// An engine in which nothing runs has room for every sequence: add() has seen to that.
Scheduler::Verdict Scheduler::judge(const Sequence& sequence, const Start& start) const {
  const int32_t left = sequence.size() - start.computed;
  if (left > config_.long_prefill_token_threshold && long_lane_full()) return Verdict::kNoPlace;
  if (share(left) < left && partial_prompts() >= config_.max_num_partial_prefills) {
    return Verdict::kNoPlace;
  }
  const int32_t taken = blocks_promised() + watermark_;
  const bool fits = running_.empty() || start.blocks_needed + taken <= pool_.free();
  return fits ? Verdict::kFits : Verdict::kNoMemory;
}

// A choice starts from the prompt of another that runs, or like everybody from the prefix index:
// from whichever knows more.
Scheduler::Start Scheduler::find_start(Sequence& sequence) {
  Start start;
  int32_t revived = 0;
  if (config_.prefix_caching) {
    const int32_t most = skippable(sequence) / kBlockTokens;
    extend_keys(sequence, most, hasher_);
    for (int32_t i = 0; i < most; ++i) {
      const BlockId block = pool_.find(sequence.keys[static_cast<size_t>(i)]);
      if (block == kNoBlock) break;
      ++start.shared_blocks;
      if (pool_.references(block) == 0) ++revived;
    }
    start.computed = start.shared_blocks * kBlockTokens;
  }
  const int32_t prompt = sequence.owner->prompt_tokens;
  const int32_t forked = std::min(prompt - 1, skippable(sequence));
  if (sequence.owner->request.choices > 1 && forked > start.computed) {
    for (const Sequence& donor : sequence.owner->sequences) {
      if (donor.state != SequenceState::kRunning || donor.computed < prompt) continue;
      start = {forked, forked / kBlockTokens, &donor, 0};
      revived = 0;
      break;
    }
  }
  start.blocks_needed = blocks_for(sequence.size()) - start.shared_blocks + revived;
  return start;
}

// Blocks that the prompts in progress will still take.
int32_t Scheduler::blocks_promised() const {
  int32_t promised = 0;
  for (const Sequence* sequence : running_) {
    if (sequence->generating) continue;
    promised += blocks_for(sequence->size()) - static_cast<int32_t>(sequence->blocks.size());
  }
  return promised;
}

bool Scheduler::long_lane_full() const {
  int32_t found = 0;
  for (const Sequence* sequence : running_) {
    const int32_t after = sequence->left() - sequence->planned;
    if (!sequence->generating && after > 0 &&
        sequence->left() > config_.long_prefill_token_threshold) {
      ++found;
    }
  }
  return found >= config_.max_long_partial_prefills;
}

int32_t Scheduler::partial_prompts() const {
  int32_t found = 0;
  for (const Sequence* sequence : running_) {
    if (!sequence->generating && sequence->planned < sequence->left()) ++found;
  }
  return found;
}

void Scheduler::start_running(Sequence& sequence, const Start& start, Nanos now) {
  RequestState& owner = *sequence.owner;
  take_shared_blocks(sequence, start);
  sequence.state = SequenceState::kRunning;
  sequence.slot = free_slots_.back();
  free_slots_.pop_back();
  sequence.fresh = true;
  sequence.computed = start.computed;
  sequence.published = start.shared_blocks;
  running_.insert(std::upper_bound(running_.begin(), running_.end(), &sequence, in_order),
                  &sequence);
  if (!std::exchange(sequence.started, true)) {
    sequence.timing.scheduled = now;
    sequence.furthest = start.computed;
    if (!start.donor) sequence.usage.cached_tokens = start.computed;
    stats_.prompt_tokens_cached += static_cast<uint64_t>(sequence.usage.cached_tokens);
  }
  if (!owner.scheduled) count_as_scheduled(owner);
}

void Scheduler::take_shared_blocks(Sequence& sequence, const Start& start) {
  for (size_t i = 0; i < static_cast<size_t>(start.shared_blocks); ++i) {
    const BlockId block = start.donor ? start.donor->blocks[i] : pool_.find(sequence.keys[i]);
    pool_.retain(block);
    sequence.blocks.push_back(block);
  }
  if (start.computed % kBlockTokens == 0) return;
  const BlockId copy = pool_.allocate();
  CHECK(copy != kNoBlock, "no block left for a copy that was said to fit");
  plan_.copies.push_back({start.donor->blocks[sequence.blocks.size()], copy});
  sequence.blocks.push_back(copy);
  ++stats_.block_copies;
}

void Scheduler::extend_prompts() {
  for (Sequence* sequence : running_) {
    if (tokens_left_ == 0) return;
    if (sequence->generating) continue;
    const int32_t more = std::min({sequence->left() - sequence->planned, tokens_left_,
                                   room_for(*sequence) - sequence->planned});
    if (more > 0) assign(*sequence, more);
  }
}

// Tokens that `sequence` could compute with the blocks it holds and those that are free.
int32_t Scheduler::room_for(const Sequence& sequence) const {
  const int64_t blocks = std::ssize(sequence.blocks) + pool_.free();
  const int64_t room = blocks * kBlockTokens - sequence.computed;
  return static_cast<int32_t>(std::min<int64_t>(room, sequence.left()));
}

// `count` more tokens of this step go to `sequence`; the blocks are there.
void Scheduler::assign(Sequence& sequence, int32_t count) {
  sequence.planned += count;
  tokens_left_ -= count;
  grow(sequence, sequence.computed + sequence.planned);
}

void Scheduler::grow(Sequence& sequence, int32_t tokens) {
  while (std::ssize(sequence.blocks) < blocks_for(tokens)) {
    const BlockId block = pool_.allocate();
    CHECK(block != kNoBlock, "no block left for {} tokens of request {}", tokens,
          sequence.owner->request.id);
    sequence.blocks.push_back(block);
  }
}

// Frees `blocks` blocks by preempting from the back, but nobody before or at `index`.
bool Scheduler::make_room(size_t index, int32_t blocks) {
  while (pool_.free() < blocks) {
    if (running_.size() == index + 1) return false;
    preempt(*running_.back());
  }
  return true;
}

void Scheduler::preempt(Sequence& sequence) {
  tokens_left_ += sequence.planned;
  leave_slot(sequence);
  ++sequence.timing.preemptions;
  ++stats_.preemptions;
  wait(sequence);
}

void Scheduler::write_plan() {
  for (Sequence* sequence : running_) {
    if (sequence->planned == 0) continue;
    const RequestState& owner = *sequence->owner;
    const Request& request = owner.request;
    StepSequence& step = plan_.sequences.emplace_back();
    step.request = request.id;
    step.choice = sequence->rank.choice;
    step.slot = sequence->slot;
    step.fresh = std::exchange(sequence->fresh, false);
    step.tokens = sequence->tokens;
    step.prompt_tokens = owner.prompt_tokens;
    step.computed = sequence->computed;
    step.count = sequence->planned;
    step.blocks = sequence->blocks;
    step.adapter = request.adapter;
    step.sampling = &sequence->sampling;
    step.pooling = request.pooling;
    plan_.tokens += step.count;
    planned_.push_back(sequence);
    if (step.computed + step.count < sequence->size()) continue;
    if (request.pooling != Pooling::kNone) {
      step.want = Want::kPooled;
    } else if (sequence->size() < owner.max_length) {
      step.want = Want::kToken;
      if (!request.constraints.empty()) {
        step.constraint = request.constraints[static_cast<size_t>(step.choice)].get();
      }
      if (sequence->usage.output_tokens < request.min_tokens) step.banned = request.stop_tokens;
    }
  }
  in_flight_ = !plan_.sequences.empty();
  if (in_flight_) ++plan_.step;
}

// --- a step is committed -------------------------------------------------------------------------

std::span<const Output> Scheduler::commit(const StepResult& result, Nanos now) {
  CHECK(in_flight_, "no step is in flight");
  CHECK(result.sequences.size() == planned_.size(), "{} results for {} sequences of step {}",
        result.sequences.size(), planned_.size(), plan_.step);
  in_flight_ = false;
  outputs_.clear();
  ++stats_.steps;
  stats_.step_tokens += static_cast<uint64_t>(plan_.tokens);
  for (size_t i = 0; i < planned_.size(); ++i) {
    Sequence& sequence = *planned_[i];
    const int32_t first_row = sequence.computed;
    account(sequence);
    publish(sequence);
    if (sequence.ending != FinishReason::kNone) {
      retire(sequence, sequence.ending);
      continue;
    }
    Output output = advance(sequence, result.sequences[i], now);
    tell_prompt(sequence, first_row, result.sequences[i], output);
    output.request_done = output.finish != FinishReason::kNone && sequence.owner->unfinished == 1;
    const bool news =
        output.finish != FinishReason::kNone || !output.tokens.empty() || !output.prompt.empty();
    if (output.finish != FinishReason::kNone) {
      retire(sequence, output.finish);
    } else if (sequence.generating) {
      release_siblings(*sequence.owner, sequence);
    }
    if (news) outputs_.push_back(std::move(output));
  }
  return outputs_;
}

void Scheduler::account(Sequence& sequence) {
  const int32_t begin = sequence.computed;
  const int32_t end = begin + std::exchange(sequence.planned, 0);
  const int32_t news = std::max(end - std::max(begin, sequence.furthest), 0);
  const int32_t prompt_end = std::min(end, sequence.owner->prompt_tokens);
  const int32_t prompt_news = std::max(prompt_end - std::max(begin, sequence.furthest), 0);
  stats_.tokens_recomputed += static_cast<uint64_t>(end - begin - news);
  stats_.prompt_tokens_computed += static_cast<uint64_t>(prompt_news);
  sequence.computed = end;
  sequence.furthest = std::max(sequence.furthest, end);
}

void Scheduler::publish(Sequence& sequence) {
  if (!config_.prefix_caching) return;
  const int32_t full = sequence.computed / kBlockTokens;
  if (full <= sequence.published) return;
  extend_keys(sequence, full, hasher_);
  for (; sequence.published < full; ++sequence.published) {
    const size_t i = static_cast<size_t>(sequence.published);
    pool_.publish(sequence.blocks[i], sequence.keys[i]);
  }
}

Output Scheduler::advance(Sequence& sequence, const SequenceResult& result, Nanos now) {
  const RequestState& owner = *sequence.owner;
  Output output;
  output.request = owner.request.id;
  output.choice = sequence.rank.choice;
  const bool complete = sequence.left() == 0;
  if (!result.error.empty()) {
    output.finish = FinishReason::kError;
    output.error = result.error;
  } else if (complete && owner.request.pooling != Pooling::kNone) {
    output.pooled = result.pooled;
    output.finish = FinishReason::kStop;
  } else if (complete && only_computes(owner.request)) {
    output.finish = FinishReason::kLength;
  } else if (complete) {
    take_tokens(sequence, result, output, now);
  }
  output.usage = sequence.usage;
  output.timing = sequence.timing;
  return output;
}

void Scheduler::take_tokens(Sequence& sequence, const SequenceResult& result, Output& output,
                            Nanos now) {
  const RequestState& owner = *sequence.owner;
  const Request& request = owner.request;
  CHECK(!result.sampled.empty(), "no token was sampled for request {}", request.id);
  TokenConstraint* constraint =
      request.constraints.empty()
          ? nullptr
          : request.constraints[static_cast<size_t>(sequence.rank.choice)].get();
  const auto stops = [&](TokenId token) {
    const auto& stop = request.stop_tokens;
    return sequence.usage.output_tokens >= request.min_tokens &&
           std::find(stop.begin(), stop.end(), token) != stop.end();
  };
  if (sequence.usage.output_tokens == 0) sequence.timing.first_token = now;
  size_t taken = 0;
  while (taken < result.sampled.size() && output.finish == FinishReason::kNone) {
    const TokenId token = result.sampled[taken].token;
    if (stops(token)) {
      output.finish = FinishReason::kStop;
      output.stop_token = token;
    } else if (constraint && !constraint->accept(token)) {
      output.finish = FinishReason::kError;
      output.error = fmt::format("token {} breaks the constraint of the request", token);
      break;
    } else if (constraint && constraint->finished()) {
      output.finish = FinishReason::kStop;
    } else if (sequence.size() + 1 >= owner.max_length) {
      output.finish = FinishReason::kLength;
    }
    sequence.tokens.push_back(token);
    ++sequence.usage.output_tokens;
    ++taken;
  }
  output.tokens = std::span(result.sampled).first(taken);
  stats_.generation_tokens += taken;
  sequence.timing.last_token = now;
  sequence.generating = true;
}

// After a preemption rows may come a second time; they are told once.
void Scheduler::tell_prompt(Sequence& sequence, int32_t first_row, const SequenceResult& result,
                            Output& output) {
  RequestState& owner = *sequence.owner;
  if (sequence.sampling.prompt_logprobs < 0 || sequence.rank.choice != 0) return;
  const int32_t rows = static_cast<int32_t>(result.prompt.size());
  const int32_t known = std::min(std::max(owner.prompt_told - first_row, 0), rows);
  if (known == rows) return;
  output.prompt = std::span(result.prompt).subspan(static_cast<size_t>(known));
  output.prompt_begin = first_row + known + 1;
  owner.prompt_told = first_row + rows;
}

// --- numbers -------------------------------------------------------------------------------------

Stats Scheduler::stats() const {
  Stats stats = stats_;
  stats.running = static_cast<int32_t>(running_.size());
  stats.waiting = waiting_.size();
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
