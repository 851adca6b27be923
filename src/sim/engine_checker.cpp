#include "sim/engine_checker.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace hearth::sim {

using engine::BlockId;
using engine::kBlockTokens;
using engine::Sequence;
using engine::StepPlan;
using engine::StepSequence;

namespace {

// Whether the two want the same next block, so that what the first computes is the second's as
// well.
bool has_next_block_of(const Sequence& first, const Sequence& second) {
  const engine::Request& a = first.owner->request;
  const engine::Request& b = second.owner->request;
  const auto end = (second.computed / kBlockTokens + 1) * kBlockTokens;
  return !first.generating && a.cache_salt == b.cache_salt && a.adapter == b.adapter &&
         first.size() >= end && second.size() >= end &&
         std::equal(first.tokens.begin(), first.tokens.begin() + end, second.tokens.begin());
}

}  // namespace

EngineChecker::EngineChecker(const engine::Scheduler& scheduler)
    : scheduler_(scheduler),
      holders_(static_cast<size_t>(scheduler.config().num_blocks)),
      slots_(static_cast<size_t>(scheduler.config().max_num_seqs)) {}

std::string EngineChecker::check_plan(const StepPlan& plan) {
  const engine::EngineConfig& config = scheduler_.config();
  int32_t tokens = 0;
  for (const StepSequence& sequence : plan.sequences) {
    tokens += sequence.count + static_cast<int32_t>(sequence.guess.size());
    if (std::string broken = check_sequence(sequence); !broken.empty()) return broken;
    uint64_t& last_used = slots_[static_cast<size_t>(sequence.slot)];
    if (last_used == plan.step) return fmt::format("slot {} is used twice", sequence.slot);
    last_used = plan.step;
  }
  if (tokens != plan.tokens) return fmt::format("{} tokens planned, {} said", tokens, plan.tokens);
  if (tokens > config.max_num_batched_tokens) {
    return fmt::format("{} tokens in a step, max_num_batched_tokens = {}", tokens,
                       config.max_num_batched_tokens);
  }
  std::string broken = check_blocks();
  if (broken.empty()) broken = check_writes(plan);
  if (broken.empty()) broken = check_copies(plan);
  if (broken.empty()) broken = check_progress(plan);
  return broken;
}

std::string EngineChecker::check_sequence(const StepSequence& sequence) const {
  const auto complain = [&](const std::string& what) {
    return fmt::format("request {} choice {}: {}", sequence.request, sequence.choice, what);
  };
  if (sequence.slot < 0 || sequence.slot >= scheduler_.config().max_num_seqs) {
    return complain(fmt::format("slot {}", sequence.slot));
  }
  const int64_t known = std::ssize(sequence.tokens);
  if (sequence.count < 1 || sequence.computed < 0 || sequence.computed + sequence.count > known) {
    return complain(
        fmt::format("computes {} tokens after {} of {}", sequence.count, sequence.computed, known));
  }
  const int32_t guessed = static_cast<int32_t>(sequence.guess.size());
  if (guessed > 0 && sequence.want != engine::Want::kToken) {
    return complain("guesses and wants no token");
  }
  const int32_t blocks = engine::blocks_for(sequence.computed + sequence.count + guessed);
  if (std::ssize(sequence.blocks) != blocks) {
    return complain(fmt::format("{} blocks, not {}", sequence.blocks.size(), blocks));
  }
  for (const BlockId block : sequence.blocks) {
    if (block < 0 || block >= scheduler_.config().num_blocks) {
      return complain(fmt::format("block {}", block));
    }
  }
  const bool complete = sequence.computed + sequence.count == known;
  if (!complete && sequence.want != engine::Want::kNothing) {
    return complain("wants an answer before all is computed");
  }
  return {};
}

std::string EngineChecker::check_blocks() {
  std::fill(holders_.begin(), holders_.end(), 0);
  for (const Sequence* sequence : scheduler_.running()) {
    for (const BlockId block : sequence->blocks) ++holders_[static_cast<size_t>(block)];
  }
  for (BlockId block = 0; block < scheduler_.config().num_blocks; ++block) {
    const int32_t counted = scheduler_.blocks().references(block);
    if (counted != holders_[static_cast<size_t>(block)]) {
      return fmt::format("block {} is held by {} sequences and counts {}", block,
                         holders_[static_cast<size_t>(block)], counted);
    }
  }
  std::string broken = scheduler_.blocks().audit();
  if (broken.empty()) broken = scheduler_.adapters().audit();
  return broken;
}

std::string EngineChecker::check_writes(const StepPlan& plan) {
  for (const StepSequence& sequence : plan.sequences) {
    const size_t first = static_cast<size_t>(sequence.computed / kBlockTokens);
    for (size_t i = first; i < sequence.blocks.size(); ++i) {
      const BlockId block = sequence.blocks[i];
      if (holders_[static_cast<size_t>(block)] != 1) {
        return fmt::format("request {} writes block {}, which {} sequences hold", sequence.request,
                           block, holders_[static_cast<size_t>(block)]);
      }
    }
  }
  return {};
}

std::string EngineChecker::check_copies(const StepPlan& plan) {
  std::vector<BlockId> targets;
  for (const engine::BlockCopy& copy : plan.copies) targets.push_back(copy.to);
  std::sort(targets.begin(), targets.end());
  if (std::adjacent_find(targets.begin(), targets.end()) != targets.end()) {
    return "a block is the target of two copies";
  }
  for (const engine::BlockCopy& copy : plan.copies) {
    if (std::binary_search(targets.begin(), targets.end(), copy.from)) {
      return fmt::format("block {} is copied from and to in one step", copy.from);
    }
    if (holders_[static_cast<size_t>(copy.to)] != 1) {
      return fmt::format("copied block {} is held by {} sequences", copy.to,
                         holders_[static_cast<size_t>(copy.to)]);
    }
  }
  return {};
}

// Of those who run, some generate and are alone in the step.
bool EngineChecker::leaves_prompts_out() const {
  const auto running = scheduler_.running();
  return std::any_of(running.begin(), running.end(), [](auto* s) { return s->generating; }) &&
         std::all_of(running.begin(), running.end(),
                     [](auto* s) { return s->generating || s->planned == 0; });
}

// Batch work is in no step with anybody else's.
bool EngineChecker::sits_out(const Sequence& sequence) const {
  constexpr auto kBatch = engine::ServiceClass::kBatch;
  const auto running = scheduler_.running();
  return sequence.rank.service_class == kBatch && running.front()->rank.service_class < kBatch;
}

// The first in rank advances in every step, or in the one after it; one that generates waits for
// nothing but memory, and a prompt in progress for nothing but memory, a full step, and blocks that
// one before it computes.
std::string EngineChecker::check_progress(const StepPlan& plan) {
  const auto running = scheduler_.running();
  if (running.empty()) {
    const bool waits = scheduler_.stats().adapters.loading == 0 && scheduler_.stats().waiting > 0;
    return waits ? fmt::format("nothing runs in step {}, requests wait", plan.step) : std::string();
  }
  const bool waits = running.front()->planned == 0;
  const bool waited = std::exchange(left_out_, waits && leaves_prompts_out());
  if (waits && (waited || !left_out_)) {
    return fmt::format("request {} is the first in rank and does not advance",
                       running.front()->owner->request.id);
  }
  for (size_t i = 1; i < running.size(); ++i) {
    if (!(running[i - 1]->rank < running[i]->rank)) return "the running are not in order of rank";
    if (sits_out(*running[i])) {
      if (running[i]->planned == 0) continue;
      return fmt::format("request {} is batch work in a step with others",
                         running[i]->owner->request.id);
    }
    if (running[i]->generating && running[i]->planned == 0 && scheduler_.blocks().free() > 0) {
      return fmt::format("request {} generates and gets no token, with memory free",
                         running[i]->owner->request.id);
    }
  }
  // With a bound on time a step is full earlier, and only the budget knows when.
  const engine::EngineConfig& config = scheduler_.config();
  const bool full = config.step_time_target > 0 || config.step_stretch_permille > 0 ||
                    plan.tokens == config.max_num_batched_tokens;
  for (auto at = running.begin(); at != running.end(); ++at) {
    const Sequence* sequence = *at;
    if (full || sequence->generating || sits_out(*sequence)) continue;
    if (scheduler_.blocks().free() == 0) continue;
    const bool awaits = config.prefix_caching && sequence->planned == 0 &&
                        std::any_of(running.begin(), at, [&](const Sequence* other) {
                          return has_next_block_of(*other, *sequence);
                        });
    if (sequence->planned < sequence->left() && !awaits) {
      return fmt::format("the prompt of request {} waits, with tokens and memory left",
                         sequence->owner->request.id);
    }
  }
  return {};
}

}  // namespace hearth::sim
