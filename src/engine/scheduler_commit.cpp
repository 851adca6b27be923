// What comes of a step: progress, tokens, ends, and the news of them.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"
#include "engine/scheduler.h"

namespace hearth::engine {

std::span<const Output> Scheduler::commit(const StepResult& result, Nanos now) {
  CHECK(in_flight_, "no step is in flight");
  in_flight_ = false;
  outputs_.clear();
  if (result.abandoned) {
    CHECK(plan_.idle, "step {} was for somebody and is abandoned", plan_.step);
    ++stats_.steps_abandoned;
    for (size_t i = 0; i < planned_.size(); ++i) take_back(*planned_[i], plan_.sequences[i]);
    return outputs_;
  }
  CHECK(result.sequences.size() == planned_.size(), "{} results for {} sequences of step {}",
        result.sequences.size(), planned_.size(), plan_.step);
  if (!planned_.empty()) {
    if (plan_.work.drafted == 0) budget_->learn(plan_.work, now - planned_at_);
    learn_guesses(now - planned_at_);
    ++stats_.steps;
  }
  stats_.step_tokens += static_cast<uint64_t>(plan_.tokens);
  for (size_t i = 0; i < planned_.size(); ++i) {
    Sequence& sequence = *planned_[i];
    const int32_t first_row = sequence.computed;
    if (result.sequences[i].error.empty()) {
      account(sequence);
    } else {
      // Nobody knows what its blocks hold now: they are not for others to find.
      sequence.planned = 0;
    }
    if (sequence.ending != FinishReason::kNone) {
      publish(sequence);
      retire(sequence, sequence.ending);
      continue;
    }
    Output output = advance(sequence, result.sequences[i], now);
    keep_right_guesses(sequence, output.tokens);
    publish(sequence);
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

// Steps in which all generate, a token each: what else is in a step takes time of its own.
void Scheduler::learn_guesses(Nanos duration) {
  if (config_.max_guessed_tokens == 0) return;
  const StepWork& work = plan_.work;
  const int32_t guesses = work.drafted - guess_read_;
  if (work.prompt_tokens != guesses) return;
  guesses_.learn_step(work.generating, guesses, guess_read_, duration);
}

// As if the step had not been planned.
void Scheduler::take_back(Sequence& sequence, const StepSequence& step) {
  sequence.planned = 0;
  sequence.fresh = step.fresh;
  sequence.guess.clear();
  drop_spare_blocks(sequence);
  if (sequence.ending != FinishReason::kNone) retire(sequence, sequence.ending);
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

// What was guessed rightly has been computed with the rest of the step.
void Scheduler::keep_right_guesses(Sequence& sequence, std::span<const SampledToken> tokens) {
  if (sequence.guess.empty()) return;
  size_t right = 0;
  while (right < tokens.size() && right < sequence.guess.size() &&
         tokens[right].token == sequence.guess[right]) {
    ++right;
  }
  // The last token is computed again where none came after it: its row chooses the next one.
  const size_t computed = std::min(right, tokens.size() - std::min<size_t>(tokens.size(), 1));
  sequence.computed += static_cast<int32_t>(computed);
  sequence.furthest = std::max(sequence.furthest, sequence.computed);
  guesses_.learn_rate(sequence.guess_rate, static_cast<int32_t>(sequence.guess.size()),
                      static_cast<int32_t>(right));
  ++stats_.guesses;
  stats_.tokens_guessed += sequence.guess.size();
  stats_.tokens_guessed_right += right;
  sequence.guess.clear();
  drop_spare_blocks(sequence);
}

void Scheduler::drop_spare_blocks(Sequence& sequence) {
  while (std::ssize(sequence.blocks) > blocks_for(sequence.computed)) {
    pool_.release(sequence.blocks.back());
    sequence.blocks.pop_back();
  }
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
  const int32_t before = sequence.size();
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
  FairQueue::charge(*owner.flow,
                    prices_.of_tokens(before, static_cast<int32_t>(taken), request.adapter));
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

}  // namespace hearth::engine
