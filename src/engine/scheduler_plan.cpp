// How a step is filled: see the order of steps in scheduler.h.
#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"
#include "engine/scheduler.h"

namespace hearth::engine {

const StepPlan& Scheduler::plan(Nanos now) {
  CHECK(!in_flight_, "step {} has not been committed", plan_.step);
  plan_.sequences.clear();
  plan_.copies.clear();
  plan_.tokens = 0;
  plan_.work = {};
  planned_.clear();
  unpark();
  planned_at_ = now;
  const auto classes = std::span(kServiceClasses);  // batch work is the last
  batch_sits_out_ = others_than_batch();
  fill_step(batch_sits_out_ ? classes.first(classes.size() - 1) : classes, now);
  if (batch_sits_out_ && std::none_of(running_.begin(), running_.end(),
                                      [](const Sequence* s) { return s->planned > 0; })) {
    batch_sits_out_ = false;
    fill_step(classes.last(1), now);
  }
  plan_guesses();
  write_plan();
  return plan_;
}

void Scheduler::fill_step(std::span<const ServiceClass> classes, Nanos now) {
  reclaim_time(now);
  tokens_left_ = step_tokens(now);
  plan_generating();
  prompt_share_ = std::clamp(tokens_left_ / (config_.max_long_partial_prefills + 1), 1,
                             config_.long_prefill_token_threshold);
  for (const ServiceClass each : classes) fill(each, now);
  // Where the lower classes gave more than was taken of them.
  for (const ServiceClass each : classes) extend_prompts(each);
}

bool Scheduler::others_than_batch() const {
  const bool run = !running_.empty() && running_.front()->rank.service_class < ServiceClass::kBatch;
  return run || waiting_.size() > waiting_.size(ServiceClass::kBatch);
}

// Work for idle capacity is in no step with anybody else's: it keeps its slot and its blocks while
// nobody needs them, and goes on where it was.
bool Scheduler::sits_out(const Sequence& sequence) const {
  return batch_sits_out_ && sequence.rank.service_class == ServiceClass::kBatch;
}

void Scheduler::fill(ServiceClass service_class, Nanos now) {
  plan_prompts(service_class);
  Yield yield = Yield::kToPriority;
  int32_t tokens = -1, waiting = -1;
  while (tokens != tokens_left_ || waiting != waiting_.size(service_class)) {
    tokens = tokens_left_;
    waiting = waiting_.size(service_class);
    yield_to_urgent(service_class, std::exchange(yield, Yield::kToClass));
    admit_waiting(service_class, now);
    extend_prompts(service_class);
  }
}

StepLoad Scheduler::load() const {
  StepLoad load;
  std::set<AdapterId> used;
  int32_t taking_part = 0;
  for (const Sequence* sequence : running_) {
    if (sits_out(*sequence)) break;
    ++taking_part;
    const AdapterId adapter = sequence->owner->request.adapter;
    if (adapter != kBaseModel) used.insert(adapter);
    if (sequence->generating) {
      ++load.generating;
      load.generating_context += sequence->size();
      load.adapter_rows += adapter != kBaseModel;
    } else {
      load.prompt_context = std::max(load.prompt_context, sequence->computed);
    }
  }
  load.prompts_due = prompts_due();
  load.adapters = static_cast<int32_t>(used.size());
  load.prompts = taking_part - load.generating + waiting_.size();
  if (batch_sits_out_) load.prompts -= waiting_.size(ServiceClass::kBatch);
  load.idle = !batch_sits_out_ && load.generating + load.prompts > 0 && !others_than_batch();
  return load;
}

// Prompts that are short or nearly computed, of the class of whoever generates first or above, with
// a slot or a free one for them: they will generate soon.
int32_t Scheduler::prompts_due() const {
  const auto first = std::find_if(running_.begin(), running_.end(),
                                  [](const Sequence* s) { return s->generating; });
  if (first == running_.end()) return 0;
  const ServiceClass lowest = (*first)->rank.service_class;
  int32_t with_slot = 0, waiting = 0;
  for (const Sequence* sequence : running_) {
    with_slot += !sequence->generating && sequence->rank.service_class <= lowest &&
                 sequence->left() <= config_.long_prefill_token_threshold;
  }
  for (const ServiceClass each : kServiceClasses) {
    if (each <= lowest) waiting += waiting_.size(each, Lane::kShort);
  }
  return with_slot + std::min(waiting, static_cast<int32_t>(free_slots_.size()));
}

int32_t Scheduler::step_tokens(Nanos now) {
  StepLoad current = load();
  const int64_t bought = prompt_tokens_above(ServiceClass::kStandard);
  if (bought > 0) current.owed = in_step(std::min(bought, tokens_owed()));
  const bool may_leave_out = current.generating > 0 && !left_out_;
  const int32_t least =
      std::min(current.generating + (may_leave_out ? 0 : 1), config_.max_num_batched_tokens);
  const int32_t tokens =
      std::clamp(budget_->tokens(current, now), least, config_.max_num_batched_tokens);
  left_out_ = current.prompts > 0 && tokens == current.generating;
  return tokens;
}

// Sequences of standard work that generate give way while the prompts of provisioned deployments
// get less of the step than these bought.
void Scheduler::reclaim_time(Nanos now) {
  int64_t wanted = prompt_tokens_above(ServiceClass::kStandard);
  if (wanted > 0) wanted = std::min(wanted, tokens_owed());
  if (wanted == 0) return;
  for (size_t i = running_.size(); i-- > 0;) {
    if (running_[i]->rank.service_class < ServiceClass::kStandard) break;
    if (!running_[i]->generating || sits_out(*running_[i])) continue;
    StepLoad current = load();
    current.owed = in_step(wanted);
    if (budget_->tokens(current, now) - current.generating >= wanted) break;
    preempt(*running_[i]);
  }
}

int32_t Scheduler::in_step(int64_t tokens) const {
  return static_cast<int32_t>(std::min<int64_t>(tokens, config_.max_num_batched_tokens));
}

int64_t Scheduler::prompt_tokens_above(ServiceClass below) const {
  int64_t tokens = waiting_.tokens_above(below);
  for (const Sequence* sequence : running_) {
    if (sequence->rank.service_class >= below) break;
    if (!sequence->generating) tokens += sequence->left();
  }
  return tokens;
}

// What the provisioned deployments with requests here bought of one step, less what their sequences
// that generate use of it.
int64_t Scheduler::tokens_owed() const {
  const __int128 bought = waiting_.rate_present(ServiceClass::kProvisioned);
  Cost owed = static_cast<Cost>(bought * config_.step_time_target / (60 * kSecond));
  for (const Sequence* sequence : running_) {
    if (sequence->rank.service_class != ServiceClass::kProvisioned) break;
    if (!sequence->generating) continue;
    owed -= prices_.of_tokens(sequence->size(), 1, sequence->owner->request.adapter);
  }
  return std::max<Cost>(owed, 0) / std::max<Cost>(prices_.prompt, 1);
}

// One token each is certain, and one for a prompt; a sequence with several to catch up on gets what
// is not reserved.
void Scheduler::plan_generating() {
  int32_t to_come = 0, taking_part = 0;
  for (const Sequence* sequence : running_) {
    if (sits_out(*sequence)) break;
    ++taking_part;
    to_come += sequence->generating;
  }
  if (to_come < std::min(taking_part, tokens_left_)) ++to_come;
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (sits_out(sequence)) break;
    if (!sequence.generating) continue;
    --to_come;
    const int32_t count = std::min(sequence.left(), std::max(tokens_left_ - to_come, 0));
    const int32_t blocks = blocks_for(sequence.computed + count);
    if (count > 0 && make_room(i, blocks - static_cast<int32_t>(sequence.blocks.size()))) {
      assign(sequence, count);
    }
  }
}

void Scheduler::plan_prompts(ServiceClass service_class) {
  for (size_t i = 0; i < running_.size() && tokens_left_ > 0; ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.generating || sequence.rank.service_class != service_class) continue;
    take_new_blocks(sequence);
    sequence.awaits_block = awaits_block(sequence);
    if (sequence.awaits_block) continue;
    if (room_for(sequence) == 0 && !make_room(i, 1)) continue;
    assign(sequence, std::min(share(sequence.left()), room_for(sequence)));
  }
}

int32_t Scheduler::share(int32_t left) const {
  return std::min({left, prompt_share_, tokens_left_});
}

// Whoever is of a higher class or a more urgent priority than those who run does not wait for them
// to end, if their slots, blocks and time are what it needs. Only lower classes once something of
// this one has been admitted: what is copied for it has to stay.
void Scheduler::yield_to_urgent(ServiceClass service_class, Yield yield) {
  Sequence* first = waiting_.front(service_class);
  if (!first || running_.empty() || tokens_left_ == 0) return;
  const auto outranks = [&](const Sequence& other) {
    return first->rank < other.rank &&
           (service_class < other.rank.service_class ||
            (yield == Yield::kToPriority &&
             first->owner->request.priority < other.owner->request.priority));
  };
  if (!outranks(*running_.back())) return;
  const Start start = find_start(*first);
  const Verdict verdict = judge(*first, start);
  if (verdict == Verdict::kNoPlace || (verdict == Verdict::kFits && !free_slots_.empty())) return;
  size_t victims = 0;
  int32_t missing = start.blocks_needed + blocks_promised() + watermark_ - pool_.free();
  while (missing > 0 || (free_slots_.empty() && victims == 0) || !has_time(*first, victims)) {
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
void Scheduler::admit_waiting(ServiceClass service_class, Nanos now) {
  bool open[2] = {true, true};
  Sequence* starved = nullptr;
  while (tokens_left_ > 0 && !free_slots_.empty()) {
    Sequence* candidates[2] = {open[0] ? waiting_.front(service_class, Lane::kShort) : nullptr,
                               open[1] ? waiting_.front(service_class, Lane::kLong) : nullptr};
    if (!candidates[0] && !candidates[1]) return;
    const size_t lane =
        !candidates[0] || (candidates[1] && FairQueue::before(*candidates[1], *candidates[0])) ? 1
                                                                                               : 0;
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
    next.awaits_block = awaits_block(next);
    if (!next.awaits_block) assign(next, share(next.left()));
  }
}

// An engine in which nothing runs has room for every sequence: add() has seen to that.
Scheduler::Verdict Scheduler::judge(const Sequence& sequence, const Start& start) const {
  const ServiceClass service_class = sequence.rank.service_class;
  const int32_t left = sequence.size() - start.computed;
  if (left > config_.long_prefill_token_threshold && long_lane_full(service_class)) {
    return Verdict::kNoPlace;
  }
  if (share(left) < left && partial_prompts(service_class) >= config_.max_num_partial_prefills) {
    return Verdict::kNoPlace;
  }
  if (!has_time(sequence, 0)) return Verdict::kNoTime;
  const int32_t taken = blocks_promised() + watermark_;
  const bool fits = running_.empty() ||
                    (start.blocks_needed + taken <= pool_.free() && within_batch_memory(sequence));
  return fits ? Verdict::kFits : Verdict::kNoMemory;
}

// Batch work holds half of the memory at most: the other half is for what others have cached.
bool Scheduler::within_batch_memory(const Sequence& sequence) const {
  if (sequence.rank.service_class != ServiceClass::kBatch) return true;
  int32_t blocks = blocks_for(sequence.size());
  for (const Sequence* other : running_) {
    if (other->rank.service_class == ServiceClass::kBatch) blocks += blocks_for(other->size());
  }
  return blocks <= pool_.total() / 2;
}

// Once all that run generate, and `sequence` too, the step still leaves room for prompts; without
// the last `victims` of them.
bool Scheduler::has_time(const Sequence& sequence, size_t victims) const {
  if (!config_.costs.known() || running_.size() == victims) return true;
  StepLoad all;
  const auto add = [&](const Sequence& one) {
    if (only_computes(one.owner->request) || sits_out(one)) return;
    ++all.generating;
    all.generating_context += one.size();
    all.adapter_rows += one.owner->request.adapter != kBaseModel;
  };
  for (size_t i = 0; i + victims < running_.size(); ++i) add(*running_[i]);
  add(sequence);
  return budget_->admits(all);
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

// Lower classes are in nobody's way.
bool Scheduler::long_lane_full(ServiceClass service_class) const {
  int32_t found = 0;
  for (const Sequence* sequence : running_) {
    if (sequence->rank.service_class > service_class) break;
    const int32_t after = sequence->left() - sequence->planned;
    if (!sequence->generating && after > 0 &&
        sequence->left() > config_.long_prefill_token_threshold) {
      ++found;
    }
  }
  return found >= config_.max_long_partial_prefills;
}

int32_t Scheduler::partial_prompts(ServiceClass service_class) const {
  int32_t found = 0;
  for (const Sequence* sequence : running_) {
    if (sequence->rank.service_class > service_class) break;
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
  running_.insert(std::upper_bound(running_.begin(), running_.end(), &sequence, ByRank()),
                  &sequence);
  if (!std::exchange(sequence.started, true)) {
    sequence.timing.scheduled = now;
    sequence.furthest = start.computed;
    if (!start.donor) sequence.usage.cached_tokens = start.computed;
    stats_.prompt_tokens_cached += static_cast<uint64_t>(sequence.usage.cached_tokens);
    FairQueue::charge(*owner.flow,
                      prices_.of_prompt(start.computed, sequence.size(), owner.request.adapter));
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

// What others have computed since this prompt last looked, as far as it goes on where they began.
void Scheduler::take_new_blocks(Sequence& sequence) {
  if (!config_.prefix_caching || sequence.computed % kBlockTokens != 0) return;
  const int32_t before = sequence.computed;
  const int32_t most = skippable(sequence) / kBlockTokens;
  extend_keys(sequence, most, hasher_);
  for (int32_t i = before / kBlockTokens; i < most; ++i) {
    const BlockId block = pool_.find(sequence.keys[static_cast<size_t>(i)]);
    if (block == kNoBlock) break;
    pool_.retain(block);
    sequence.blocks.push_back(block);
    sequence.computed += kBlockTokens;
    sequence.published = i + 1;
  }
  const int32_t news = std::min(sequence.computed, sequence.owner->prompt_tokens) -
                       std::max(before, sequence.furthest);
  sequence.furthest = std::max(sequence.furthest, sequence.computed);
  if (news <= 0) return;
  sequence.usage.cached_tokens += news;
  stats_.prompt_tokens_cached += static_cast<uint64_t>(news);
}

// Whether a prompt before this one in rank is on its way to the block that this one needs next.
// Whoever comes first waits for nobody, so all of them advance.
bool Scheduler::awaits_block(Sequence& sequence) {
  const int32_t next = sequence.computed / kBlockTokens;
  if (!config_.prefix_caching || sequence.computed % kBlockTokens != 0) return false;
  if (next >= skippable(sequence) / kBlockTokens) return false;
  extend_keys(sequence, next + 1, hasher_);
  for (Sequence* other : running_) {
    if (other == &sequence) break;
    if (other->generating || other->computed / kBlockTokens > next) continue;
    if (other->size() / kBlockTokens <= next) continue;
    extend_keys(*other, next + 1, hasher_);
    const size_t at = static_cast<size_t>(next);
    if (other->keys[at] == sequence.keys[at]) return true;
  }
  return false;
}

void Scheduler::extend_prompts(ServiceClass service_class) {
  for (Sequence* sequence : running_) {
    if (tokens_left_ == 0) return;
    if (sequence->generating || sequence->rank.service_class != service_class) continue;
    if (sequence->awaits_block) continue;
    const int32_t more = std::min({sequence->left() - sequence->planned, tokens_left_,
                                   room_for(*sequence) - sequence->planned});
    if (more > 0) assign(*sequence, more);
  }
}

// Only what nobody else can use goes into guesses: rows of a small step in which all generate, and
// free blocks.
void Scheduler::plan_guesses() {
  guess_read_ = 0;
  if (config_.max_guessed_tokens == 0) return;
  candidates_.clear();
  guess_orders_.clear();
  guessed_.clear();
  int32_t sequences = 0;
  int32_t rows = config_.max_speculative_rows;
  for (Sequence* sequence : running_) {
    if (sequence->planned == 0) continue;
    if (!sequence->generating) return;
    ++sequences;
    rows -= sequence->planned;
    if (most_guesses(*sequence) > 0) order_guess(*sequence);
  }
  rows = std::min(rows, tokens_left_);
  if (rows <= 0 || guessed_.empty()) return;
  guesses_.choose(sequences, rows, candidates_);
  make_guesses();
}

// A constraint or a ban holds for one token: sequences with one take their tokens one by one.
int32_t Scheduler::most_guesses(const Sequence& sequence) const {
  const RequestState& owner = *sequence.owner;
  if (!wants_token(sequence) || !owner.request.constraints.empty()) return 0;
  if (sequence.usage.output_tokens < owner.request.min_tokens) return 0;
  return std::min(config_.max_guessed_tokens, owner.max_length - 1 - sequence.size());
}

void Scheduler::order_guess(Sequence& sequence) {
  const RequestState& owner = *sequence.owner;
  if (!sequence.guess_rate_begun) sequence.guess_rate = guesses_.begun();
  sequence.guess_rate_begun = true;
  guessed_.push_back(&sequence);
  guess_orders_.push_back({.request = owner.request.id,
                           .choice = sequence.rank.choice,
                           .tokens = sequence.tokens,
                           .prompt_tokens = owner.prompt_tokens,
                           .sampling = &sequence.sampling,
                           .cache_salt = owner.request.cache_salt,
                           .guess = &sequence.guess});
  candidates_.push_back({.rate = &sequence.guess_rate,
                         .most = most_guesses(sequence),
                         .unread = drafter_.unread(guess_orders_.back()),
                         .written = sequence.usage.output_tokens});
}

void Scheduler::make_guesses() {
  int32_t free = pool_.free();
  size_t kept = 0;
  for (size_t i = 0; i < guessed_.size(); ++i) {
    const int32_t held = static_cast<int32_t>(guessed_[i]->blocks.size());
    const int32_t room = (held + free) * kBlockTokens - guessed_[i]->size();
    const int32_t most = std::min(candidates_[i].guesses, room);
    if (most <= 0) continue;
    free -= std::max(blocks_for(guessed_[i]->size() + most) - held, 0);
    guess_orders_[kept] = guess_orders_[i];
    guess_orders_[kept].most = most;
    guessed_[kept++] = guessed_[i];
  }
  if (kept == 0) return;
  guess_read_ = drafter_.guess(std::span(guess_orders_).first(kept));
  for (size_t i = 0; i < kept; ++i) {
    Sequence& sequence = *guessed_[i];
    const int32_t count = static_cast<int32_t>(sequence.guess.size());
    CHECK(count <= guess_orders_[i].most, "{} guesses, not {}", count, guess_orders_[i].most);
    grow(sequence, sequence.size() + count);
  }
}

bool Scheduler::wants_token(const Sequence& sequence) const {
  return sequence.planned > 0 && sequence.planned == sequence.left() &&
         sequence.size() < sequence.owner->max_length;
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
    step.guess = sequence->guess;
    step.blocks = sequence->blocks;
    step.adapter = request.adapter;
    step.sampling = &sequence->sampling;
    step.pooling = request.pooling;
    plan_.tokens += step.count + static_cast<int32_t>(step.guess.size());
    add_work(step, *sequence);
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
  plan_.work.adapters = used_adapters();
  plan_.work.drafted += guess_read_;
  plan_.idle =  // the first in rank is of the highest class
      !planned_.empty() && planned_.front()->rank.service_class == ServiceClass::kBatch;
  adapters_.take_orders(plan_.adapters);
  in_flight_ = !plan_.empty();
  if (in_flight_) ++plan_.step;
}

void Scheduler::add_work(const StepSequence& step, const Sequence& sequence) {
  StepWork& work = plan_.work;
  const int32_t guesses = static_cast<int32_t>(step.guess.size());
  const bool generates = sequence.generating && step.count == 1;
  const int32_t prompt = guesses + (generates ? 0 : step.count);
  if (generates) {
    ++work.generating;
    work.generating_context += step.computed;
  }
  work.drafted += guesses;
  work.prompt_tokens += prompt;
  work.prompt_context += context_of(step.computed + (generates ? 1 : 0), prompt);
  if (step.adapter != kBaseModel) work.adapter_rows += step.count + guesses;
}

int32_t Scheduler::used_adapters() const {
  if (plan_.work.adapter_rows == 0) return 0;
  std::set<AdapterId> used;
  for (const StepSequence& step : plan_.sequences) {
    if (step.adapter != kBaseModel) used.insert(step.adapter);
  }
  return static_cast<int32_t>(used.size());
}

}  // namespace hearth::engine
