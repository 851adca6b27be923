#include "sim/fake_model.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/check.h"
#include "base/random.h"

namespace hearth::sim {
namespace {

using engine::kBlockTokens;
using engine::Pooling;
using engine::StepPlan;
using engine::StepResult;
using engine::StepSequence;
using engine::TokenId;
using engine::Want;

constexpr uint64_t kBlank = 0xdeadbeefdeadbeefu;

// --- the model -----------------------------------------------------------------------------------

uint64_t begin_text(uint64_t salt, uint64_t adapter_word) {
  return split_mix(salt * 0x9e3779b97f4a7c15u + adapter_word);
}

// What stands in a page of an adapter.
uint64_t page_word(engine::AdapterId adapter, size_t page) {
  return split_mix(static_cast<uint64_t>(adapter) << 32 | page);
}

// The value of a position, from all values before it and its token.
uint64_t value_of(uint64_t fold, TokenId token, int32_t position) {
  return split_mix(fold ^ static_cast<uint64_t>(token) << 32 ^ static_cast<uint64_t>(position));
}

// "Attention": one number from a number and one more value; order matters.
uint64_t attend(uint64_t fold, uint64_t value) {
  return (fold ^ value) * 0xd1342543de82ef95u + 0x2545f4914f6cdd1du;
}

uint64_t adapter_alone(engine::AdapterId adapter, int32_t pages) {
  uint64_t fold = 0;
  for (size_t i = 0; i < static_cast<size_t>(pages); ++i)
    fold = attend(fold, page_word(adapter, i));
  return fold;
}

float to_float(uint64_t word) { return -static_cast<float>(word >> 44); }

struct Choice {
  TokenId token = 0;
  float logprob = 0;
};

Choice choose(uint64_t fold, uint64_t seed, int32_t index, std::span<const TokenId> banned,
              engine::TokenConstraint* constraint) {
  std::array<uint32_t, (kFakeVocabulary + 31) / 32> allowed;
  allowed.fill(~0u);
  if (constraint) constraint->fill(allowed);
  uint64_t word = split_mix(fold ^ split_mix(seed + static_cast<uint64_t>(index)));
  for (;; word = split_mix(word)) {
    const TokenId token = static_cast<TokenId>(word % kFakeVocabulary);
    const bool open = allowed[static_cast<size_t>(token) / 32] >> (token % 32) & 1;
    if (open && std::find(banned.begin(), banned.end(), token) == banned.end()) {
      return {token, to_float(fold)};
    }
  }
}

std::vector<float> pool(Pooling pooling, uint64_t first, uint64_t sum, uint64_t last) {
  switch (pooling) {
    case Pooling::kFirst:
      return {to_float(first)};
    case Pooling::kMean:
      return {to_float(sum)};
    case Pooling::kLast:
      return {to_float(last)};
    case Pooling::kNone:
      break;
  }
  return {};
}

bool jumps_at(const FakeRequest& request, uint64_t fold) {
  return request.jumps > 0 && split_mix(fold) % static_cast<uint64_t>(request.jumps) == 0;
}

}  // namespace

void FakeConstraint::fill(std::span<uint32_t> allowed) {
  std::fill(allowed.begin(), allowed.end(), 0u);
  for (TokenId token = 0; token < kFakeVocabulary; ++token) {
    if (allows(token)) allowed[static_cast<size_t>(token) / 32] |= 1u << (token % 32);
  }
}

bool FakeConstraint::allows(TokenId token) const {
  return (static_cast<uint64_t>(token) + state_) % 2 == 0;
}

bool FakeConstraint::accept(TokenId token) {
  if (!allows(token)) return false;
  state_ = split_mix(state_ + static_cast<uint64_t>(token));
  --left_;
  return true;
}

FakeAnswer answer_alone(const engine::Request& request, const FakeRequest& fake, int32_t choice,
                        uint64_t seed, int32_t max_length, engine::TokenConstraint* constraint) {
  FakeAnswer answer;
  uint64_t fold = begin_text(fake.salt, adapter_alone(request.adapter, fake.adapter_pages));
  int32_t position = 0;
  uint64_t sum = 0;
  uint64_t first = 0;
  const auto read = [&](TokenId token) {
    const uint64_t value = value_of(fold, token, position++);
    fold = attend(fold, value);
    sum += value;
    if (position == 1) first = fold;
  };
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    read(request.prompt[i]);
    const bool scored = choice == 0 && request.sampling.prompt_logprobs >= 0;
    if (scored && i + 1 < request.prompt.size()) answer.prompt_logprobs.push_back(to_float(fold));
  }
  if (request.pooling != Pooling::kNone) {
    answer.pooled = pool(request.pooling, first, sum, fold);
    answer.finish = engine::FinishReason::kStop;
    return answer;
  }
  const int32_t prompt = static_cast<int32_t>(request.prompt.size());
  for (int32_t index = 0; answer.finish == engine::FinishReason::kNone; ++index) {
    if (prompt + index >= max_length) {
      answer.finish = engine::FinishReason::kLength;
      break;
    }
    if (index == fake.fails_at) {
      answer.finish = engine::FinishReason::kError;
      break;
    }
    const bool early = index < request.min_tokens;
    const auto banned =
        early ? std::span<const TokenId>(request.stop_tokens) : std::span<const TokenId>();
    const Choice next = choose(fold, seed, index, banned, constraint);
    answer.tokens.push_back(next.token);
    answer.logprobs.push_back(next.logprob);
    const auto& stops = request.stop_tokens;
    if (!early && std::find(stops.begin(), stops.end(), next.token) != stops.end()) {
      answer.finish = engine::FinishReason::kStop;
    } else if (constraint && constraint->accept(next.token) && constraint->finished()) {
      answer.finish = engine::FinishReason::kStop;
    } else {
      read(next.token);
    }
  }
  return answer;
}

// --- the runner ----------------------------------------------------------------------------------

const char* to_string(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "none";
    case Fault::kSkippedCopy:
      return "skipped-copy";
    case Fault::kStaleBlock:
      return "stale-block";
    case Fault::kIgnoredSalt:
      return "ignored-salt";
    case Fault::kLostWrite:
      return "lost-write";
    case Fault::kSwappedResults:
      return "swapped-results";
    case Fault::kLostCount:
      return "lost-count";
    case Fault::kLateCopy:
      return "late-copy";
    case Fault::kLostCancel:
      return "lost-cancel";
    case Fault::kLostPage:
      return "lost-page";
    case Fault::kTakenGuess:
      return "taken-guess";
  }
  return "unknown";
}

std::span<const Fault> all_faults() {
  static constexpr std::array kAll = {
      Fault::kSkippedCopy,    Fault::kStaleBlock, Fault::kIgnoredSalt, Fault::kLostWrite,
      Fault::kSwappedResults, Fault::kLostCount,  Fault::kLateCopy,    Fault::kLostCancel,
      Fault::kLostPage,       Fault::kTakenGuess};
  return kAll;
}

FakeRunner::FakeRunner(const engine::EngineConfig& config, Lookup describe, Fault fault,
                       uint64_t seed)
    : values_(static_cast<size_t>(config.num_blocks) * kBlockTokens, kBlank),
      pages_(static_cast<size_t>(config.adapter_pages), kBlank),
      slots_(static_cast<size_t>(config.max_num_seqs)),
      describe_(std::move(describe)),
      fault_(fault),
      dice_(seed) {}

bool FakeRunner::strikes(Fault fault) {
  if (fault != fault_) return false;
  dice_ = split_mix(dice_);
  return dice_ % 64 == 0;
}

void FakeRunner::copy_blocks(std::span<const engine::BlockCopy> copies) {
  for (const engine::BlockCopy& copy : copies) {
    if (fault_ == Fault::kSkippedCopy) continue;
    const auto from = values_.begin() + std::ptrdiff_t{copy.from} * kBlockTokens;
    std::copy(from, from + kBlockTokens, values_.begin() + std::ptrdiff_t{copy.to} * kBlockTokens);
  }
}

void FakeRunner::obey(const engine::AdapterOrder& order) {
  using Kind = engine::AdapterOrder::Kind;
  if (order.kind == Kind::kForget) return;
  if (order.kind == Kind::kLoad) {
    for (const auto& [id, other] : adapters_) {
      for (const engine::PageId page : other.pages) {
        if (std::find(order.pages.begin(), order.pages.end(), page) == order.pages.end()) continue;
        complaint_ = fmt::format("adapters {} and {} share page {}", id, order.adapter, page);
      }
    }
    adapters_[order.adapter] = {order.pages, false};
    return;
  }
  const auto found = adapters_.find(order.adapter);
  if (found == adapters_.end() || !found->second.loaded) {
    complaint_ = fmt::format("adapter {} is evicted and not in memory", order.adapter);
    return;
  }
  for (const engine::PageId page : found->second.pages) {
    pages_[static_cast<size_t>(page)] = kBlank;
  }
  adapters_.erase(found);
}

void FakeRunner::finish_load(engine::AdapterId adapter) {
  Adapter& entry = adapters_.at(adapter);
  const size_t count = entry.pages.size() - (fault_ == Fault::kLostPage ? 1 : 0);
  for (size_t i = 0; i < count; ++i) {
    pages_[static_cast<size_t>(entry.pages[i])] = page_word(adapter, i);
  }
  entry.loaded = true;
}

void FakeRunner::fail_load(engine::AdapterId adapter) { adapters_.erase(adapter); }

uint64_t FakeRunner::adapter_word(engine::AdapterId adapter) {
  uint64_t fold = 0;
  if (adapter == engine::kBaseModel) return fold;
  const auto found = adapters_.find(adapter);
  if (found == adapters_.end() || !found->second.loaded) {
    complaint_ = fmt::format("adapter {} is not in memory and in the plan", adapter);
    return fold;
  }
  for (const engine::PageId page : found->second.pages) {
    fold = attend(fold, pages_[static_cast<size_t>(page)]);
  }
  return fold;
}

StepResult FakeRunner::run(const StepPlan& plan) {
  StepResult result;
  for (const engine::AdapterOrder& order : plan.adapters) obey(order);
  if (fault_ != Fault::kLateCopy) copy_blocks(plan.copies);
  for (const StepSequence& sequence : plan.sequences) {
    result.sequences.push_back(compute(sequence));
  }
  if (fault_ == Fault::kLateCopy) copy_blocks(plan.copies);
  if (result.sequences.size() > 1 && strikes(Fault::kSwappedResults)) {
    auto& first = result.sequences.front().sampled;
    auto& last = result.sequences.back().sampled;
    if (!first.empty() && !last.empty()) std::swap(first, last);
  }
  return result;
}

StepResult FakeRunner::run_idle(const StepPlan& plan, const std::function<bool()>& stop) {
  if (!stop()) return run(plan);
  for (const engine::AdapterOrder& order : plan.adapters) obey(order);
  copy_blocks(plan.copies);
  for (const StepSequence& sequence : plan.sequences) spoil(sequence);
  return {.sequences = {}, .abandoned = true};
}

void FakeRunner::spoil(const StepSequence& sequence) {
  const auto rows = sequence.count + static_cast<int32_t>(sequence.guess.size());
  for (int32_t i = sequence.computed; i < sequence.computed + rows; ++i) {
    value_at(sequence, i) = dice_ = split_mix(dice_);
  }
}

FakeRunner::Slot& FakeRunner::slot_of(const StepSequence& sequence) {
  CHECK(sequence.slot >= 0 && static_cast<size_t>(sequence.slot) < slots_.size(), "slot {}",
        sequence.slot);
  Slot& slot = slots_[static_cast<size_t>(sequence.slot)];
  const int32_t known = static_cast<int32_t>(sequence.tokens.size());
  if (sequence.fresh) slot = {sequence.request, sequence.choice, known, 0, 0};
  if (slot.request != sequence.request || slot.choice != sequence.choice) {
    complaint_ = fmt::format("slot {} changed hands from request {} to {} without `fresh`",
                             sequence.slot, slot.request, sequence.request);
  }
  return slot;
}

uint64_t& FakeRunner::value_at(const StepSequence& sequence, int32_t position) {
  const size_t index = static_cast<size_t>(position / kBlockTokens);
  size_t block = static_cast<size_t>(sequence.blocks[index]);
  if (position % kBlockTokens == 0 && strikes(Fault::kStaleBlock)) {
    block = dice_ / 64 % (values_.size() / kBlockTokens);
  }
  return values_[block * kBlockTokens + static_cast<size_t>(position % kBlockTokens)];
}

engine::SequenceResult FakeRunner::compute(const StepSequence& sequence) {
  const FakeRequest& request = describe_(sequence.request);
  Slot& slot = slot_of(sequence);
  uint64_t fold = begin_text(request.salt, adapter_word(sequence.adapter));
  for (int32_t i = 0; i < sequence.computed; ++i) fold = attend(fold, value_at(sequence, i));
  engine::SequenceResult result;
  const bool scored = sequence.sampling->prompt_logprobs >= 0;
  for (int32_t i = sequence.computed; i < sequence.computed + sequence.count; ++i) {
    const uint64_t value = value_of(fold, sequence.tokens[static_cast<size_t>(i)], i);
    if (!strikes(Fault::kLostWrite)) value_at(sequence, i) = value;
    fold = attend(fold, value);
    slot.sum += value;
    if (i == 0) slot.first = fold;
    if (scored && i + 1 < sequence.prompt_tokens) {
      result.prompt.push_back(
          {.token = sequence.tokens[static_cast<size_t>(i) + 1], .logprob = to_float(fold)});
    }
  }
  if (sequence.want == Want::kPooled) {
    result.pooled = pool(sequence.pooling, slot.first, slot.sum, fold);
  } else if (sequence.want == Want::kToken) {
    sample(sequence, request, fold, result);
  }
  return result;
}

// The text's number after each guess, if it were right; the values are written as a real runner
// writes its keys and values, before anybody knows.
std::vector<uint64_t> FakeRunner::read_guess(const StepSequence& sequence, uint64_t fold) {
  std::vector<uint64_t> folds;
  int32_t position = static_cast<int32_t>(sequence.tokens.size());
  for (const TokenId token : sequence.guess) {
    const uint64_t value = value_of(fold, token, position);
    value_at(sequence, position++) = value;
    folds.push_back(fold = attend(fold, value));
  }
  return folds;
}

void FakeRunner::sample(const StepSequence& sequence, const FakeRequest& request, uint64_t fold,
                        engine::SequenceResult& result) {
  int32_t position = static_cast<int32_t>(sequence.tokens.size());
  const int32_t origin = fault_ == Fault::kLostCount
                             ? slots_[static_cast<size_t>(sequence.slot)].started_with
                             : sequence.prompt_tokens;
  const std::vector<uint64_t> guessed = read_guess(sequence, fold);
  for (bool more = true; more; ++position) {
    const int32_t index = position - origin;
    if (index == request.fails_at) {
      if (result.sampled.empty()) result.error = "this request was made to fail";
      return;
    }
    Choice next =
        choose(fold, sequence.sampling->seed, index, sequence.banned, sequence.constraint);
    const size_t row = result.sampled.size();
    if (row < guessed.size() && strikes(Fault::kTakenGuess)) next.token = sequence.guess[row];
    result.sampled.push_back({.token = next.token, .logprob = next.logprob});
    if (!guessed.empty()) {
      more = row < guessed.size() && next.token == sequence.guess[row];
    } else {
      more = sequence.banned.empty() && !sequence.constraint && jumps_at(request, fold) &&
             result.sampled.size() < 4;
    }
    fold = attend(fold, value_of(fold, next.token, position));
  }
}

}  // namespace hearth::sim
